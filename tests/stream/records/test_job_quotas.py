"""The quotas of an owner's jobs: checked with the submission, and counted without drift."""

import asyncio
import time

import pytest

from stream.errors import JobsTooLarge, TooManyJobs
from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobState, Media, Quota, StoredResult
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.jobs import finished, job_store, new_job, planned, taken

LARGE = 10**15


def counts(server: RedisServer, owner: str = "ann") -> tuple[int, int]:
    """The number of the owner's unfinished jobs, and the bytes of all of them."""
    with server.client() as raw:
        unfinished, total = raw.scard(KEYS.unfinished(owner)), raw.hget(KEYS.stored(owner), "total")
        return int(str(unfinished)), int(str(total or 0))


async def stored(store: JobStore, sizes: list[int]) -> Job:
    """A finished job whose results have these sizes."""
    await planned(store, 1, owner="ann")
    await store.segment_done(await taken(store), 10)
    results = {f"r{n}": StoredResult(key="k", bytes=size, mime="video/mp4") for n, size in enumerate(sizes)}
    return await store.joined(await taken(store), results)


@asynctest
async def test_simultaneous_submissions_do_not_exceed_the_number(server: RedisServer) -> None:
    async with job_store(server) as one, job_store(server) as two:
        calls = [store.submit(new_job(owner="ann"), "", Quota(7, LARGE)) for store in (one, two) for _ in range(30)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, Job) for result in results) == 7
        assert {type(result) for result in results} == {Job, TooManyJobs}
        assert counts(server) == (7, 0)
        await one.submit(new_job(owner="bob"), "", Quota(1, LARGE))


@asynctest
async def test_simultaneous_retries_do_not_exceed_the_number(server: RedisServer) -> None:
    async with job_store(server) as store:
        jobs = [await store.submit(new_job(owner="ann")) for _ in range(6)]
        for n in range(6):
            await store.fail(await taken(store, f"w{n}"), "disk", "full")
        results = await asyncio.gather(*(store.retry(job.id, Quota(2, LARGE)) for job in jobs), return_exceptions=True)
        assert sum(isinstance(result, Job) for result in results) == 2
        assert counts(server) == (2, 0)


@asynctest
async def test_a_repeated_submission_is_not_counted(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await store.submit(new_job(owner="ann"), "key", Quota(1, LARGE))
        assert await store.submit(new_job(owner="ann"), "key", Quota(1, LARGE)) == job
        with pytest.raises(TooManyJobs, match="1 unfinished"):
            await store.submit(new_job(owner="ann"), "other", Quota(1, LARGE))


@asynctest
async def test_bytes_are_reserved_for_unfinished_jobs(server: RedisServer) -> None:
    """One at a time is admitted while there is room, so all together exceed the limit by less than one video."""
    async with job_store(server) as store:
        calls = [store.submit(new_job(owner="ann", media=Media(bytes=400)), "", Quota(99, 1000)) for _ in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, Job) for result in results) == 3
        assert {type(result) for result in results} == {Job, JobsTooLarge}
        assert counts(server) == (3, 1200)
        for job in await store.unfinished("ann"):
            await store.cancel(job.id)
        assert counts(server) == (0, 0), "a cancelled job has no results"


@asynctest
async def test_bytes_of_results_and_fetched_videos(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await stored(store, [300, 20])
        assert counts(server) == (0, 320)
        url = new_job(owner="ann", url="http://example.org/x.mp4")
        await store.submit(url)
        await store.planned(await taken(store), "", [10], Media(bytes=50))
        assert counts(server) == (1, 320 + 2 * 50), "as much again is reserved for its results"
        await store.fail(await taken(store), "disk", "full")
        assert counts(server) == (0, 370)
        with pytest.raises(JobsTooLarge, match="370 of 370"):
            await store.retry(url.id, Quota(9, 370))
        assert (await store.retry(url.id, Quota(9, 371))).state is JobState.QUEUED
        await store.cancel(url.id)
        for id in (url.id, job.id):
            await store.remove(id)
        assert counts(server) == (0, 0)


@asynctest
async def test_a_restored_job_is_counted_once(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 3, owner="ann", media=Media(bytes=7))
        tasks = [await taken(store, f"w{n}") for n in range(2)]
        before = counts(server)
        with server.client() as raw:
            raw.flushall()
        assert counts(server) == (0, 0)
        for task in (*tasks, *tasks):
            await store.restore(task, [10] * 3, [])
        assert counts(server) == before == (1, 0)


@asynctest
async def test_expired_records_are_not_counted(server: RedisServer) -> None:
    async with job_store(server) as store:
        kept = await finished(store, owner="bob")
        await stored(store, [300])
        lost = [(await store.submit(new_job(owner="ann"))).id for _ in range(3)]
        with server.client() as raw:
            for id in lost:
                raw.delete(KEYS.job(id))  # as when it expires
                raw.zadd(KEYS.jobs_of("ann"), {id: time.time() - 1})
        await store.submit(new_job(owner="ann"), "", Quota(1, LARGE))
        assert counts(server) == (1, 300)
        assert await store.job(kept.id) == kept


@asynctest
async def test_nothing_is_left_of_an_owner_without_jobs(server: RedisServer) -> None:
    async with job_store(server) as store:
        await store.remove((await stored(store, [300])).id)
        with server.client() as raw:
            left = {str(key) for key in raw.scan_iter("*:ann")}
            assert left <= {"mattebox:changed:ann"}
            assert all(0 < int(str(raw.ttl(key))) <= 60 for key in left)
