"""When waiting jobs start: read from Redis at most once a second, for all requests and event streams of this process.

Knows nothing about HTTP.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

from stream.records.job_queue import Place
from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobState

_CACHE_S = 1.0


class JobForecast:
    def __init__(self, jobs: JobStore) -> None:
        self._jobs, self._lock = jobs, asyncio.Lock()
        self._read_s, self._places = float("-inf"), dict[str, Place]()

    async def places(self, jobs: Iterable[Job]) -> Mapping[str, Place]:
        """The places of those of the jobs that are queued, by id. Redis is not asked if none is. Raises StoreDown."""
        queued = [job.id for job in jobs if job.state is JobState.QUEUED]
        known = await self._current() if queued else {}
        return {id: known[id] for id in queued if id in known}

    async def _current(self) -> Mapping[str, Place]:
        async with self._lock:
            if time.monotonic() - self._read_s > _CACHE_S:
                self._places = await self._jobs.forecast()
                self._read_s = time.monotonic()
        return self._places
