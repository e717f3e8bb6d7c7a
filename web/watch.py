"""What open streams of events share: one look at the jobs for all of them, and the end. Knows no HTTP."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from stream.job import Job
from stream.job_store import JobStore

_FRESH_S = 0.4


class Watch:
    """The streams that are open, the news that they share, and the end of all of them."""

    def __init__(self, jobs: JobStore) -> None:
        self.open: Counter[str] = Counter()
        self._jobs, self._closing = jobs, asyncio.Event()
        self._lock = asyncio.Lock()
        self._known: list[Job] = []
        self._known_s = float("-inf")

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """The server stops: every stream ends, and its client comes back to whoever is there then."""
        self._closing.set()

    def left(self, owner: str) -> None:
        """One of his streams has ended."""
        self.open[owner] -= 1
        self.open += Counter()  # forgets whoever has none

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def jobs(self, owner: str) -> list[Job]:
        """As the store's, read once for all streams that ask at about the same time."""
        async with self._lock:
            if time.monotonic() - self._known_s > _FRESH_S:
                self._known = await self._jobs.jobs()
                self._known_s = time.monotonic()
        return [job for job in self._known if job.owner == owner]
