import asyncio
from collections.abc import Iterator

import pytest

from stream.errors import FeedChanged, FeedNameTaken, Fenced, KeyReused, NoFeed, TooManyFeeds
from stream.records import lifetimes, redis_keys, scripts
from stream.records.feed_store import FeedStore
from stream.records.feeds import (
    FEED_MOVES,
    Feed,
    FeedOutput,
    FeedReport,
    FeedState,
    FeedSummary,
    OutputReport,
    OutputSecret,
)
from stream.records.jobs import POISON
from stream.records.live import Meters
from stream.records.options import FeedOptions
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.feeds import MOST, SECRETS, claimed, created, new_feed, stores


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leases that expire at once. Outages are not recognised, unless a test shortens FEED_SILENCE_S too."""
    monkeypatch.setattr(lifetimes, "FEED_LEASE_S", 0.0)
    monkeypatch.setattr(lifetimes, "FEED_SILENCE_S", 1e12)
    scripts.script.cache_clear()
    yield
    scripts.script.cache_clear()


async def found(store: FeedStore, feed: Feed) -> Feed:
    read = await store.feed(feed.id)
    assert read is not None
    return read


@asynctest
async def test_a_feed_is_created_claimed_reported_and_removed(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        feed = await created(web)
        assert (feed.state, feed.fence, feed.worker) == (FeedState.WAITING, 0, "")
        assert feed.created_s > 0
        taken = await claimed(worker)
        assert (taken.feed.id, taken.feed.state, taken.feed.worker, taken.feed.fence) == (feed.id, "running", "w1", 1)
        assert taken.secrets == SECRETS
        assert await worker.claim("w2") is None
        report = FeedReport(
            source_state="live",
            outputs=(OutputReport(id="0000000a", state="live", frames=7),),
            meters=Meters(fps_in=30),
        )
        await worker.report(taken.feed, report)
        assert (await found(web, feed)).report == report
        await web.remove(feed.id)
        assert await web.feed(feed.id) is None
        assert await worker.renew([taken]) == ({feed.id}, set()), "removed, and not restored"
        with pytest.raises(NoFeed):
            await web.remove(feed.id)
        with server.client() as raw:
            left = set(raw.scan_iter()) - {redis_keys.PREFIX + name for name in ("feeds-seen", "feeds-grace")}
            assert left == {f"{redis_keys.PREFIX}feed-removed:{feed.id}"}


@asynctest
async def test_names_are_unique_per_owner_and_their_number_is_limited(server: RedisServer) -> None:
    async with stores(server) as (store,):
        first = await created(store)
        with pytest.raises(FeedNameTaken, match="stage"):
            await created(store)
        assert await created(store, owner="bob")
        with pytest.raises(TooManyFeeds, match="1 feeds"):
            await store.create(new_feed("other"), SECRETS, 1)
        await store.remove(first.id)
        assert await store.create(new_feed("stage"), SECRETS, 1)


@asynctest
async def test_simultaneous_requests_cannot_exceed_the_limit(server: RedisServer) -> None:
    async with stores(server) as (store,):
        calls = [store.create(new_feed(f"n{n}"), SECRETS, 3) for n in range(12)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, Feed) for result in results) == 3
        assert sum(isinstance(result, TooManyFeeds) for result in results) == 9


@asynctest
async def test_a_repeated_request_returns_the_first_feed(server: RedisServer) -> None:
    async with stores(server) as (store,):
        feed = await store.create(new_feed(), SECRETS, MOST, "key", "digest")
        assert (await store.create(new_feed(), SECRETS, MOST, "key", "digest")).id == feed.id
        assert (await store.create(feed, SECRETS, MOST)).id == feed.id, "the reply to the first call was lost"
        with pytest.raises(KeyReused):
            await store.create(new_feed("other"), SECRETS, MOST, "key", "another digest")
        assert (await store.create(new_feed("third", owner="bob"), SECRETS, MOST, "key", "x")).owner == "bob"


@asynctest
async def test_pages_are_newest_first_and_stay_in_place(server: RedisServer) -> None:
    async with stores(server) as (store,):
        feeds = [await created(store, f"n{n}") for n in range(7)]
        await created(store, owner="bob")
        first = await store.page("ann", 3)
        assert [feed.name for feed in first.feeds] == ["n6", "n5", "n4"]
        await store.remove(feeds[4].id)
        await created(store, "new")
        second = await store.page("ann", 3, first.next)
        assert [feed.name for feed in second.feeds] == ["n3", "n2", "n1"]
        last = await store.page("ann", 3, second.next)
        assert ([feed.name for feed in last.feeds], last.next) == (["n0"], "")
        with pytest.raises(ValueError, match="cursor"):
            await store.page("ann", 3, "x")


@asynctest
async def test_the_feed_that_waited_longest_is_claimed_first(server: RedisServer) -> None:
    async with stores(server) as (store,):
        feeds = [await created(store, f"n{n}") for n in range(3)]
        taken = [(await claimed(store)).feed for _ in feeds]
        assert [feed.id for feed in taken] == [feed.id for feed in feeds]
        await store.hand_back(taken[0])
        assert (await claimed(store, "w2")).feed.id == feeds[0].id


@asynctest
async def test_no_feed_is_claimed_twice(server: RedisServer) -> None:
    async with stores(server, 3) as opened:
        feeds = {(await created(opened[0], f"n{n}")).id for n in range(5)}
        taken = await asyncio.gather(*(opened[n % 3].claim(f"w{n}") for n in range(9)))
        ids = [claim.feed.id for claim in taken if claim is not None]
        assert (len(ids), set(ids)) == (5, feeds)


@asynctest
async def test_a_change_reaches_the_worker_with_its_secrets(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        await created(web)
        taken = await claimed(worker)
        assert await worker.renew([taken]) == (set(), set())
        current = await found(web, taken.feed)
        second = FeedOutput(id="0000000b", address="srt://mixer.example")
        wanted = current.model_copy(
            update={"name": "hall", "options": FeedOptions(engine="chroma"), "outputs": (*current.outputs, second)}
        )
        added = {"0000000b": OutputSecret(url="srt://mixer.example:9000?passphrase=secret-words", token="t")}
        changed = await web.change(wanted, True, added)
        assert (changed.name, changed.version, changed.state) == ("hall", 1, "running")
        with pytest.raises(FeedChanged):
            await web.change(wanted, True)
        assert await worker.renew([taken]) == (set(), {taken.feed.id})
        read = await worker.read(taken.feed)
        assert read.feed == changed
        assert read.secrets.outputs == {**SECRETS.outputs, **added}
        assert await worker.renew([read]) == (set(), set())
        less = changed.model_copy(update={"outputs": (second,)})
        await web.change(less, True, removed=["0000000a"])
        assert (await worker.read(taken.feed)).secrets.outputs == added
        assert await created(web), "the former name is free"
        with pytest.raises(FeedNameTaken):
            await web.change((await found(web, taken.feed)).model_copy(update={"name": "stage"}), True)


@asynctest
async def test_a_stopped_feed_is_taken_from_its_worker_and_waits_when_started(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        feed = await created(web)
        taken = await claimed(worker)
        stopped = await web.change(await found(web, feed), False)
        assert (stopped.state, stopped.worker, stopped.report) == ("stopped", "", FeedReport())
        assert await worker.renew([taken]) == ({feed.id}, set())
        for call in (worker.report(taken.feed, FeedReport()), worker.hand_back(taken.feed), worker.read(taken.feed)):
            with pytest.raises(Fenced):
                await call
        assert await worker.claim("w1") is None
        assert (await web.change(stopped, False)).state == "stopped"
        assert (await web.change(await found(web, feed), True)).state == "waiting"
        assert (await claimed(worker)).feed.fence == 4, "claim, stop, start, claim"


@asynctest
async def test_a_feed_created_as_stopped_is_not_claimed(server: RedisServer) -> None:
    async with stores(server) as (store,):
        await created(store, state=FeedState.STOPPED)
        assert await store.claim("w1") is None


@asynctest
async def test_a_lost_lease_is_claimed_by_another_worker_at_once(server: RedisServer, short_leases: None) -> None:
    async with stores(server, 2) as (first, second):
        await created(first)
        lost = await claimed(first)
        taken = await claimed(second, "w2")
        assert (taken.feed.id, taken.feed.worker, taken.feed.fence) == (lost.feed.id, "w2", 3)
        assert await first.renew([lost]) == ({lost.feed.id}, set())
        with pytest.raises(Fenced):
            await first.report(lost.feed, FeedReport())


@asynctest
async def test_after_an_outage_owners_have_time_to_renew(
    server: RedisServer, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stores(server, 2) as (first, second):
        await created(first)
        held = await claimed(first)
        monkeypatch.setattr(lifetimes, "FEED_SILENCE_S", -1.0)  # every call follows an outage
        monkeypatch.setattr(lifetimes, "FEED_LEASE_S", 1000.0)
        scripts.script.cache_clear()
        async with stores(server, 1) as (late,):
            assert await late.claim("w2") is None, "its lease has expired, but its owner may still renew it"
            assert await late.renew([held]) == (set(), set())
        with server.client() as raw:
            raw.delete(f"{redis_keys.PREFIX}feeds-grace")
        assert await second.claim("w2") is None, "renewed"


@asynctest
async def test_a_feed_whose_workers_die_one_after_another_fails(server: RedisServer, short_leases: None) -> None:
    async with stores(server) as (store,):
        feed = await created(store)
        for _ in range(lifetimes.FEED_LOSSES):
            assert await store.renew([await claimed(store)]) == (set(), set())
        assert await store.claim("w1") is None
        failed = await found(store, feed)
        assert (failed.state, failed.reason) == ("failed", POISON)
        assert (await store.change(failed, True)).state == "waiting", "a change starts it again"
        assert await claimed(store)


@asynctest
async def test_a_feed_that_ran_for_a_while_forgets_its_losses(
    server: RedisServer, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifetimes, "FEED_PROVEN_S", -1.0)
    scripts.script.cache_clear()
    async with stores(server) as (store,):
        await created(store)
        for _ in range(2 * lifetimes.FEED_LOSSES):
            taken = await claimed(store)
            await store.renew([taken])
            await store.report(taken.feed, FeedReport())


@asynctest
async def test_a_worker_reports_a_crash_or_a_failure(server: RedisServer) -> None:
    async with stores(server) as (store,):
        feed = await created(store)
        for _ in range(lifetimes.FEED_LOSSES):
            await store.crashed((await claimed(store)).feed, "engine_failed")
        assert ((await found(store, feed)).state, (await found(store, feed)).reason) == ("failed", "engine_failed")
        await store.change(await found(store, feed), True)
        await store.fail((await claimed(store)).feed, "usage", "srt:// is not supported here")
        failed = await found(store, feed)
        assert (failed.state, failed.reason, failed.detail) == ("failed", "usage", "srt:// is not supported here")
        assert (await store.change(failed, False)).state == "stopped"


@asynctest
async def test_a_worker_restores_its_feeds_after_redis_lost_its_data(server: RedisServer) -> None:
    async with stores(server) as (store,):
        await created(store)
        held = await claimed(store)
        with server.client() as raw:
            raw.flushall()
        assert await store.renew([held]) == (set(), set())
        restored = await store.read(held.feed)
        assert restored.secrets == SECRETS
        assert restored.feed == held.feed
        assert [feed.id for feed in (await store.page("ann", 10)).feeds] == [held.feed.id]
        with pytest.raises(FeedNameTaken):
            await created(store)


@asynctest
async def test_a_claim_that_redis_lost_when_it_was_killed_is_made_again(server: RedisServer) -> None:
    """The append-only file may lack the last second or two."""
    async with stores(server) as (store,):
        feed = await created(store)
        held = await claimed(store)
        with server.client() as raw:
            raw.hset(KEYS.feed(feed.id), mapping={"state": "waiting", "worker": "", "fence": 0})
            raw.zrem(f"{redis_keys.PREFIX}feeds-leased", feed.id)
            raw.zadd(f"{redis_keys.PREFIX}feeds-waiting", {feed.id: 1})
        assert await store.renew([held]) == (set(), set())
        assert (await found(store, feed)).ownership() == held.feed.ownership()
        assert await store.claim("w2") is None


@asynctest
async def test_feeds_are_kept_over_a_restart_of_redis(own_server: RedisServer) -> None:
    async with stores(own_server) as (store,):
        await created(store)
        held = await claimed(store)
        own_server.kill()
        own_server.start()
        assert await store.renew([held]) == (set(), set())
        assert (await store.read(held.feed)).secrets == SECRETS
        with own_server.client() as raw:
            kept = [KEYS.feed(held.feed.id), KEYS.feed_secrets(held.feed.id), KEYS.feeds_of("ann")]
            assert {raw.ttl(key) for key in kept} == {-1}, "no expiry"


@asynctest
async def test_secrets_are_only_in_their_own_key(server: RedisServer) -> None:
    async with stores(server) as (store,):
        await created(store)
        held = await claimed(store)
        await store.report(held.feed, FeedReport())
        with server.client() as raw:
            for key in raw.scan_iter():
                content = str(raw.hgetall(key) if raw.type(key) == "hash" else "")
                assert ("stream-key" in content) == (key == KEYS.feed_secrets(held.feed.id))
                assert ("pass-word" in content) == (key == KEYS.feed_secrets(held.feed.id))
        assert "pass-word" not in repr(held)
        assert "stream-key" not in repr(held)


def test_every_transition_is_allowed() -> None:
    assert set(FEED_MOVES) == set(FeedState)
    assert FeedState.RUNNING not in FEED_MOVES[FeedState.STOPPED], "only a waiting feed is claimed"


@asynctest
async def test_a_full_worker_takes_feeds_that_need_no_mattes(server: RedisServer) -> None:
    async with stores(server) as (store,):
        await created(store, "first", options=FeedOptions.read(background="green"))
        assert await store.claim("w1", unmatted=True) is None
        await created(store, "overlaid", options=FeedOptions.read(background="none", view="overlay"))
        wanted = await created(store, "unmatted", options=FeedOptions.read(background="none"))
        taken = await store.claim("w1", unmatted=True)
        assert taken is not None
        assert taken.feed.id == wanted.id
        assert [(await claimed(store)).feed.name for _ in range(2)] == ["first", "overlaid"], "they kept their places"


@asynctest
async def test_the_summary_counts_feeds_of_all_users_by_state(server: RedisServer) -> None:
    async with stores(server) as (store,):
        assert await store.summary() == FeedSummary(dict.fromkeys(FeedState, 0), [])
        for name in "abc":
            await created(store, name)
        await created(store, "a", owner="bob")
        await created(store, "stopped", state=FeedState.STOPPED)
        running, failing = await claimed(store), await claimed(store)
        await store.fail(failing.feed, "usage", "no")
        report = FeedReport(source_state="live", outputs=(OutputReport(id="0000000a", latency_ms=40.0, reconnects=2),))
        await store.report(running.feed, report)
        found = await store.summary()
        assert found.states == {"waiting": 2, "running": 1, "stopped": 1, "failed": 1}
        assert found.running == [report]
        await store.remove(running.feed.id)
        assert await store.summary() == FeedSummary({**found.states, FeedState.RUNNING: 0}, [])


@asynctest
async def test_feeds_that_redis_lost_are_counted_again(server: RedisServer) -> None:
    async with stores(server) as (store,):
        await created(store)
        held = await claimed(store)
        with server.client() as raw:
            raw.flushall()
        assert (await store.summary()).states[FeedState.RUNNING] == 0
        await store.renew([held])
        assert (await store.summary()).states[FeedState.RUNNING] == 1
