import asyncio
from collections import Counter

import pytest

from stream.errors import BadMove, Fenced, NoSession, UsageError
from stream.records import lifetimes, redis_keys, scripts
from stream.records.live import MOVES, Answer, Command, Meters, SessionKind, SessionState, Worker
from stream.records.live_store import LiveStore
from stream.records.options import Options
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.live import connecting, live, new, stores
from tests.waiting import PATIENCE_S, eventually


@asynctest
async def test_an_offer_reaches_a_worker_and_its_answer_comes_back(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = new(owner="ann")
        waiting = asyncio.create_task(web.offer(session, "v=0\r\nä", PATIENCE_S))
        taken = await worker.take("w1", PATIENCE_S)
        assert taken is not None
        assert (taken[0].state, taken[0].worker, taken[0].fence) == (SessionState.CONNECTING, "w1", 1)
        assert taken[1].sdp == "v=0\r\nä"
        assert taken[1].deadline_s == pytest.approx(taken[0].created_s + PATIENCE_S, abs=0.01)
        await worker.reply(taken[0], Answer(sdp="v=1"))
        assert await waiting == Answer(sdp="v=1")
        assert await web.session(session.id) == taken[0]
        assert await worker.take("w1", 0.1) is None


@pytest.mark.clocked
@asynctest
async def test_an_offer_that_no_worker_takes_in_time(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = new()
        start_s = asyncio.get_running_loop().time()
        assert await web.offer(session, "v=0", 0.3) is None
        assert asyncio.get_running_loop().time() - start_s < 2.0
        found = await web.session(session.id)
        assert found is not None
        assert (found.state, found.reason) == (SessionState.FAILED, "no_worker")
        assert await worker.take("w1", 0.1) is None


@asynctest
async def test_an_offer_that_is_handed_back_is_taken_by_another_worker(server: RedisServer) -> None:
    async with stores(server, 3) as (web, leaving, other):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", PATIENCE_S))
        first = await leaving.take("w1", PATIENCE_S)
        assert first is not None
        await leaving.hand_back(*first)
        found = await web.session(session.id)
        assert found is not None
        assert (found.state, found.worker) == (SessionState.OFFERED, "")
        with pytest.raises(Fenced):
            await leaving.reply(first[0], Answer(sdp="late"))
        second = await other.take("w2", PATIENCE_S)
        assert second is not None
        assert (second[1], second[0].fence) == (first[1], 2), "with the same deadline"
        with pytest.raises(Fenced):
            await leaving.hand_back(*first)
        await other.reply(second[0], Answer(sdp="v=2"))
        assert await waiting == Answer(sdp="v=2")
        live = await other.move(second[0], SessionState.LIVE)
        with pytest.raises(BadMove):
            await other.hand_back(live, second[1])


@pytest.mark.long
@pytest.mark.clocked
@asynctest
async def test_an_offer_that_is_handed_back_expires_as_before(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 2.0))
        taken = await worker.take("w1", PATIENCE_S)
        assert taken is not None
        await worker.hand_back(*taken)
        assert await waiting is None
        found = await web.session(session.id)
        assert found is not None
        assert (found.state, found.reason) == (SessionState.FAILED, "no_worker")
        assert await worker.take("w1", 0.1) is None


@pytest.mark.long
@pytest.mark.clocked
@asynctest
async def test_a_worker_that_dies_before_it_answers(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 2.0))
        taken = await worker.take("w1", PATIENCE_S)
        assert taken is not None
        assert await waiting is None
        found = await web.session(session.id)
        assert found is not None
        assert (found.state, found.reason) == (SessionState.FAILED, "no_answer")
        with pytest.raises(Fenced):  # it was only slow
            await worker.reply(taken[0], Answer(sdp="v=1"))
        with pytest.raises(Fenced):
            await worker.move(taken[0], SessionState.LIVE)


