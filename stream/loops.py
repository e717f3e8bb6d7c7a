"""Supervised background work on an event loop: no exception ends a loop, and every exception is logged.

Used by web and by workers. Knows nothing about what the loops do.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from stream.errors import MatteboxError
from stream.log import OncePerSecond

_RETRY_S = 1.0

Round = Callable[[], Awaitable[None]]
"""One round of a loop."""


class Loops:
    """The background work of one object: loops that repeat, and tasks that run once.

    note: added to the log line of an expected error, such as StoreDown, to explain what happens meanwhile. Expected
    errors are logged at most once a second; any other exception is logged with its traceback.
    """

    def __init__(self, log: logging.Logger, note: str) -> None:
        self._log, self._note = log, note
        self._limited = OncePerSecond(log)
        self._tasks: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def running(self, *loops: tuple[Round, float]) -> AsyncIterator[None]:
        """Within it the loops run; at the end they are cancelled. loops: (work, seconds between rounds)."""
        tasks = [asyncio.create_task(self.repeat(work, every_s)) for work, every_s in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def repeat(self, work: Round, every_s: float = 0.0, until: asyncio.Event | None = None) -> None:
        """Call `work`, with a pause of `every_s` seconds, until `until` is set or the calling task is cancelled.

        After an exception the pause is at least a second.
        """
        while until is None or not until.is_set():
            succeeded = await self.attempt(work)
            await asyncio.sleep(every_s if succeeded else max(every_s, _RETRY_S))

    async def attempt(self, work: Round) -> bool:
        """Call `work` once. False: it raised, which is logged. Raises only when the calling task is cancelled."""
        try:
            await work()
        except (Exception, asyncio.CancelledError) as exc:
            # A CancelledError may also come from something that `work` awaits; then it must not end the loop.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            self._report(work, exc)
            return False
        return True

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it once, concurrently."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the work passed to `start`, at most `timeout_s` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def _report(self, work: Round, exc: BaseException) -> None:
        if isinstance(exc, MatteboxError):
            self._limited.warning("%s; %s", exc, self._note)
        else:
            self._log.error("a round of %s failed", work.__name__, exc_info=exc)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("%s", task.exception(), exc_info=task.exception())
