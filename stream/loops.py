"""Supervised background work: no exception ends a loop, and every exception is logged.

All background tasks and loops of web and workers are started here; `tests/test_background_work.py` lists the few
exceptions. Knows nothing about what they do.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from stream.errors import MatteboxError
from stream.log import OncePerSecond

_RETRY_S = 1.0

Round = Callable[[], Awaitable[object]]
"""One round of a loop."""


def start(work: Coroutine[Any, Any, None], log: logging.Logger) -> "asyncio.Task[None]":
    """Run it once, concurrently. An exception that ends it is logged. The caller keeps the task."""
    name = _name(work)

    def log_failure(ended: "asyncio.Task[None]") -> None:
        if not ended.cancelled() and (exc := ended.exception()) is not None:
            log.error("%s failed: %s", name, exc, exc_info=exc)

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(log_failure)
    return task


def _name(work: object) -> str:
    return str(getattr(work, "__qualname__", work))


class Loops:
    """The background work of one object: loops that repeat, and tasks that run once.

    note: added to the log line of an expected error, such as StoreDown, to explain what happens meanwhile. Expected
    errors are logged at most once a second; any other exception is logged with its traceback.
    """

    def __init__(self, log: logging.Logger, note: str) -> None:
        self._log, self._note = log, note
        self._limited = OncePerSecond(log)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, *loops: tuple[Round, float]) -> AsyncIterator[None]:
        """Within it the loops run; at the end they are cancelled. loops: (work, seconds between rounds)."""
        tasks = [start(self.repeat(work, every_s), self._log) for work, every_s in loops]
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
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError  # `work` suppressed it
        return True

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it once, concurrently. An exception that ends it is logged."""
        task = start(work, self._log)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the work passed to `start`, at most `timeout_s` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def _report(self, work: Round, exc: BaseException) -> None:
        if isinstance(exc, MatteboxError):
            self._limited.warning("%s; %s", exc, self._note)
        else:
            self._log.error("a round of %s failed; it is repeated", _name(work), exc_info=exc)