@asynctest
async def test_an_answer_at_the_last_moment_counts(server: RedisServer) -> None:
    async with stores(server) as (web,):
        session = new()
        with server.client() as raw:  # arrives after the last check
            raw.rpush(KEYS.answer(session.id), Answer(problem="full").model_dump_json())
        assert await web.offer(session, "v=0", 0) == Answer(problem="full")


@asynctest
async def test_only_allowed_transitions_are_stored(server: RedisServer) -> None:
    async with stores(server) as (store,):
        for start in (SessionState.CONNECTING, SessionState.LIVE, SessionState.ENDED, SessionState.FAILED):
            for to in SessionState:
                session = await connecting(store, store, new())
                if start is not SessionState.CONNECTING:
                    session = await store.move(session, start, "bye")
                if to in MOVES[start] or to is start:
                    moved = await store.move(session, to, "bye")
                    assert moved.state is to
                    assert await store.session(session.id) == moved
                else:
                    with pytest.raises(BadMove, match=start):
                        await store.move(session, to)
                    assert await store.session(session.id) == session


@pytest.mark.long
@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_a_silent_worker_loses_its_session(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = await live(web, worker, new())
        await asyncio.sleep(0.25)
        assert await web.reap() == []  # only marked
        await asyncio.sleep(0.25)
        assert [(s.id, s.state, s.reason) for s in await web.reap()] == [(session.id, SessionState.LOST, "worker_lost")]
        assert await web.reap() == []
        assert await worker.renew([session]) == {session.id}
        for late in (
            worker.move(session, SessionState.ENDED),
            worker.report(session, Meters()),
            worker.reply(session, Answer()),
        ):
            with pytest.raises(Fenced):
                await late


@pytest.mark.long
@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_an_expired_lease_can_be_renewed(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = await live(web, worker, new())
        for _ in range(3):
            await asyncio.sleep(0.25)
            assert await web.reap() == []
            assert await worker.renew([session]) == set()
        assert (await worker.move(session, SessionState.ENDED, "bye")).reason == "bye"
        assert await worker.renew([session]) == {session.id}


@pytest.mark.long
@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_an_abandoned_offer_is_reaped(server: RedisServer) -> None:
    async with stores(server) as (web,):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 0.3))
        await eventually(lambda: web.session(session.id), "the offer")
        waiting.cancel()  # its web process died
        reaped = await eventually(web.reap, "an offer past its time")
        assert [(s.id, s.state, s.reason) for s in reaped] == [(session.id, SessionState.FAILED, "no_worker")]
        assert await web.take("w1", 0.1) is None


@pytest.mark.long
@pytest.mark.clocked
@pytest.mark.usefixtures("short_lives")
@pytest.mark.parametrize("deaths", [1, 2, 3, 4])
@asynctest
async def test_offers_survive_dead_workers_up_to_three_times(server: RedisServer, deaths: int) -> None:
    """Workers that receive an offer and die before taking it: the next one gets it, up to three times."""
    async with stores(server, 2) as (web, worker):
        await worker.take("w0", 0)  # creates the group
        session = new()
        patience_s = PATIENCE_S if deaths < lifetimes.DELIVERIES else 2.0  # it waits until then
        waiting = asyncio.create_task(web.offer(session, "v=0", patience_s))
        await eventually(lambda: web.session(session.id), "the offer")
        with server.client() as raw:
            assert raw.xreadgroup(redis_keys.GROUP, "dead", {KEYS.offers: ">"})
            for _ in range(deaths - 1):
                raw.xautoclaim(KEYS.offers, redis_keys.GROUP, "dead", 0)
        await asyncio.sleep(2 * lifetimes.CLAIM_MS / 1000)
        taken = await worker.take("w1", 0.5)
        if deaths < lifetimes.DELIVERIES:
            assert taken is not None
            assert taken[0].id == session.id
            waiting.cancel()
        else:
            found = await web.session(session.id)
            assert found is not None
            assert (taken, found.state, found.reason) == (None, SessionState.FAILED, "poison")
            assert await waiting is None


