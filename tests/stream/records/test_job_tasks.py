"""The counts of waiting and running tasks, by which file workers are scaled."""

import asyncio

import pytest

from stream.records import redis_keys
from stream.records.jobs import TaskCounts
from tests.servers import RedisServer
from tests.stream.records.jobs import job_store, new_job, planned, taken

WAITING = f"{redis_keys.PREFIX}waiting"


def test_tasks_are_counted_while_no_worker_runs(server: RedisServer) -> None:
    async def run() -> None:
        async with job_store(server) as store:
            assert await store.tasks() == TaskCounts(0, 0)
            jobs = [await store.submit(new_job(owner=owner)) for owner in ("ann", "ann", "bob")]
            assert await store.tasks() == TaskCounts(3, 0)
            await store.pause(jobs[0].id)
            assert await store.tasks() == TaskCounts(2, 0), "nobody may take the task of a paused job"
            await store.resume(jobs[0].id)
            await store.cancel(jobs[1].id)
            assert await store.tasks() == TaskCounts(2, 0)

    asyncio.run(run())


def test_a_job_counts_as_the_number_of_its_tasks(server: RedisServer) -> None:
    async def run() -> None:
        async with job_store(server) as store:
            await planned(store, segments=5)
            assert await store.tasks() == TaskCounts(5, 0)
            task = await taken(store, "w1")
            await taken(store, "w2")
            assert await store.tasks() == TaskCounts(3, 2)
            await store.segment_done(task, 10)
            assert await store.tasks() == TaskCounts(3, 1)
            await store.worker_lost("w2")
            assert await store.tasks() == TaskCounts(4, 0)

    asyncio.run(run())


def test_counting_takes_the_same_number_of_commands_for_any_number_of_jobs(server: RedisServer) -> None:
    async def commands() -> int:
        async with job_store(server) as store:
            await store.tasks()
            with server.client() as client:
                before = int(client.info("commandstats").get("cmdstat_hget", {}).get("calls", 0))
                await store.tasks()
                return int(client.info("commandstats")["cmdstat_hget"]["calls"]) - before

    async def run() -> None:
        assert await commands() == 1
        async with job_store(server) as store:
            for number in range(30):
                await store.submit(new_job(owner=f"owner{number % 7}"))
            assert await store.tasks() == TaskCounts(30, 0)
        assert await commands() == 1

    asyncio.run(run())


def test_the_count_has_an_expiry_and_none_is_left_behind(server: RedisServer) -> None:
    async def run() -> None:
        async with job_store(server) as store:
            job = await store.submit(new_job())
            with server.client() as client:
                assert client.ttl(WAITING) > 0
                await store.cancel(job.id)
                assert not client.exists(WAITING)

    asyncio.run(run())


@pytest.mark.parametrize("count", [None, 7])
def test_wrong_counts_of_an_older_version_are_corrected(server: RedisServer, count: int | None) -> None:
    """count: what is stored for a job with one waiting task; None: nothing, because that version does not count."""

    async def run() -> None:
        async with job_store(server) as store:
            job = await store.submit(new_job())
            with server.client() as client:
                client.delete(WAITING)
                if count is not None:
                    client.hset(WAITING, mapping={job.id: count, "vanished": 2, "total": count + 2})
            for _ in range(100):  # each round corrects a few
                await store.reap_jobs()
            assert await store.tasks() == TaskCounts(1, 0)

    asyncio.run(run())
