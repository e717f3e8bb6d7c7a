"""What all workers have in common: id and record, heartbeats, background loops, and shutdown on a signal.

Runs on the event loop. Knows nothing about videos or jobs.
"""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from stream.errors import MatteboxError
from stream.log import OncePerSecond
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from stream.signals import endings

_BEAT_EVERY_S = 1.0
_REAP_EVERY_S = 2.0
_RETRY_S = 1.0

Round = Callable[[], Awaitable[None]]
"""One round of a loop."""


class Loops:
    """Background work on the event loop. No exception ends it, and every exception is logged.

    note: added to the log line of an expected error, such as StoreDown, to explain what happens meanwhile. Expected
    errors are logged at most once a second; any other exception is logged with its traceback.
    """

    def __init__(self, log: logging.Logger, note: str) -> None:
        self._log, self._note = log, note
        self._limited = OncePerSecond(log)
        self._tasks: set[asyncio.Future[None]] = set()

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
            self._log.error("worker: a round of %s failed", work.__name__, exc_info=exc)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("worker: %s", task.exception(), exc_info=task.exception())


class Lifecycle:
    """Registers a worker in the service, from its start until it leaves. Does none of the worker's actual work.

    records: receives the heartbeats. meters: returns fields of `Worker`; called for each heartbeat.
    leaving: set once the worker is asked to end; from then on its state is "draining".
    """

    def __init__(
        self,
        kind: Literal["live", "files"],
        records: LiveStore,
        loops: Loops,
        meters: Callable[[], Mapping[str, object]],
    ) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self.worker_id = f"{host}-{pid}-{uuid.uuid4().hex[:8]}"[:128]
        self.record = Worker(id=self.worker_id, host=host, pid=pid, kind=kind)
        self.leaving = asyncio.Event()
        self._records, self._loops, self._meters = records, loops, meters

    def update(self, **fields: object) -> None:
        """Change fields of the record; the next heartbeat publishes them."""
        self.record = self.record.model_copy(update=fields)

    async def run_until_stopped(self, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        """`run` with an event that SIGTERM, SIGINT or SIGHUP sets. A second signal ends the process at once."""
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self.leaving.is_set():
                os._exit(1)
            self.leaving.set()

        for number in endings():
            loop.add_signal_handler(number, on_signal)
        await run(self.leaving)

    @asynccontextmanager
    async def serving(self, stop: asyncio.Event, reap: Round, *loops: tuple[Round, float]) -> AsyncIterator[None]:
        """Within it the worker is listed, and its loops run; at the end they are cancelled and the worker leaves.

        stop: becomes `leaving`. reap: cleans up after dead workers. loops: (work, seconds between rounds).
        """
        self.leaving = stop
        every = (self.beat, _BEAT_EVERY_S), (reap, _REAP_EVERY_S), *loops
        running = [asyncio.create_task(self._loops.repeat(work, every_s)) for work, every_s in every]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._loops.attempt(self._leave)

    async def beat(self) -> None:
        """Send a heartbeat. Raises StoreDown."""
        state = "draining" if self.leaving.is_set() else "ready"
        self.update(state=state, **self._meters())
        at_s = await self._records.beat(self.record)
        if not self.record.started_s:
            self.update(started_s=at_s)

    async def _leave(self) -> None:
        await self._records.leave(self.worker_id)