@pytest.mark.long
@asynctest
async def test_two_workers_share_offers_by_free_capacity(server: RedisServer) -> None:
    """50 concurrent offers to each of two webs: each is taken once, and no worker exceeds its capacity."""
    held: Counter[str] = Counter()
    taken: list[tuple[str, str]] = []

    async def work(store: LiveStore, name: str, capacity: int) -> None:
        while len(taken) < 100:
            if (offered := await store.take(name, 0.2)) is None:
                continue
            held[name] += 1
            assert held[name] <= capacity
            taken.append((offered[0].id, name))
            await store.reply(offered[0], Answer(sdp=name))
            await asyncio.sleep(0.005)
            await store.move(offered[0], SessionState.ENDED, "bye")
            held[name] -= 1

    async with stores(server, 4) as (web1, web2, worker1, worker2):
        big = [work(worker1, "big", 3) for _ in range(3)]
        offers = [web.offer(new(), "v=0", PATIENCE_S) for web in (web1, web2) for _ in range(50)]
        done = await asyncio.gather(*offers, *big, work(worker2, "small", 1))
        answers = [answer.sdp for answer in done if isinstance(answer, Answer)]
        assert len(taken) == len({id for id, _ in taken}) == len(answers) == 100
        assert Counter(answers) == Counter(name for _, name in taken)
        assert Counter(answers)["big"] > Counter(answers)["small"] >= 10
        assert {session.state for session in await web1.sessions()} == {SessionState.ENDED}


@asynctest
async def test_a_full_worker_leaves_offers_to_others(server: RedisServer) -> None:
    async with stores(server, 3) as (web, worker1, worker2):
        await live(web, worker1, new(), "full")  # has no free capacity
        session = await live(web, worker2, new(), "free")
        assert session.worker == "free"


@pytest.mark.long
@pytest.mark.clocked
@asynctest
async def test_too_many_offers_are_refused_at_once(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "WAITING", 2)
    scripts.script.cache_clear()
    async with stores(server) as (web,):
        sessions = [new(), new()]
        waiting = [asyncio.create_task(web.offer(session, "v=0", 2.0)) for session in sessions]
        for session in sessions:
            await eventually(lambda: web.session(session.id), "the offer")  # noqa: B023
        refused = await web.offer(new(), "v=0", PATIENCE_S)
        assert refused is not None
        assert refused.problem == "full"
        assert await asyncio.gather(*waiting) == [None, None]
        assert await web.offer(new(), "v=0", 0.1) is None  # there is space again
    scripts.script.cache_clear()


@asynctest
async def test_names_belong_to_an_owner_and_can_be_taken_over(server: RedisServer) -> None:
    async with stores(server) as (store,):
        first = await live(store, store, new(SessionKind.PUBLISH, name="tv", owner="ann"))
        assert await store.stream("tv") == first
        stranger = await store.offer(new(SessionKind.PUBLISH, name="tv", owner="bob"), "v=0", PATIENCE_S)
        assert stranger is not None
        assert stranger.problem == "name_taken"
        second = await connecting(store, store, new(SessionKind.PUBLISH, name="tv", owner="ann"), "w2")
        assert await store.stream("tv") == first  # until the second is live
        second = await store.move(second, SessionState.LIVE)
        assert await store.stream("tv") == second
        assert await store.commands("w1", PATIENCE_S) == [Command(kind="end", session=first.id, reason="replaced")]
        await store.move(first, SessionState.ENDED, "replaced")
        assert await store.stream("tv") == second
        await store.move(second, SessionState.ENDED, "bye")
        assert await store.stream("tv") is None
        third = await live(store, store, new(SessionKind.PUBLISH, name="tv", owner="bob"))
        assert await store.stream("tv") == third


