"""The store while Redis is unreachable, and after it returns with or without its data."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from stream.errors import StoreDown
from stream.records.job_store import JobStore
from stream.records.live import Answer, Session, SessionKind, SessionState, Worker
from stream.records.live_store import LiveStore
from stream.records.options import Options
from tests.servers import KEYS, RedisServer, asynctest, free_port
from tests.stream.records.jobs import new_job
from tests.stream.records.live import connecting, live, new, stores

Lose = Callable[[RedisServer, LiveStore], Awaitable[None]]


async def refused_within(limit_s: float, call: Awaitable[object]) -> None:
    start_s = time.monotonic()
    with pytest.raises(StoreDown):
        await call
    assert time.monotonic() - start_s < limit_s


@asynctest
async def test_an_unreachable_server(monkeypatch: pytest.MonkeyPatch) -> None:
    store = LiveStore(f"redis://ann:secret@127.0.0.1:{free_port()}")
    assert not await store.ping()
    with pytest.raises(StoreDown, match=r"Redis at redis://127.0.0.1:\d+: [^\n]+$") as caught:
        await store.take("w1", 5)
    assert "secret" not in str(caught.value)
    await store.close()


@asynctest
async def test_a_killed_server_that_restarts_with_its_data(own_server: RedisServer) -> None:
    async with stores(own_server, 2) as (web, worker):
        session = await live(web, worker, new(SessionKind.PUBLISH, name="tv"))
        waiting = asyncio.create_task(web.offer(new(), "v=0", 10))
        await asyncio.sleep(0.1)
        own_server.kill()
        await refused_within(1.5, waiting)
        for call in (worker.take("w1", 5), web.sessions(), web.offer(new(), "v=0", 10), worker.renew([session])):
            await refused_within(1.5, call)
        assert not await web.ping()
        own_server.start()
        assert await web.stream("tv") == session
        assert await worker.renew([session]) == set()
        taken = await worker.take("w1", 1)  # the offer survived, its client no longer waits
        assert taken is not None
        assert (await live(web, worker, new())).state is SessionState.LIVE


@pytest.mark.slow
@asynctest
async def test_a_server_that_hangs_for_a_while(own_server: RedisServer) -> None:
    """No connection errors, but no replies: every call ends within its timeout plus a second, and later ones work."""
    async with stores(own_server, 2) as (web, worker):
        session = await live(web, worker, new())
        own_server.freeze()
        calls = [worker.take("w1", 9), web.offer(new(), "v=0", 9), worker.renew([session]), worker.commands("w1", 9)]
        await asyncio.gather(*(refused_within(2.8, call) for call in calls))
        assert not await web.ping()
        own_server.thaw()
        assert await web.ping()
        assert await worker.renew([session]) == set()
        assert await web.session(session.id) == session
        assert await worker.take("w1", 0) is None  # the offer sent meanwhile was too late and was refused
        assert (await live(web, worker, new())).state is SessionState.LIVE


@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_after_an_outage_owners_can_renew_before_sessions_are_reaped(own_server: RedisServer) -> None:
    async with stores(own_server, 2) as (web, worker):
        session = await live(web, worker, new())
        gone = await live(web, worker, new())
        own_server.freeze()
        await asyncio.sleep(0.6)  # longer than lease and grace together
        own_server.thaw()
        assert await web.reap() == []
        assert await worker.renew([session]) == set()
        await asyncio.sleep(0.25)
        assert [s.id for s in await web.reap()] == [gone.id]
        assert (await worker.move(session, SessionState.ENDED)).state is SessionState.ENDED


@asynctest
async def test_after_a_flush_owners_restore_their_sessions(own_server: RedisServer) -> None:
    async with stores(own_server, 2) as (web, worker):
        session = await live(web, worker, new(SessionKind.PUBLISH, name="tv", owner="ann"))
        session = await web.change(session.id, Options(engine="chroma"))
        taking = asyncio.create_task(worker.take("w2", 5))
        await asyncio.sleep(0.1)
        with own_server.client() as raw:
            raw.flushall()
        assert await web.sessions() == []
        assert await worker.renew([session]) == set()
        assert await web.sessions("ann") == [session]
        assert await web.stream("tv") == session
        fresh = new()
        waiting = asyncio.create_task(web.offer(fresh, "v=0", 5))
        taken = await taking  # it was waiting in the consumer group that was deleted
        assert taken is not None
        assert taken[0].id == fresh.id
        await worker.reply(taken[0], Answer(sdp="v=1"))
        assert await waiting == Answer(sdp="v=1")
        await worker.beat(Worker(id="w1"))
        assert [seen.id for seen in await web.workers()] == ["w1"]


async def flushed(server: RedisServer, store: LiveStore) -> None:
    with server.client() as raw:
        raw.flushall()


async def restarted_empty(server: RedisServer, store: LiveStore) -> None:
    server.kill()
    server.launch("--appendonly", "no")
    while not await store.ping():
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("lose", [flushed, restarted_empty])
@asynctest
async def test_the_first_offer_and_job_after_a_loss_of_data_are_taken_at_once(
    own_server: RedisServer, lose: Lose
) -> None:
    """They are written before any worker has made the consumer group again."""
    async with stores(own_server, 2) as (web, worker):
        web_jobs, worker_jobs = JobStore(web.link), JobStore(worker.link)
        await live(web, worker, new())
        await lose(own_server, web)
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 10))
        while await web.session(session.id) is None:
            await asyncio.sleep(0.01)
        with own_server.client() as raw:
            assert raw.xinfo_groups(KEYS.offers) == []
        taken = await worker.take("w1", 0)  # waits for nothing
        assert taken is not None
        assert taken[0].id == session.id
        await worker.reply(taken[0], Answer(sdp="v=1"))
        assert await waiting == Answer(sdp="v=1")
        job = await web_jobs.submit(new_job())
        task = await worker_jobs.take_task("w2", 0)
        assert task is not None
        assert task.job.id == job.id


@asynctest
async def test_a_worker_that_waits_for_a_job_during_a_flush(own_server: RedisServer) -> None:
    async with stores(own_server, 2) as (web, worker):
        taking = asyncio.create_task(JobStore(worker.link).take_task("w1", 30))
        await asyncio.sleep(0.1)
        await flushed(own_server, web)
        job, began_s = await JobStore(web.link).submit(new_job()), time.monotonic()
        task = await taking
        assert task is not None
        assert task.job.id == job.id
        assert time.monotonic() - began_s < 1.5


@asynctest
async def test_an_offer_taken_before_a_flush_is_answered_or_handed_back(server: RedisServer) -> None:
    async with stores(server, 2) as (web, worker):
        for back in (False, True):
            waiting = asyncio.create_task(web.offer(new(), "v=0", 10))
            taken = await worker.take("w1", 5)
            assert taken is not None
            await flushed(server, web)
            if back:
                await worker.hand_back(*taken)
                again = await worker.take("w2", 5)
                assert again is not None
                assert again[0].id == taken[0].id
                taken = again
            await worker.reply(taken[0], Answer(sdp="v=1"))
            assert await waiting == Answer(sdp="v=1")


@asynctest
async def test_a_session_ended_after_a_flush(server: RedisServer) -> None:
    async with stores(server) as (store,):
        session = await live(store, store, new())
        with server.client() as raw:
            raw.flushall()
        ended = await store.move(session, SessionState.ENDED, "bye")
        assert await store.session(session.id) == ended
        with server.client() as raw:
            raw.flushall()
        assert await store.renew([ended]) == {session.id}  # ended sessions are not restored
        assert await store.sessions() == []


@asynctest
async def test_a_name_taken_after_a_flush_is_kept(server: RedisServer) -> None:
    async with stores(server) as (store,):
        first = await live(store, store, new(SessionKind.PUBLISH, name="tv"))
        with server.client() as raw:
            raw.flushall()
        second = await live(store, store, new(SessionKind.PUBLISH, name="tv"))
        assert await store.renew([first, second]) == {first.id}
        assert await store.stream("tv") == second


@asynctest
async def test_a_full_server_counts_as_down_but_can_be_read(own_server: RedisServer) -> None:
    async with stores(own_server) as (store,):
        session = await live(store, store, new())
        with own_server.client() as raw:
            raw.config_set("maxmemory", 1)
            await refused_within(0.5, store.offer(new(), "v=0", 5))
            assert await store.session(session.id) == session
            raw.config_set("maxmemory", 0)
        assert await store.renew([session]) == set()


@asynctest
async def test_a_cut_connection_is_retried(server: RedisServer) -> None:
    async with stores(server) as (store,):
        session: Session = await connecting(store, store, new())
        with server.client() as raw:
            raw.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
        assert (await store.move(session, SessionState.LIVE)).state is SessionState.LIVE


@asynctest
async def test_cancelled_calls_leave_connections_usable(server: RedisServer) -> None:
    async with stores(server) as (store,):
        for _ in range(20):
            waits = [asyncio.create_task(store.take("w1", 5)), asyncio.create_task(store.commands("w1", 5))]
            await asyncio.sleep(0.01)
            for wait in waits:
                wait.cancel()
            ended = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 1.0)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        session = await live(store, store, new())
        assert await store.session(session.id) == session
        with server.client() as raw:
            assert len(raw.client_list()) < 10
            assert raw.xlen(KEYS.offers) == 0


def test_an_unused_store_need_not_be_closed() -> None:
    LiveStore("redis://127.0.0.1:1")
