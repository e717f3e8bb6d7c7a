"""Deaths of workers that run several feeds: who is blamed, and where the feeds are started again. A real Redis, whose
scripts read the clock of the test."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from stream.records import lifetimes
from stream.records.feeds import REASONS, SUSPECT
from stream.records.jobs import POISON
from stream.records.live import ENGINE_FAILED
from stream.records.live_store import LiveStore
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.feed_world import Clock, World
from tests.stream.records.feeds import claimed, created, stores

BACK_S = 5.0
NAMES = ("a", "b", "c", "d", "e")
INTERNAL = ("deaths", "losses", "trial_s")


@pytest.fixture
def clock(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with server.client() as raw:
        yield Clock(raw, monkeypatch)


@asynccontextmanager
async def world(server: RedisServer, clock: Clock, workers: int, room: int = 8) -> AsyncIterator[World]:
    live = LiveStore(server.url)
    try:
        yield World(live, clock, workers, room)
    finally:
        await live.close()


@pytest.mark.long
@asynctest
async def test_a_feed_that_kills_its_worker_fails_and_its_neighbours_do_not(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=1) as w:
        await w.add("a", "b", "killer", "c")
        await w.run(100)
        w.make_killer("killer", lambda: 1.0)
        await w.until_failed("killer")
        assert w.deaths == 2 + lifetimes.FEED_LOSSES, (
            "two of all feeds together, then of the killer as the only suspect"
        )
        for name in "abc":
            first, isolated, *later = w.pauses_s[name]
            assert max(first, *later) <= BACK_S
            assert isolated <= 2 * BACK_S + 3 * lifetimes.FEED_TRIAL_S, "it was started after the others"
        failed = await w.feed("killer")
        assert failed.reason == POISON


@pytest.mark.long
@asynctest
async def test_with_several_workers_neighbours_are_back_in_time(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=5) as w:
        await w.add("a", "b", "killer", "c")
        await w.run(100)
        w.make_killer("killer", lambda: 1.0)
        took_s = await w.until_failed("killer")
        assert took_s < 60
        assert max(pause_s for name in "abc" for pause_s in w.pauses_s[name]) <= BACK_S


@pytest.mark.long
@asynctest
@pytest.mark.parametrize("seed", range(2))
async def test_a_feed_that_kills_at_random_times_fails_alone(server: RedisServer, clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    async with world(server, clock, workers=2) as w:
        await w.add("a", "b", "killer")
        await w.run(2)
        w.make_killer("killer", lambda: rng.uniform(0, 12))
        await w.until_failed("killer")


@asynctest
async def test_two_feeds_that_kill_both_fail(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=2) as w:
        await w.add("a", "fast", "slow")
        await w.run(2)
        w.make_killer("fast", lambda: 0.5)
        w.make_killer("slow", lambda: 9.0)
        await w.until_failed("fast", "slow")


@asynctest
async def test_after_one_death_all_feeds_are_back_in_time_on_one_worker(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=1) as w:
        await w.add(*NAMES)
        await w.run(10)
        w.kill()
        await w.run(BACK_S)
        assert set((await w.states()).values()) == {"running"}
        with server.client() as raw:
            fields = [raw.hmget(KEYS.feed((await w.feed(name)).id), *INTERNAL) for name in NAMES]
            assert {tuple(each[:2]) for each in fields} == {("1", None)}, "all are suspects"
            assert all(15 <= float(trial_s) <= 20 for _, _, trial_s in fields), "twice as long as each has run"
            await w.run(lifetimes.FEED_PROVEN_S + 2)
            fields = [raw.hmget(KEYS.feed((await w.feed(name)).id), *INTERNAL) for name in NAMES]
            assert fields == [["0", "0", None]] * len(NAMES), "they ran well for a minute"


@asynctest
async def test_workers_that_die_by_themselves_fail_no_feed_that_had_neighbours(
    server: RedisServer, clock: Clock
) -> None:
    async with world(server, clock, workers=1) as w:
        await w.add("a", "b", "c")
        for _ in range(8):
            await w.run(15)
            w.kill()
        assert "failed" not in (await w.states()).values()


@asynctest
async def test_suspects_are_placed_apart_where_there_are_workers(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=2, room=1) as w:
        await w.add("a", "b")
        await w.run(2)
        w.kill(0)
        w.kill(1)
        w.room = 8
        await w.run(10)
        assert len({(await w.feed(name)).worker for name in "ab"}) == 2


@asynctest
async def test_an_isolated_feed_says_why_it_waits(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=1) as w:
        await w.add("a", "b")
        for _ in range(2):
            await w.run(6)
            w.kill()
        await w.run(6)
        found = sorted([await w.feed("a"), await w.feed("b")], key=lambda feed: feed.state)
        assert [(feed.state, feed.reason) for feed in found] == [("running", ""), ("waiting", SUSPECT)]
        await w.until_failed()
        assert {(await w.feed(name)).reason for name in "ab"} == {""}


@asynctest
async def test_a_claim_whose_worker_lives_is_not_held_against_the_feed(server: RedisServer, clock: Clock) -> None:
    """The reply to the claim was lost: the worker never learned of the feed."""
    async with world(server, clock, workers=1) as w:
        await w.add("a")
        w.lose_claims = True
        await w.run(6 * lifetimes.FEED_LOSSES * lifetimes.FEED_LEASE_S)
        found = await w.feed("a")
        assert found.fence >= 6 * lifetimes.FEED_LOSSES, "claimed and released that often"
        w.lose_claims = False
        await w.until_failed()


@asynctest
async def test_a_claim_of_a_silent_worker_that_never_renewed_it_counts_half(server: RedisServer, clock: Clock) -> None:
    """It may have lost Redis before it started the feed."""
    async with stores(server) as (store,):
        feed = await created(store)
        states = []
        for number in range(2 * lifetimes.FEED_LOSSES):
            assert (await claimed(store, f"w{number}")).feed.id == feed.id
            clock.advance(lifetimes.FEED_LEASE_S / 2)
            await store.reap()
            clock.advance(lifetimes.FEED_LEASE_S / 2)
            await store.reap()
            found = await store.feed(feed.id)
            assert found is not None
            states.append((str(found.state), found.reason))
            if found.state == "running":
                break
        assert states == [("waiting", "")] + [("waiting", SUSPECT)] * 4 + [("failed", POISON)]


@asynctest
async def test_a_feed_that_kills_before_the_first_renewal_fails(server: RedisServer, clock: Clock) -> None:
    async with world(server, clock, workers=2) as w:
        await w.add("killer", "a")
        w.make_killer("killer", lambda: 0.0)
        await w.until_failed("killer")


@pytest.mark.parametrize("reason", [POISON, ENGINE_FAILED])
def test_the_reason_of_a_failure_says_what_to_do(reason: str) -> None:
    assert REASONS[reason].endswith("then change it or start it again")
