"""A live worker with a real Redis and real clients: it takes, mattes, changes, shares and ends videos."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from stream import loops
from stream.errors import StoreDown
from stream.records.live import Answer, Meters, Session, SessionKind
from stream.records.live_store import LiveStore
from stream.records.options import Options
from stream.serve.heartbeat import Health
from stream.serve.redis_server import Embedded
from stream.settings import Settings
from tests.rtc import Camera, Client, until
from tests.servers import KEYS
from tests.workers.failing_link import OddLink
from workers.live import pool
from workers.live.pool import Engines
from workers.live.worker import LiveWorker

pytestmark = pytest.mark.usefixtures("loopback")

SETTINGS = Settings(loopback_candidates=True, udp_address="127.0.0.1", hw_encode=False, live_sessions=2, threads=1)
DOWN = StoreDown("Redis does not answer")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    with Embedded(folder) as server:
        yield server.url


@asynccontextmanager
async def working(
    url: str, count: int = 1, settings: Settings = SETTINGS
) -> AsyncIterator[tuple[LiveStore, list[asyncio.Event]]]:
    """Running workers; each ends when its event is set."""
    store, *stores = (LiveStore(url) for _ in range(count + 1))
    stops = [asyncio.Event() for _ in stores]
    workers = [LiveWorker(settings, each) for each in stores]
    for worker in workers:
        await worker.warm()
    running = [asyncio.create_task(worker.run(stop)) for worker, stop in zip(workers, stops, strict=True)]
    try:
        yield store, stops
    finally:
        for stop in stops:
            stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 10)
        for each in (store, *stores):
            await each.close()


def new(kind: SessionKind = SessionKind.CAMERA, **more: object) -> Session:
    fields = {"id": uuid.uuid4().hex, "kind": kind, "options": Options(engine="chroma", background="color:#0000ff")}
    return Session.model_validate(fields | more)


async def offered(store: LiveStore, session: Session, client: Client, wait_s: float = 8.0) -> Answer | None:
    answer = await store.offer(session, await client.offer(), wait_s)
    if answer is not None and answer.sdp:
        await client.take(answer.sdp)
    return answer


async def state(store: LiveStore, session: Session) -> tuple[str, str]:
    found = await store.session(session.id)
    return ("gone", "") if found is None else (found.state.value, found.reason)


async def metered(store: LiveStore, session: Session) -> Meters | None:
    found = await store.session(session.id)
    return found.meters if found is not None else None


def middle(client: Client) -> tuple[int, ...]:
    """Mean RGB in the middle of the last picture."""
    picture = client.pictures[-1][1].to_ndarray(format="rgb24")
    height, width = picture.shape[:2]
    pixels = picture[height // 2 :, width // 4 : 3 * width // 4].reshape(-1, 3)
    return tuple(int(level) for level in pixels.mean(0))


def test_a_camera_is_taken_matted_changed_and_ended(url: str) -> None:
    async def run() -> None:
        client = Client(Camera(rate=20), "VP8")
        async with working(url) as (store, _):
            session = new()
            answer = await offered(store, session, client)
            assert answer is not None
            await until(lambda: len(client.pictures) >= 10, what="pictures")
            assert await state(store, session) == ("live", "")
            assert middle(client)[2] > 200, "no screen was found, so everything is background: blue"
            await store.change(session.id, Options(engine="chroma", background="color:#ff0000"))
            await until(lambda: middle(client)[0] > 200, what="red")
            async with asyncio.timeout(5):  # they are reported once a second
                while (meters := await metered(store, session)) is None or meters.fps_out <= 5:
                    await asyncio.sleep(0.02)
            assert meters.engine == "chroma"
            await store.end(session.id, "deleted")
            while (await state(store, session))[0] == "live":
                await asyncio.sleep(0.02)
            assert await state(store, session) == ("ended", "deleted")
        await client.close()

    asyncio.run(run())


@pytest.mark.long
def test_a_full_worker_leaves_offers_to_others(url: str) -> None:
    async def run() -> None:
        clients = [Client(Camera(rate=5), "VP8") for _ in range(5)]
        async with working(url, 2) as (store, _):
            sessions = [new() for _ in clients]
            answers = await asyncio.gather(*(offered(store, s, c, 2.0) for s, c in zip(sessions, clients, strict=True)))
            assert sum(answer is not None for answer in answers) == 4, "two workers with room for two each"
            workers = {found.worker for s in sessions if (found := await store.session(s.id)) is not None}
            assert len(workers - {""}) == 2
        for client in clients:
            await client.close()

    asyncio.run(run())


def test_a_drained_worker_ends_its_videos_with_a_reason(url: str) -> None:
    async def run() -> None:
        client = Client(Camera(rate=10), "VP8")
        async with working(url) as (store, (stop,)):
            session = new()
            await offered(store, session, client)
            await until(lambda: len(client.pictures) >= 3, what="pictures")
            stop.set()
            while (await state(store, session))[0] != "ended":
                await asyncio.sleep(0.02)
            assert (await state(store, session))[1] == "drained"
            while await store.workers():
                await asyncio.sleep(0.05)
        await client.close()

    asyncio.run(run())


@pytest.mark.long
def test_a_video_continues_on_a_drained_worker_that_takes_no_other(url: str) -> None:
    async def run() -> None:
        client, late = Client(Camera(rate=10), "VP8"), Client(Camera(rate=10), "VP8")
        async with working(url, settings=SETTINGS.model_copy(update={"drain_s": 600.0})) as (store, (stop,)):
            session = new()
            await offered(store, session, client)
            await until(lambda: client.pictures, what="pictures")
            stop.set()
            while [worker.state for worker in await store.workers()] != ["draining"]:
                await asyncio.sleep(0.02)
            seen = len(client.pictures)
            assert await offered(store, new(), late, 1.0) is None, "nobody takes it"
            await until(lambda: len(client.pictures) > seen + 10, what="more pictures")
            assert (await state(store, session))[0] == "live"
            await store.change(session.id, Options(engine="chroma", background="color:#ff0000"))
            await until(lambda: middle(client)[0] > 200, what="red")
            await store.end(session.id, "deleted")
            while await store.workers():  # it ends with its last video
                await asyncio.sleep(0.05)
            assert await state(store, session) == ("ended", "deleted")
        await client.close()
        await late.close()

    asyncio.run(run())


def test_a_video_that_does_not_end_in_time_is_drained(url: str) -> None:
    async def run() -> None:
        client = Client(Camera(rate=10), "VP8")
        async with working(url, settings=SETTINGS.model_copy(update={"drain_s": 0.5})) as (store, (stop,)):
            session = new()
            await offered(store, session, client)
            await until(lambda: client.pictures, what="pictures")
            stop.set()
            while (await state(store, session))[0] != "ended":
                await asyncio.sleep(0.02)
            assert (await state(store, session))[1] == "drained"
        await client.close()

    asyncio.run(run())


class LateLink(OddLink):
    """Sets `stop` while an offer is being taken."""

    stop: asyncio.Event

    async def run(self, name: str, *values: str | float) -> Any:
        if name == "live/take":
            self.stop.set()
        return await super().run(name, *values)


@pytest.mark.parametrize("refused", [(), ("live/hand_back",)])
def test_an_offer_that_a_worker_takes_while_it_is_drained_goes_to_another(url: str, refused: tuple[str, ...]) -> None:
    """refused: calls that Redis refuses once."""

    async def run() -> None:
        client, link, stop = Client(Camera(rate=10), "VP8"), LateLink(url, DOWN), asyncio.Event()
        link.odd, link.stop = set(refused), stop
        store, leaving = LiveStore(url), LiveWorker(SETTINGS, LiveStore(link))
        await leaving.warm()
        running = asyncio.create_task(leaving.run(stop))
        session = new()
        calling = asyncio.create_task(offered(store, session, client))
        await asyncio.wait_for(running, 10)
        assert link.calls["live/hand_back"] == 1
        async with working(url):
            answer = await calling
            assert answer is not None
            assert answer.sdp
            await until(lambda: client.pictures, what="a picture")
        await client.close()
        await store.close()
        await link.close()

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("refused", ["live/claim", "live/take", "live/reply", "live/move"])
def test_an_offer_is_answered_after_a_short_outage(url: str, refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera's, a viewer's, and one that is refused; while each is taken, Redis refuses one call of the worker."""
    monkeypatch.setattr(loops, "_RETRY_S", 0.2)
    monkeypatch.setattr("workers.live.sessions._RETRY_S", 0.2)

    async def run() -> None:
        camera, viewer, stop = Client(Camera(rate=10), "VP8"), Client(None, "VP8"), asyncio.Event()
        store, link = LiveStore(url), OddLink(url, DOWN)
        worker = LiveWorker(SETTINGS, LiveStore(link))
        await worker.warm()
        running = asyncio.create_task(worker.run(stop))
        session, bad = new(SessionKind.PUBLISH, name="stage"), new()
        link.odd = {refused}
        answer = await offered(store, session, camera)
        assert answer is not None
        while await store.stream("stage") is None:
            await asyncio.sleep(0.02)
        link.odd = {refused} - {"live/claim"}
        answer = await offered(store, new(SessionKind.VIEW, name="stage", of=session.id), viewer)
        assert answer is not None
        await until(lambda: viewer.pictures, what="a picture")
        link.odd = {refused}
        assert (answer := await store.offer(bad, "v=0", 8.0)) is not None
        assert answer.problem == "bad_sdp"
        while (await state(store, bad))[0] != "failed":
            await asyncio.sleep(0.02)
        stop.set()
        await running
        for client in (camera, viewer):
            await client.close()
        await store.close()
        await link.close()

    asyncio.run(run())