@asynctest
async def test_a_name_taken_by_another_owner_meanwhile_is_refused(server: RedisServer) -> None:
    async with stores(server) as (store,):
        first = await live(store, store, new(SessionKind.PUBLISH, name="tv", owner="ann"))
        second = await connecting(store, store, new(SessionKind.PUBLISH, name="tv", owner="ann"))
        await store.move(first, SessionState.ENDED)
        other = await live(store, store, new(SessionKind.PUBLISH, name="tv", owner="bob"))
        with pytest.raises(BadMove, match="publishes"):
            await store.move(second, SessionState.LIVE)
        assert await store.stream("tv") == other


@asynctest
async def test_viewers_go_to_the_publishers_worker(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        nothing = await web.offer(new(SessionKind.VIEW, name="tv", of="nobody"), "v=0", PATIENCE_S)
        assert nothing is not None
        assert nothing.problem == "no_stream"
        publisher = await live(web, worker, new(SessionKind.PUBLISH, name="tv"))
        viewer = new(SessionKind.VIEW, name="tv", of=publisher.id)
        waiting = asyncio.create_task(web.offer(viewer, "v=0 view", PATIENCE_S))
        (command,) = await worker.commands("w1", PATIENCE_S)
        assert command == Command(kind="view", session=viewer.id, text="v=0 view")
        assert await worker.accept("w2", viewer.id) is None
        accepted = await worker.accept("w1", viewer.id)
        assert accepted is not None
        await worker.reply(accepted, Answer(sdp="v=1"))
        assert await waiting == Answer(sdp="v=1")
        await worker.move(await worker.move(accepted, SessionState.LIVE), SessionState.ENDED)
        assert await web.stream("tv") == publisher  # the end of a viewer does not end the stream
        late = new(SessionKind.VIEW, name="tv", of=publisher.id)
        assert await web.offer(late, "v=0", 0.1) is None
        assert await worker.accept("w1", late.id) is None


@asynctest
async def test_options_and_ends_reach_the_worker_in_order(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = await live(web, worker, new())
        options = Options(engine="chroma")
        assert (await web.change(session.id, options)).options == options
        await web.send("w1", Command(kind="candidates", session=session.id, text="a=candidate"))
        await web.end(session.id, "deleted")
        kinds = [command.kind for command in await worker.commands("w1", PATIENCE_S)]
        assert kinds == ["options", "candidates", "end"]
        assert await worker.commands("w1", 0.05) == []
        await worker.move(session, SessionState.ENDED, "deleted")
        await web.end(session.id, "deleted")
        assert await worker.commands("w1", 0.05) == []
        with pytest.raises(BadMove, match="ended"):
            await web.change(session.id, options)
        for unknown in (web.end("nobody", "deleted"), web.change("nobody", options)):
            with pytest.raises(NoSession, match="nobody"):
                await unknown


@asynctest
async def test_commands_survive_cancelled_reads_and_unknown_ones_are_ignored(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        reading = asyncio.create_task(worker.commands("w1", PATIENCE_S))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await web.send("w1", Command(kind="end", session="a"))
        with server.client() as raw:
            raw.xadd(KEYS.commands("w1"), {"command": '{"kind": "dance"}'})
        assert [command.session for command in await worker.commands("w1", PATIENCE_S)] == ["a"]


@pytest.mark.clocked
@asynctest
async def test_an_ended_offer_cannot_be_taken(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 0.5))
        await asyncio.sleep(0.1)
        await web.end(session.id, "deleted")
        assert await worker.take("w1", 0.1) is None
        assert await waiting is None
        found = await web.session(session.id)
        assert found is not None
        assert (found.state, found.reason) == (SessionState.ENDED, "deleted")


@asynctest
async def test_meters_and_lists(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        first = await live(web, worker, new(owner="ann"))
        second = await live(web, worker, new(owner="bob"))
        meters = Meters(fps_in=29.9, dropped={"late": 2}, engine="selfie")
        await worker.report(first, meters)
        assert [s.id for s in await web.sessions()] == [second.id, first.id]
        (found,) = await web.sessions("ann")
        assert found.meters == meters
        assert await web.sessions("eve") == []
        await worker.move(first, SessionState.ENDED)
        with pytest.raises(BadMove):
            await worker.report(first, meters)


@asynctest
async def test_workers_are_listed_until_they_leave(server: RedisServer) -> None:
    async with stores(server, 3) as (web, one, two):
        await one.beat(Worker(id="w1", capacity=3, state="ready"))
        await two.beat(Worker(id="w2"))
        seen = {worker.id: worker for worker in await web.workers()}
        assert set(seen) == {"w1", "w2"}
        assert seen["w1"].seen_s > 0
        await two.leave("w2")
        assert [worker.id for worker in await web.workers()] == ["w1"]


@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_workers_without_heartbeats_are_no_longer_listed(server: RedisServer) -> None:
    async with stores(server, 2) as (web, one):
        await one.beat(Worker(id="w1", capacity=3, state="ready"))
        await asyncio.sleep(1.2 * lifetimes.BEAT_S)
        assert await web.workers() == []


@pytest.mark.usefixtures("wrong_clock")
@asynctest
async def test_heartbeats_have_the_time_of_redis(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        before_s = await web.link.now_s()
        for _ in range(3):
            at_s = await worker.beat(Worker(id="w1"))
            await web.reap()
            (seen,) = await web.workers()
            assert seen.seen_s == pytest.approx(at_s, abs=0.01)
        assert before_s - 0.01 <= at_s <= await web.link.now_s() + 0.01


@pytest.mark.usefixtures("wrong_clock")
@asynctest
async def test_offers_and_leases_have_the_time_of_redis(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        before_s = await web.link.now_s()
        session = await live(web, worker, new())
        assert await worker.renew([session]) == set()
        assert await web.reap() == []
        found = await web.session(session.id)
        assert found is not None
        assert before_s - 0.01 <= found.created_s <= found.updated_s <= await web.link.now_s() + 0.01


@asynctest
async def test_concurrent_calls_end_in_one_final_state(server: RedisServer) -> None:
    """Concurrent ends, changes, moves and reaps of one session: some are refused, none corrupts the record."""
    async with stores(server, 2) as (web, worker):
        for _ in range(20):
            session = await live(web, worker, new())
            moves = [
                worker.move(session, to, to) for to in (SessionState.ENDED, SessionState.FAILED, SessionState.LIVE)
            ]
            others = [web.end(session.id, "deleted"), web.change(session.id, Options(engine="rvm")), web.reap()]
            results = await asyncio.gather(*moves, *others, worker.renew([session]), return_exceptions=True)
            assert all(isinstance(r, BadMove) for r in results if isinstance(r, BaseException))
            found = await web.session(session.id)
            assert found is not None
            assert (found.state, found.reason) in {(SessionState.ENDED, "ended"), (SessionState.FAILED, "failed")}


@asynctest
async def test_every_key_expires(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        publisher = await live(web, worker, new(SessionKind.PUBLISH, name="tv"))
        await web.offer(new(SessionKind.VIEW, name="tv", of=publisher.id), "v=0", 0.05)
        await web.offer(new(), "v=0", 0.05)
        await web.change(publisher.id, Options())
        await worker.beat(Worker(id="w1"))
        await worker.reply(publisher, Answer(sdp="never fetched"))
        await worker.renew([publisher])
        await web.reap()
        waiting = asyncio.create_task(web.offer(new(), "v=0", PATIENCE_S))
        await asyncio.sleep(0.05)
        with server.client() as raw:
            lives = {key: raw.pttl(key) for key in raw.scan_iter()}
        waiting.cancel()
        kinds = {key.removeprefix(redis_keys.PREFIX).partition(":")[0] for key in lives}
        assert kinds == {
            "session", "sessions", "due", "offers", "answer", "name", "commands", "worker", "workers", "swept"
        }  # fmt: skip
        assert all(0 < life_ms <= lifetimes.QUEUE_S * 1000 for life_ms in lives.values()), lives


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "redis://h:port", "/run/redis.sock"])
def test_invalid_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="REDIS_URL"):
        LiveStore(url)
