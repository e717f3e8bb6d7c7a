"""The scripts that run all the time cost as much in a large installation as in a small one.

The numbers of commands that they run in Redis are compared, which do not depend on the speed of this machine.
`mattebox bench fleet` measures the times.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from stream.records import lifetimes
from stream.records.job_store import JobTask
from stream.records.redis_keys import PREFIX
from stream.records.redis_link import RedisLink
from tests.servers import RedisServer, asynctest
from tests.stream.records.jobs import job_store, planned, taken
from workers.bench.fleet.measure import extend_leases, measured
from workers.bench.fleet.operations import OPERATIONS
from workers.bench.fleet.population import Population, Size, populate
from workers.bench.fleet.server import usage

SMALL, LARGE = Size(3, sessions=3, tasks=6), Size(30, sessions=3, tasks=6)
CALLS = 3
HOUSEKEEPING = ("repaired", "swept", "feeds-repaired")  # while these keys exist, another process has just done it


@asynccontextmanager
async def installation(server: RedisServer, size: Size, housekeeping: bool = False) -> AsyncIterator[Population]:
    link = RedisLink(server.url)
    try:
        with server.client() as raw:
            raw.flushall()
            people = await populate(link, size)
            await extend_leases(link)
            for name in HOUSEKEEPING:
                raw.delete(PREFIX + name)
                if not housekeeping:
                    raw.set(PREFIX + name, "", ex=3600)
        yield people
    finally:
        await link.close()


async def commands(server: RedisServer, size: Size, housekeeping: bool = False) -> dict[str, float]:
    """Commands per call of each operation."""
    async with installation(server, size, housekeeping) as people:
        return {
            operation.name: (await measured(people, operation, CALLS, 1, pause_s=0)).usage.commands / CALLS
            for operation in OPERATIONS
        }


@pytest.mark.long
@asynctest
async def test_no_call_of_a_large_installation_runs_more_commands(server: RedisServer) -> None:
    """Ten times the workers, sessions, tasks, owners and feeds. What was linear would run several times as many."""
    small, large = await commands(server, SMALL), await commands(server, LARGE)
    assert large.pop("live offer") < 3 * small["live offer"] + 10, "workers that wait for it ask again every second"
    assert {name: count for name, count in large.items() if count > 1.2 * small[name] + 1} == {}, small


@pytest.mark.long
@asynctest
async def test_housekeeping_is_done_in_parts_of_a_fixed_size(server: RedisServer) -> None:
    async def once(size: Size) -> dict[str, int]:
        counts = {}
        async with installation(server, size) as people:
            for name in ("live reap", "job reap", "feed reap"):
                operation = next(each for each in OPERATIONS if each.name == name)
                counts[name] = 0
                for _ in range(3):  # the three parts of the housekeeping of jobs
                    with server.client() as raw:
                        raw.delete(*(PREFIX + gate for gate in HOUSEKEEPING))
                    counts[name] += (await measured(people, operation, 1, 1, pause_s=0)).usage.commands
        return counts

    small, large = (
        await once(Size(30, sessions=1, tasks=5, owners=1)),
        await once(Size(120, sessions=1, tasks=5, owners=1)),
    )
    assert {name: count for name, count in large.items() if count > 1.1 * small[name] + 10} == {}, small


@asynctest
async def test_only_one_process_does_the_housekeeping_of_all(server: RedisServer) -> None:
    async with installation(server, SMALL, housekeeping=True) as people:
        counts = []
        for _ in range(2):
            before = await usage(people.link)
            await people.live.reap()
            await people.jobs.reap_jobs()
            await people.feed_store.reap()
            counts.append((await usage(people.link) - before).commands)
    assert counts[1] < 0.7 * counts[0]


async def whole_reads(server: RedisServer, link: RedisLink, tasks: Iterable[JobTask]) -> int:
    """How many hashes are read completely by a renewal and the end of each task."""

    def count() -> int:
        with server.client() as raw:
            return int(raw.info("commandstats").get("cmdstat_hgetall", {}).get("calls", 0))

    before = count()
    async with job_store(server) as store:
        for task in tasks:
            await store.renew(task, 5)
            await store.segment_done(task, 10)
    return count() - before


@asynctest
async def test_progress_does_not_read_the_tasks_of_the_job(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 9)
        tasks = [await taken(store, f"w{n}") for n in range(8)]
        assert await whole_reads(server, store.link, tasks) == 2 * len(tasks), "the record alone, in each reply"


@asynctest
async def test_a_renewal_extends_the_lifetime_of_a_record_once_in_a_while(server: RedisServer) -> None:
    async with installation(server, SMALL) as people:
        session = people.sessions[0][0]
        key = f"{PREFIX}session:{session.id}"
        with server.client() as raw:
            raw.expire(key, 100)
            await people.live.renew([session])
            assert int(str(raw.ttl(key))) <= 100
            raw.hset(key, "kept_s", 1)
            await people.live.renew([session])
            assert int(str(raw.ttl(key))) > lifetimes.KEEP_S - 10


@pytest.mark.parametrize("count", [1, 450])
@asynctest
async def test_a_worker_renews_any_number_of_sessions(server: RedisServer, count: int) -> None:
    async with installation(server, Size(1, sessions=count, tasks=5)) as people:
        (sessions,) = people.sessions
        assert await people.live.renew(sessions) == set()
        with server.client() as raw:
            raw.hset(f"{PREFIX}session:{sessions[-1].id}", "fence", 9)
            assert raw.zcard(PREFIX + "due") == count
        assert await people.live.renew(sessions) == {sessions[-1].id}