def test_a_publisher_whose_name_is_taken_while_it_connects_is_ended(url: str) -> None:
    async def run() -> None:
        camera = Client(Camera(rate=10), "VP8")
        async with working(url) as (store, _):
            session, other = new(SessionKind.PUBLISH, name="podium", owner="ann"), new(owner="bob")
            answer = await store.offer(session, await camera.offer(), 8.0)
            assert answer is not None
            with Redis.from_url(url) as raw:  # as if ann's older stream had ended meanwhile, and bob offered his
                raw.hset(KEYS.session(other.id), mapping=dict(batched(other.to_fields())))
                raw.set(KEYS.name("podium"), other.id)
            await camera.take(answer.sdp)
            async with asyncio.timeout(5):
                while (now := await state(store, session))[0] == "connecting":
                    await asyncio.sleep(0.02)
            assert now == ("failed", "name_taken")
        await camera.close()

    asyncio.run(run())


def batched(fields: list[str]) -> list[tuple[str, str]]:
    return list(zip(fields[::2], fields[1::2], strict=True))


def test_viewers_see_a_published_stream_and_end_with_it(url: str) -> None:
    async def run() -> None:
        camera, viewers = Client(Camera(rate=20), "VP8"), [Client(None, "VP8"), Client(None, "H264")]
        async with working(url) as (store, _):
            session = new(SessionKind.PUBLISH, name="stage")
            await offered(store, session, camera)
            while await store.stream("stage") is None:
                await asyncio.sleep(0.02)
            views = [new(SessionKind.VIEW, name="stage", of=session.id) for _ in viewers]
            for view, viewer in zip(views, viewers, strict=True):
                assert await offered(store, view, viewer) is not None
            for viewer in viewers:
                await until(lambda viewer=viewer: len(viewer.pictures) >= 5, what="pictures")  # type: ignore[misc]
                assert middle(viewer)[2] > 200
            assert not camera.pictures
            await store.end(views[0].id, "deleted")
            while (await state(store, views[0]))[0] != "ended":
                await asyncio.sleep(0.02)
            seen = len(viewers[1].pictures)
            await until(lambda: len(viewers[1].pictures) > seen + 3, what="more pictures")
            await store.end(session.id, "deleted")
            while (await state(store, views[1]))[0] == "live":
                await asyncio.sleep(0.02)
        for client in (camera, *viewers):
            await client.close()

    asyncio.run(run())


