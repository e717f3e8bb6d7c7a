"""Removes expired uploads, expired jobs with their results, and files without a record.

Every web process runs a sweeper; removing something twice is harmless.
"""

import asyncio
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from stream.errors import BadMove
from stream.records.jobs import JobState, JobSummary
from stream.records.upload_records import Busy
from stream.storage import keys
from web.context import Context
from web.http.threads import in_thread
from web.stores.uploads import stored
from web.videos.jobs import forget

_INTERVAL_S = 60.0
_CANCELLED_S = 60.0  # until the files of a cancelled job are removed; by then its workers have stopped
_DRAFT_S = 86_400.0  # until drafts that are not written to are removed
_ORPHAN_S = 86_400.0  # until files without a record are removed: Redis may return with its data


class Sweeper:
    """The age of jobs, and of uploads to a bucket, is measured by the clock of Redis, which wrote their times. That of
    other uploads and files is measured by this machine's clock, as are their times; another web machine's may differ,
    but uploads are kept for hours.

    Keeps the time at which it first found each folder of a job or an upload without a record, in Unix time.
    """

    def __init__(self, here: Context) -> None:
        self._here = here
        self._orphans: dict[str, float] = {}
        self._lost_uploads: dict[str, float] = {}

    async def wait_and_sweep(self) -> None:
        """One round. While Redis is unavailable it is unknown what may be removed: nothing is."""
        await asyncio.sleep(_INTERVAL_S)
        await self.sweep()

    async def sweep(self, ahead_s: float = 0.0) -> None:
        """Remove everything that will have expired `ahead_s` seconds from now. Raises StoreDown, DiskError."""
        now_s, redis_now_s = time.time() + ahead_s, await self._here.jobs.link.now_s() + ahead_s
        jobs = await self._here.jobs.summaries()
        needed = {job.source for job in jobs if not job.state.final or job.state is JobState.FAILED}
        await self._sweep_uploads(needed, now_s, ahead_s)
        for job in await self._here.jobs.expired(redis_now_s - self._here.settings.jobs_keep_s):
            with suppress(BadMove):  # retried just now
                await forget(self._here, job)
        await in_thread(self._sweep_files, jobs, redis_now_s)
        for place in (self._here.background_store, self._here.storage):
            await in_thread(place.forget_drafts, now_s - _DRAFT_S)
        await self._here.upload_store.forget_drafts(now_s - _DRAFT_S)

    async def _sweep_uploads(self, needed: Collection[str], now_s: float, ahead_s: float) -> None:
        kept = await self._here.upload_store.kept(ahead_s)
        for upload in kept.expired:
            if upload.source not in needed:
                with suppress(Busy):  # its writer has returned
                    await self._here.upload_store.remove(upload)
        await in_thread(self._sweep_other_uploads, kept.known, needed, now_s)

    def _sweep_other_uploads(self, known: Collection[str], needed: Collection[str], now_s: float) -> None:
        """Uploads in storage that only another machine knows, or whose records were lost."""
        grace_s = self._here.settings.upload_keep_s  # another machine may have extended it without updating storage
        others = _ids(self._here.storage.keys(keys.UPLOADS)).difference(known)
        found = {id: stored(self._here.storage, id) for id in others}
        for id, upload in found.items():
            if upload and upload.expires_s + grace_s < now_s and upload.source not in needed:
                self._here.storage.remove_all(keys.upload(id))
        lost = (id for id, upload in found.items() if upload is None)
        self._lost_uploads = {id: self._lost_uploads.get(id, now_s) for id in lost}
        for id, since_s in self._lost_uploads.items():
            if since_s + _ORPHAN_S < now_s:
                self._here.storage.remove_all(keys.upload(id))

    def _sweep_files(self, jobs: Iterable[JobSummary], now_s: float) -> None:
        records = {job.id: job for job in jobs}
        found = _ids(self._here.storage.keys(keys.JOBS))
        for id in found & records.keys():
            job = records[id]
            if job.state is JobState.CANCELLED and job.ended_s + _CANCELLED_S < now_s:
                self._here.storage.remove_all(keys.job(id))
        self._orphans = {id: self._orphans.get(id, now_s) for id in found - records.keys()}
        for id, since_s in self._orphans.items():
            if since_s + _ORPHAN_S < now_s:
                self._here.storage.remove_all(keys.job(id))


def _ids(storage_keys: Iterable[str]) -> set[str]:
    return {keys.id_of(key) for key in storage_keys}
