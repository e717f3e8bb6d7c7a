"""State that all open event streams share: a short-lived cache of each user's jobs, and the shutdown signal.

Knows nothing about HTTP.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from stream.records.job_store import JobStore
from stream.records.jobs import Job

_CACHE_S = 0.4


class JobWatch:
    """open: the number of open event streams per user."""

    def __init__(self, jobs: JobStore) -> None:
        self.open: Counter[str] = Counter()
        self._jobs, self._closing = jobs, asyncio.Event()
        self._lock = asyncio.Lock()
        self._cache: dict[str, tuple[float, list[Job]]] = {}

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """End every stream, because the server shuts down. Clients reconnect by themselves."""
        self._closing.set()

    def add_stream(self, owner: str, limit: int) -> bool:
        """Count a new stream of the user. False, without counting it, if `limit` are open."""
        if self.open[owner] >= limit:
            return False
        self.open[owner] += 1
        return True

    def remove_stream(self, owner: str) -> None:
        """Called when one of the user's streams has ended."""
        self.open[owner] -= 1
        if not self.open[owner]:
            del self.open[owner]
            self._cache.pop(owner, None)

    async def pause(self, seconds: float) -> None:
        """Sleep, but return early when the server shuts down."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def jobs(self, owner: str) -> list[Job]:
        """The user's jobs as in `JobStore.jobs`, cached for 0.4 s so that all streams of a user share one read."""
        async with self._lock:
            read_s, jobs = self._cache.get(owner, (float("-inf"), []))
            if time.monotonic() - read_s > _CACHE_S:
                jobs = await self._jobs.jobs(owner)
                self._cache[owner] = time.monotonic(), jobs
        return jobs
