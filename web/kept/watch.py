"""What open streams of events share: one look at the jobs for all of them, and the end. Knows no HTTP."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from stream.records.job_store import JobStore
from stream.records.jobs import Job

_FRESH_S = 0.4


class JobWatch:
    """The streams that are open, the news that they share, and the end of all of them."""

    def __init__(self, jobs: JobStore) -> None:
        self.open: Counter[str] = Counter()
        self._jobs, self._closing = jobs, asyncio.Event()
        self._lock = asyncio.Lock()
        self._known: dict[str, tuple[float, list[Job]]] = {}

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """The server stops: every stream ends, and its client comes back to whoever is there then."""
        self._closing.set()

    def left(self, owner: str) -> None:
        """One of his streams has ended."""
        self.open[owner] -= 1
        if not self.open[owner]:
            del self.open[owner]
            self._known.pop(owner, None)

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def jobs(self, owner: str) -> list[Job]:
        """As the store's, read once for all streams of this user that ask at about the same time."""
        async with self._lock:
            read_s, known = self._known.get(owner, (float("-inf"), []))
            if time.monotonic() - read_s > _FRESH_S:
                known = await self._jobs.jobs(owner)
                self._known[owner] = time.monotonic(), known
        return known