def test_a_bad_offer_is_refused_and_takes_no_capacity(url: str) -> None:
    async def run() -> None:
        async with working(url) as (store, _):
            for _ in range(5):
                session = new()
                answer = await store.offer(session, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 5.0)
                assert answer is not None
                assert answer.problem == "bad_sdp"
                assert (await state(store, session))[0] == "failed"
            client = Client(Camera(rate=10), "VP8")
            assert await offered(store, new(), client) is not None
            await client.close()

    asyncio.run(run())


@pytest.mark.long
def test_contradictory_options_are_refused(url: str) -> None:
    async def run() -> None:
        async with working(url) as (store, _):
            client = Client(Camera(rate=10), "VP8")
            odd = Options(engine="selfie", key=(0, 255, 0))
            answer = await store.offer(new(options=odd), await client.offer(), 5.0)
            assert answer is not None
            assert (answer.problem, answer.detail[:4]) == ("usage", "key:")
            session = new()
            await offered(store, session, client)
            await until(lambda: len(client.pictures) >= 3, what="pictures")
            await store.change(session.id, odd)
            seen = len(client.pictures)
            await until(lambda: len(client.pictures) > seen + 12, what="more pictures")
            found = await store.session(session.id)
            assert found is not None
            assert found.meters is not None
            assert (found.meters.engine, found.meters.notice[:4]) == ("chroma", "key:")
            await client.close()

    asyncio.run(run())


