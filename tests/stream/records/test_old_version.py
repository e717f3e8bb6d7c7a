"""Processes of the version before indexes and of this one on one Redis: nothing is lost, and indexes are repaired."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.records.feed_store import FeedStore
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import JobState, Media, TaskCounts
from stream.records.live import SessionState
from stream.records.live_store import LiveStore
from stream.records.options import FeedOptions
from stream.records.redis_keys import PREFIX
from tests.servers import RedisServer, asynctest
from tests.stream.records import live
from tests.stream.records.feeds import claimed, created
from tests.stream.records.jobs import job_store, new_job, planned, taken
from tests.stream.records.old_version import old_link

GATES = tuple(PREFIX + name for name in ("repaired", "feeds-repaired"))
INDEXES = ("running", "busy", "turns", "state-of", "states", "speeds", "repair", "feeds-unmatted")


@asynccontextmanager
async def both(server: RedisServer) -> AsyncIterator[tuple[JobStore, JobStore]]:
    """A store of the old version, and one of this."""
    async with old_link(server) as link, job_store(server) as store:
        yield JobStore(link), store


async def repair(server: RedisServer, store: JobStore, rounds: int = 12) -> None:
    """As many rounds of housekeeping, without the pauses between them."""
    with server.client() as raw:
        for _ in range(rounds):
            raw.delete(*GATES)
            await store.reap_jobs()


async def next_task(server: RedisServer, store: JobStore, worker: str) -> JobTask:
    """The next task, without waiting until a worker that finds none may repair the turns."""
    with server.client() as raw:
        raw.delete(*GATES)
    return await taken(store, worker)


def index(server: RedisServer) -> dict[str, object]:
    """The indexes of running tasks and of turns."""
    with server.client() as raw:
        read = {"zset": lambda key: raw.zrange(key, 0, -1), "hash": raw.hgetall}
        return {
            name: read[kind](PREFIX + name)
            for name, kind in (("running", "zset"), ("busy", "hash"), ("turns", "zset"), ("states", "hash"))
        }


@asynctest
async def test_a_job_that_an_old_process_queued_is_taken_at_once(server: RedisServer) -> None:
    async with both(server) as (old, store):
        job = await old.submit(new_job(owner="ann"))
        assert (await taken(store)).job.id == job.id


@asynctest
async def test_a_job_of_an_old_process_is_taken_while_others_have_work(server: RedisServer) -> None:
    async with both(server) as (old, store):
        for _ in range(3):
            await store.submit(new_job(owner="bob"))
        job = await old.submit(new_job(owner="ann"))
        await repair(server, store)
        assert job.id in {(await taken(store, f"w{n}")).job.id for n in range(2)}


@asynctest
async def test_tasks_of_old_workers_count_in_the_turns_of_owners(server: RedisServer) -> None:
    async with both(server) as (old, store):
        await planned(old, 6, owner="ann")
        tasks = [await taken(old, f"old{n}") for n in range(3)]
        await planned(store, 6, owner="bob")
        await taken(store, "new")
        await repair(server, store)
        assert index(server)["busy"] == {"ann": "3", "bob": "1"}
        assert [(await taken(store, f"w{n}")).job.owner for n in range(2)] == ["bob", "bob"]
        for task in tasks:
            await old.segment_done(task, 10)
        await repair(server, store)
        assert index(server)["busy"] == {"bob": "3"}
        assert (await taken(store, "w3")).job.owner == "ann"


@asynctest
@pytest.mark.parametrize("first", [0, 1])
async def test_old_and_new_workers_complete_a_job_together(server: RedisServer, first: int) -> None:
    """Each call is made by the other version. first: which one begins."""
    async with both(server) as stores:
        turns = itertools.cycle((stores[first], stores[1 - first]))
        job = await next(turns).submit(new_job(owner="ann"))
        task = await next_task(server, next(turns), "planner")
        await next(turns).planned(task, "", [10] * 6, Media())
        for _ in range(3):
            pair = [await next_task(server, next(turns), f"w{n}") for n in range(2)]
            for task in pair:
                await next(turns).renew(task, 5)
            await next(turns).hand_back(pair[0])
            for task in (await next_task(server, next(turns), "w2"), pair[1]):
                await next(turns).segment_done(task, 10)
        join = await next_task(server, next(turns), "joiner")
        assert join.name == "join"
        done = await next(turns).joined(join, {})
        assert (done.id, done.state) == (job.id, JobState.DONE)
        assert (done.progress.frames, done.progress.segments_done) == (60, 6)
        await repair(server, stores[1])
        assert await stores[1].tasks() == TaskCounts(0, 0)
        assert index(server) == {"running": [], "busy": {}, "turns": [], "states": {"done": "1"}}


@asynctest
async def test_the_last_segment_is_noticed_whichever_version_finished_the_others(server: RedisServer) -> None:
    """An old process changes a task without a trace in the sums, as if in the millisecond of the last report."""
    async with both(server) as (old, store):
        job = await planned(store, 2)
        first, second = await taken(store, "w1"), await taken(store, "w2")
        await store.renew(second, 1)
        await old.segment_done(first, 10)
        with server.client() as raw:
            key = f"{PREFIX}job:{job.id}"
            raw.hset(key, mapping={"sums_s": str(raw.hget(key, "counted_s")), "sum_done": 0, "sum_segments": 2})
        await store.segment_done(second, 10)
        assert (await taken(store, "w3")).name == "join"


@asynctest
async def test_all_indexes_are_made_for_the_records_of_an_old_version(server: RedisServer) -> None:
    async with job_store(server) as store:
        for number in range(150):
            await store.submit(new_job(owner=f"o{number % 40}"))
        for number in range(30):
            await taken(store, f"w{number}")
        await store.pause((await store.submit(new_job(owner="o1"))).id)
        before = index(server)
        with server.client() as raw:
            raw.delete(*(PREFIX + name for name in INDEXES))
        await repair(server, store, 30)
        assert index(server) == before
        totals = await store.totals()
        assert totals.states == {JobState.QUEUED: 120, JobState.RUNNING: 30, JobState.PAUSED: 1}


@asynctest
async def test_totals_follow_the_jobs_of_old_processes(server: RedisServer) -> None:
    async with both(server) as (old, store):
        task = await _running(old)
        await repair(server, store)
        assert (await store.totals()).states == {JobState.RUNNING: 1}
        await old.cancel(task.job.id)
        await repair(server, store)
        assert (await store.totals()).states == {JobState.CANCELLED: 1}
        await old.remove(task.job.id)
        await repair(server, store)
        assert (await store.totals()).states == {}


async def _running(store: JobStore) -> JobTask:
    await planned(store, 1)
    return await taken(store)


@asynctest
async def test_a_task_of_a_dead_old_worker_is_queued_when_its_lease_expires(server: RedisServer) -> None:
    async with both(server) as (old, store):
        task = await _running(old)
        assert await store.worker_lost("w1") == []
        with server.client() as raw:
            for _ in range(2):  # marked, then queued
                raw.zadd(PREFIX + "leases", {f"{task.job.id} {task.name}": 1})
                await store.reap_jobs()
        assert (await taken(store, "w2")).name == task.name


@asynctest
async def test_all_feeds_of_a_dead_old_worker_are_released_together(server: RedisServer) -> None:
    async with old_link(server) as link:
        old, store = FeedStore(link), FeedStore(server.url)
        feeds = [await created(old, name) for name in ("a", "b")]
        for _ in feeds:
            await claimed(old, "old")
        with server.client() as raw:
            await store.reap()
            raw.delete(PREFIX + "feeds-grace")
            raw.zadd(PREFIX + "feeds-leased", {feeds[0].id: 1})  # the first lease to expire
            await store.reap()
            found = [raw.hmget(f"{PREFIX}feed:{feed.id}", "state", "deaths") for feed in feeds]
        assert found == [["waiting", "1"], ["waiting", "1"]], "both are suspects"
        await store.close()


@asynctest
async def test_a_feed_moves_between_old_and_new_workers(server: RedisServer) -> None:
    async with old_link(server) as link:
        old, store = FeedStore(link), FeedStore(server.url)
        feed = await created(store)
        for one, other in ((old, store), (store, old), (old, store)):
            held = await claimed(one, "w1")
            assert await one.renew([held]) == (set(), set())
            await one.hand_back(held.feed)
            held = await claimed(other, "w2")
            assert await other.renew([held]) == (set(), set())
            await one.reap()
            await other.hand_back(held.feed)
        await store.remove(feed.id)
        with server.client() as raw:
            assert not [key for key in raw.scan_iter() if "feeds-on" in key or "feeds-unmatted" in key]
        await store.close()


@asynctest
async def test_a_feed_that_an_old_process_queued_is_found_among_those_without_mattes(server: RedisServer) -> None:
    async with old_link(server) as link:
        old, store = FeedStore(link), FeedStore(server.url)
        await created(old, "matted")
        feed = await created(old, "plain", options=FeedOptions.read(background="none"))
        assert await store.claim("w1", unmatted=True) is None
        with server.client() as raw:
            raw.delete(*GATES)
        await store.reap()
        found = await store.claim("w1", unmatted=True)
        assert found is not None
        assert found.feed.id == feed.id
        await store.close()


@asynctest
async def test_a_session_is_renewed_by_a_worker_of_either_version(server: RedisServer) -> None:
    async with old_link(server) as link:
        old, store = _OldLive(link), LiveStore(server.url)
        session = await live.live(store, store, live.new())
        with server.client() as raw:
            raw.hdel(f"{PREFIX}session:{session.id}", "kept_s")  # as an old process writes it
            raw.expire(f"{PREFIX}session:{session.id}", 10)
            assert await old.renew([session]) == set()
            raw.expire(f"{PREFIX}session:{session.id}", 10)
            assert await store.renew([session]) == set()
            assert int(str(raw.ttl(f"{PREFIX}session:{session.id}"))) > 500
            raw.delete(f"{PREFIX}session:{session.id}")
        assert await old.renew([session]) == set()
        assert (await store.move(session, SessionState.ENDED)).state is SessionState.ENDED
        assert await old.renew([session]) == await store.renew([session]) == {session.id}
        await store.close()


class _OldLive(LiveStore):
    async def renew(self, sessions: object) -> set[str]:
        """With the arguments of the old script."""
        assert isinstance(sessions, list)
        pairs = [session.to_fields() for session in sessions]
        values = (value for fields in pairs for value in fields)
        return set(await self.link.run("live/renew", str(len(pairs[0])), *values))
