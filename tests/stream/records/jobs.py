"""File jobs for tests of the job store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job, Media
from tests.servers import RedisServer


def new_job(**fields: Any) -> Job:
    return Job(id=str(uuid4()), source="uploads/1/source", **fields)


@asynccontextmanager
async def job_store(server: RedisServer) -> AsyncIterator[JobStore]:
    store = JobStore(server.url)
    try:
        yield store
    finally:
        await store.close()


async def taken(store: JobStore, worker: str = "w1") -> JobTask:
    task = await store.take_task(worker, 0)
    assert task is not None
    return task


async def planned(store: JobStore, segments: int = 2, worker: str = "w1", **fields: Any) -> Job:
    """A job planned into segments of ten frames, none of them taken."""
    job = await store.submit(new_job(**fields))
    task = await taken(store, worker)
    assert (task.job.id, task.name) == (job.id, "plan")
    return await store.planned(task, "the plan", [10] * segments, Media(duration_s=1.0))


async def finished(store: JobStore, **fields: Any) -> Job:
    await planned(store, 1, **fields)
    await store.segment_done(await taken(store), 10)
    return await store.joined(await taken(store), {})


async def listed(store: JobStore, owner: str = "") -> list[Job]:
    """The owner's list of jobs, which must fit on one page."""
    page = await store.page(owner, 200)
    assert not page.next
    return page.jobs
