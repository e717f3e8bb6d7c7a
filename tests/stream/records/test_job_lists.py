"""An owner's list of jobs, page by page, and what has changed in it."""

import time

import pytest

from stream.records.job_store import JobStore
from stream.records.jobs import Job
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.jobs import finished, job_store, listed, new_job, planned, taken


async def submitted(store: JobStore, count: int, owner: str = "ann") -> list[Job]:
    """New jobs, newest first."""
    return [await store.submit(new_job(owner=owner)) for _ in range(count)][::-1]


async def pages(store: JobStore, limit: int) -> list[list[Job]]:
    found, cursor = list[list[Job]](), ""
    while not found or cursor:
        page = await store.page("ann", limit, cursor)
        found.append(page.jobs)
        cursor = page.next
    return found


@asynctest
async def test_pages_have_every_job_once_newest_first(server: RedisServer) -> None:
    async with job_store(server) as store:
        jobs = await submitted(store, 7)
        await submitted(store, 2, "bob")
        assert await pages(store, 3) == [jobs[:3], jobs[3:6], jobs[6:]]
        assert await pages(store, 7) == [jobs], "no empty page follows"
        assert await pages(store, 200) == [jobs]
        assert await store.page("eve", 5) == await store.page("eve", 5, "")


@asynctest
async def test_the_order_is_stable_while_jobs_are_added_and_removed(server: RedisServer) -> None:
    async with job_store(server) as store:
        jobs = await submitted(store, 6)
        first = await store.page("ann", 2)
        new = await submitted(store, 1)
        for gone in (jobs[1], jobs[3]):  # the cursor's own job, and one that is still to come
            await store.cancel(gone.id)
            await store.remove(gone.id)
        await store.cancel(jobs[4].id)  # a change does not move it
        second = await store.page("ann", 2, first.next)
        assert [job.id for job in second.jobs] == [jobs[2].id, jobs[4].id]
        assert (await store.page("ann", 2, second.next)).jobs == [jobs[5]]
        assert (await store.page("ann", 1)).jobs == new


@asynctest
async def test_jobs_of_the_same_microsecond(server: RedisServer) -> None:
    async with job_store(server) as store:
        ids = sorted((job.id for job in await submitted(store, 5)), reverse=True)
        with server.client() as raw:
            for id in ids:
                raw.zadd("mattebox:listed:ann", {id: 1_800_000_000_000_000})
        first = await store.page("ann", 2)
        for job in first.jobs:
            await store.cancel(job.id)
            await store.remove(job.id)
        following = await store.page("ann", 3, first.next)
        assert [job.id for job in first.jobs + following.jobs] == ids


@asynctest
async def test_only_the_records_of_one_page_are_read(server: RedisServer) -> None:
    async with job_store(server) as store:
        await submitted(store, 60)
        page = await store.page("ann", 10)
        with server.client() as raw:
            raw.config_resetstat()
            following = await store.page("ann", 10, page.next)
            assert raw.info("commandstats")["cmdstat_hgetall"]["calls"] == 10
        assert len(following.jobs) == 10


@asynctest
async def test_jobs_that_are_not_listed(server: RedisServer) -> None:
    async with job_store(server) as store:
        hidden = await store.submit(new_job(owner="ann", listed=False))
        jobs = await submitted(store, 1)
        assert await listed(store, "ann") == jobs
        assert {job.id for job in await store.unfinished("ann")} == {hidden.id, jobs[0].id}
        assert hidden.id not in (await store.changes("ann", 0))[2]


@pytest.mark.parametrize("cursor", ["x", "1", "_", "1_x", "1_" + "0" * 36, "-1_" + "0" * 8, "9" * 40])
@asynctest
async def test_an_invalid_cursor(server: RedisServer, cursor: str) -> None:
    async with job_store(server) as store:
        with pytest.raises(ValueError, match="cursor"):
            await store.page("ann", 5, cursor)


@asynctest
async def test_records_that_expired_are_left_out(server: RedisServer) -> None:
    async with job_store(server) as store:
        jobs = await submitted(store, 5)
        with server.client() as raw:
            raw.delete(*(KEYS.job(job.id) for job in jobs[:3]))
            assert await pages(store, 2) == [jobs[3:]]
            assert raw.zcard("mattebox:listed:ann") == 2


@asynctest
async def test_jobs_of_an_older_version_are_listed_and_counted(server: RedisServer) -> None:
    async with job_store(server) as store:
        await finished(store, owner="ann")
        await submitted(store, 2)
        before = await listed(store, "ann")
        with server.client() as raw:
            for name in ("listed", "unfinished", "stored", "changed"):
                raw.delete(f"mattebox:{name}:ann")
            assert await listed(store, "ann") == before
            assert raw.scard(KEYS.unfinished("ann")) == 2


@asynctest
async def test_jobs_of_an_older_version_stay_listed_if_a_worker_continues_one_first(server: RedisServer) -> None:
    async with job_store(server) as store:
        await finished(store, owner="ann")
        await submitted(store, 2)
        before = {job.id for job in await listed(store, "ann")}
        with server.client() as raw:
            for name in ("listed", "unfinished", "stored", "changed"):
                raw.delete(f"mattebox:{name}:ann")
            await store.renew(await taken(store), 5)
            assert {job.id for job in await listed(store, "ann")} == before
            assert raw.scard(KEYS.unfinished("ann")) == 2


@asynctest
async def test_changes(server: RedisServer) -> None:
    async with job_store(server) as store:
        since, complete, _ = await store.changes("ann", 0)
        assert not complete, "there was no earlier call"
        first, second = await planned(store, 1, owner="ann"), await store.submit(new_job(owner="ann"))
        await store.cancel((await store.submit(new_job(owner="bob"))).id)
        since, complete, ids = await store.changes("ann", since)
        assert (complete, set(ids)) == (True, {first.id, second.id})
        later, _, _ = await store.changes("ann", since + 1)
        assert (await store.changes("ann", later))[1:] == (True, [])
        await store.renew(await taken(store), 5)
        await store.cancel(second.id)
        await store.remove(second.id)
        _, complete, ids = await store.changes("ann", later)
        assert (complete, set(ids)) == (True, {first.id, second.id})
        a_minute_ago = int((time.time() - 61) * 1e6)
        assert not (await store.changes("ann", a_minute_ago))[1]
