"""Records that a worker leaves to those of newer versions hold up no others, and reports that older versions read."""

import json
from collections.abc import Iterable

import pytest

from stream.records import versions
from stream.records.feeds import FeedReport, OutputReport
from stream.records.live import FeedCounts, Worker
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records import feeds, live
from tests.stream.records.jobs import job_store, new_job, planned, taken
from workers.bench.fleet.server import usage


def leave_to_others(server: RedisServer, keys: Iterable[str]) -> None:
    """As a newer version would have stored the records."""
    with server.client() as client:
        pipe = client.pipeline()
        for key in keys:
            pipe.hset(key, "format", "99")
        pipe.execute()


TRIES = (
    100  # of workers that look at some of many records at random: that none of them meets one is out of the question
)


@pytest.mark.parametrize("owners", [1, 40])
@asynctest
async def test_jobs_that_are_left_hold_up_no_others(server: RedisServer, owners: int) -> None:
    """Neither those behind them in the owner's queue nor those of other owners."""
    async with job_store(server) as store:
        ahead = [await store.submit(new_job(owner=f"ann{n % owners}", priority=9)) for n in range(40)]
        leave_to_others(server, (KEYS.job(job.id) for job in ahead))
        behind = {(await store.submit(new_job(owner=owner))).id for owner in ("ann0", "zoe")}
        for n in range(TRIES * 2):
            task = await store.take_task(f"w{n}", 0)
            behind -= {task.job.id} if task else set()
            if not behind:
                break
        assert not behind


@pytest.mark.parametrize(("owners", "each"), [((1, 1), (40, 120)), ((40, 120), (1, 1))], ids=["jobs", "owners"])
@asynctest
async def test_jobs_that_are_left_cost_a_limited_number_of_commands(
    server: RedisServer, owners: tuple[int, int], each: tuple[int, int]
) -> None:
    counts = []
    async with job_store(server) as store:
        for owner_count, job_count in zip(owners, each, strict=True):
            with server.client() as client:
                client.flushall()
                client.set("mattebox:repaired", "", ex=600)  # the housekeeping has just been done
            names = [f"ann{n}" for n in range(owner_count)]
            jobs = [await store.submit(new_job(owner=name)) for name in names for _ in range(job_count)]
            leave_to_others(server, (KEYS.job(job.id) for job in jobs))
            before = await usage(store.link)
            assert await store.take_task("w1", 0) is None
            counts.append((await usage(store.link) - before).commands)
    assert abs(counts[1] - counts[0]) <= 4, "those of the connection; each job has one at least"


@asynctest
async def test_feeds_that_are_left_hold_up_no_others(server: RedisServer) -> None:
    async with feeds.stores(server) as (store,):
        ahead = [await feeds.created(store, f"f{n}", owner=f"ann{n // 50}") for n in range(300)]
        leave_to_others(server, (KEYS.feed(feed.id) for feed in ahead))
        behind = await feeds.created(store, owner="zoe")
        found = None
        for _ in range(TRIES):
            if found := await store.claim("w1"):
                break
        assert found is not None
        assert found.feed.id == behind.id


# Reports: older programs get the part that they know.


REPORT = FeedReport(outputs=(OutputReport(id="0000000a", latency_ms=7.0),))


def test_a_report_has_a_text_for_programs_of_the_first_format() -> None:
    assert versions.report_texts(FeedReport())[1] == "", "it has nothing else"
    first, whole = versions.report_texts(REPORT)
    assert "latency_ms" not in first
    assert FeedReport.model_validate_json(whole) == REPORT


@asynctest
async def test_a_report_is_read_completely(server: RedisServer) -> None:
    async with feeds.stores(server) as (store,):
        await feeds.created(store)
        running = (await feeds.claimed(store)).feed
        await store.report(running, REPORT)
        found = await store.feed(running.id)
        assert found is not None
        assert found.report == REPORT
        assert (await store.summary()).running == [REPORT]
        with server.client() as client:
            assert "latency_ms" not in client.hget(KEYS.feed(running.id), "report"), "older versions refuse it"
        await store.report(running, FeedReport())
        assert (await store.summary()).running == [FeedReport()]


@asynctest
async def test_the_report_of_an_older_worker_is_not_replaced_by_that_of_the_one_before(server: RedisServer) -> None:
    async with feeds.stores(server) as (store,):
        await feeds.created(store)
        running = (await feeds.claimed(store)).feed
        await store.report(running, REPORT)
        older = {"fence": str(running.fence + 1), "worker": "older", "report": '{"source_state": "idle"}'}
        with server.client() as client:
            client.hset(KEYS.feed(running.id), mapping=older)
        found = await store.feed(running.id)
        assert found is not None
        assert found.report == FeedReport(source_state="idle")
        assert (await store.summary()).running == [found.report]


@asynctest
async def test_the_report_of_a_newer_worker_does_not_make_the_feed_unknown(server: RedisServer) -> None:
    async with feeds.stores(server) as (store,):
        await feeds.created(store)
        claimed = await feeds.claimed(store)
        newer = f'{claimed.feed.fence} {{"source_state": "live", "colour": 1}}'
        with server.client() as client:
            client.hset(KEYS.feed(claimed.feed.id), "whole_report", newer)
        found = await store.feed(claimed.feed.id)
        assert found is not None
        assert (found.report.source_state, found.newer) == ("live", False)


@asynctest
async def test_a_report_is_not_restored(server: RedisServer) -> None:
    """It would count as part of the record, which older workers would leave."""
    async with feeds.stores(server) as (store,):
        await feeds.created(store)
        running = (await feeds.claimed(store)).feed
        await store.report(running, REPORT)
        held = await store.read(running)
        with server.client() as client:
            client.flushall()
        assert await store.renew([held]) == (set(), set())
        restored = await store.feed(running.id)
        assert restored is not None
        assert restored.report == FeedReport()
        with server.client() as client:
            assert client.hget(KEYS.feed(running.id), "format") == "1"


@asynctest
async def test_a_heartbeat_is_read_completely(server: RedisServer) -> None:
    worker = Worker(id="w1", feeds=FeedCounts(frames_in=7))
    async with live.stores(server) as (store,):
        await store.beat(worker)
        assert [found.feeds for found in await store.workers()] == [worker.feeds]
        with server.client() as client:
            assert "feeds" not in json.loads(client.get(KEYS.worker("w1")) or ""), "older versions refuse it"
        await store.leave("w1")
        assert await store.workers() == []
        with server.client() as client:
            assert not client.exists(KEYS.whole_worker("w1"))


@asynctest
async def test_fields_of_the_scripts_are_not_taken_for_those_of_a_newer_version(server: RedisServer) -> None:
    """Otherwise the copy of a worker would restore them, with old values."""
    async with job_store(server) as jobs, feeds.stores(server) as (feed_store,), live.stores(server) as (sessions,):
        job = await planned(jobs, 1)
        await jobs.segment_done(await taken(jobs), 10)
        await feeds.created(feed_store)
        running = (await feeds.claimed(feed_store)).feed
        await feed_store.report(running, REPORT)
        session = await live.connecting(sessions, sessions, live.new())
        await sessions.renew([session])
        for record in (await jobs.job(job.id), await feed_store.feed(running.id), await sessions.session(session.id)):
            assert record is not None
            assert record.extra_fields().keys() == {versions.FIELD}
