"""What all workers have in common: id and record, heartbeats, and shutdown on a signal.

Runs on the event loop. Knows nothing about videos or jobs.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal

from stream.loops import Loops, Round
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from stream.signals import endings

_BEAT_EVERY_S = 1.0
_REAP_EVERY_S = 2.0


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
        try:
            async with self._loops.running(*every):
                yield
        finally:
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
