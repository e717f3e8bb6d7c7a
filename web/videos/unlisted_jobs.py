"""Jobs that answer one request: they run before their owner's other jobs, are in no list, and are removed after it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stream.errors import StoreError
from stream.records.jobs import Job, JobState, Media
from stream.records.live import NO_WORKER
from web.context import Context
from web.http.problems import Problem
from web.videos.jobs import forget, quota, quota_problems

_POLL_S = 0.15
_START_S = 20.0  # a worker that restarts is back by then


@asynccontextmanager
async def result_of(here: Context, job: Job, limit_s: float, purpose: str) -> AsyncIterator[Job]:
    """Run an unlisted job. Yields it when it is done, with its results in storage, which are removed afterwards.

    purpose: what it is for, in errors. Raises Problem 422 if it failed, 503 after `limit_s` seconds.
    """
    async with quota_problems():
        await here.jobs.submit(job, quota=quota(here))
    try:
        ended = await _ended(here, job, limit_s, purpose)
        if ended.state is not JobState.DONE or job.outputs[0].name not in ended.results:
            raise Problem(422, ended.reason or "failed", ended.detail or f"the {purpose} failed")
        yield ended
    finally:
        await asyncio.shield(_clean_up(here, job.id))


def frame_s(media: Media | None) -> float:
    """How long a frame is shown, in seconds."""
    return 1 / media.fps if media and media.fps else 0.04


def existing_s(at_s: float, media: Media | None) -> float:
    """This time, or that of the last frame if the video ends earlier."""
    return min(at_s, max(0.0, media.duration_s - frame_s(media))) if media and media.duration_s else at_s


async def _ended(here: Context, job: Job, limit_s: float, purpose: str) -> Job:
    """The job once it has ended."""
    began_s = time.monotonic()
    while (waited_s := time.monotonic() - began_s) < limit_s:
        current = await here.jobs.job(job.id)
        if current is None or current.state.final:
            return current or job
        if waited_s > _START_S and current.state is JobState.QUEUED and not await here.store.workers("files"):
            break
        await asyncio.sleep(_POLL_S)
    raise Problem(503, NO_WORKER, f"no worker was available for the {purpose}; try again soon", retry_s=5)


async def _clean_up(here: Context, id: str) -> None:
    """Remove the job. What cannot be removed now is left to the sweeper."""
    with suppress(StoreError):  # it has ended, or Redis is unreachable
        await here.jobs.cancel(id)
    with suppress(StoreError):
        job = await here.jobs.job(id)
        if job is not None:
            await forget(here, job)