def test_its_health_is_that_of_its_engines(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        store = LiveStore(url)
        worker, engines = LiveWorker(SETTINGS, store), Engines(SETTINGS)
        assert worker.health() is Health.STARTING
        await worker.warm()
        assert worker.health() is Health.OK
        loading = asyncio.create_task(engines.get(Options(engine="chroma")))
        await asyncio.sleep(0)
        assert [engines.health(serving) for serving in (True, False)] == [Health.STARTING] * 2
        monkeypatch.setattr(pool, "_LOADING_S", 0.0)
        assert engines.health(serving=True) is Health.OK, "videos with other engines go on"
        assert engines.health(serving=False) is Health.STUCK
        await loading
        assert engines.health(serving=False) is Health.OK
        await engines.close()
        await store.close()

    asyncio.run(run())


@pytest.mark.slow
def test_an_unexpected_exception_ends_no_loop(url: str) -> None:
    """The loops of heartbeat, leases, meters, cleanup, offers and commands: each fails once, and continues."""
    loops = {"live/beat", "live/renew", "live/report", "live/reap", "live/claim", "XREAD"}

    async def run() -> None:
        client, link = Client(Camera(rate=10), "VP8"), OddLink(url)
        store, worker, stop = LiveStore(url), LiveWorker(SETTINGS, LiveStore(link)), asyncio.Event()
        await worker.warm()
        running = asyncio.create_task(worker.run(stop))
        session = new()
        await offered(store, session, client)
        await until(lambda: len(client.pictures) >= 3, what="pictures")
        link.odd |= loops
        await until(lambda: not link.odd, what="a failure in each loop")
        link.calls.clear()
        await until(lambda: all(link.calls[name] >= 2 for name in loops), what="two more rounds of each loop")
        assert await state(store, session) == ("live", "")
        stop.set()
        await asyncio.wait_for(running, 10)
        assert await state(store, session) == ("ended", "drained")
        await client.close()
        await store.close()
        await link.close()

    asyncio.run(run())
