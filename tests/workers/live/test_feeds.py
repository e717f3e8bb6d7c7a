"""Feeds of live workers: a real Redis, a real RTSP camera, and outputs that receive for real."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stream.fetch import gateway
from stream.records import lifetimes
from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.feeds import Feed, FeedOutput, FeedSecrets, FeedState, OutputSecret
from stream.records.live import FeedCounts
from stream.records.live_store import LiveStore
from stream.records.options import FeedOptions
from stream.serve.redis_server import Embedded
from stream.settings import Settings
from tests.media import numbered_clip
from tests.rtc import until
from tests.rtsp import RtspServer
from tests.udp_receiver import UdpReceiver
from tests.web_server import serving
from workers.live import feed as live_feed
from workers.live import worker as live_worker
from workers.live.worker import LiveWorker

SETTINGS = Settings(
    hw_encode=False, live_sessions=2, threads=1, allow_private_urls=True, rtsp_timeout_s=2.0, rtsp_retry_s=0.3,
    slate_after_s=0.3,
)  # fmt: skip
Picture = npt.NDArray[Any]
BLUE, RED = "color:#0000ff", "color:#ff0000"


def options(background: str = BLUE) -> FeedOptions:
    return FeedOptions.read(engine="chroma", key="#00c83c", background=background)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    with Embedded(folder) as server:
        yield server.url


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer("--user", "ann:pass-word")
    yield server
    server.thaw()
    server.kill()


class Running:
    """A worker that runs until `stop` is set."""

    def __init__(self, url: str, settings: Settings = SETTINGS) -> None:
        self.store = LiveStore(url)
        self.worker, self.stop = LiveWorker(settings, self.store), asyncio.Event()

    async def start(self) -> None:
        await self.worker.warm()
        self._task = asyncio.create_task(self.worker.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self._task, 15)
        await self.store.close()


@asynccontextmanager
async def working(url: str, settings: Settings = SETTINGS) -> AsyncIterator[FeedStore]:
    """A running worker. Its feeds are removed at the end."""
    store, running = FeedStore(url), Running(url, settings)
    await running.start()
    try:
        yield store
    finally:
        for feed in (await store.page("ann", 100)).feeds:
            await store.remove(feed.id)
        await running.end()
        await store.close()


def output(address: str, number: int = 1, **fields: object) -> tuple[FeedOutput, OutputSecret]:
    return FeedOutput.model_validate({"id": f"0000000{number}", "address": "shown"} | fields), OutputSecret(url=address)


async def created(
    store: FeedStore, source: str, *outputs: tuple[FeedOutput, OutputSecret], name: str = "stage"
) -> Feed:
    feed = Feed(
        id=str(uuid4()), owner="ann", name=name, source="rtsp://127.0.0.1", width=320, height=240, options=options(),
        outputs=tuple(each for each, _ in outputs),
    )  # fmt: skip
    secrets = FeedSecrets(source, {each.id: secret for each, secret in outputs})
    return await store.create(feed, secrets, 10)


async def read(store: FeedStore, feed: Feed) -> Feed:
    found = await store.feed(feed.id)
    assert found is not None
    return found


async def eventually(store: FeedStore, feed: Feed, condition: Callable[[Feed], object], what: str) -> Feed:
    async def holds() -> Feed | None:
        found = await read(store, feed)
        return found if condition(found) else None

    return await until_true(holds, what, lambda: read(store, feed))


async def until_true(
    check: Callable[[], Awaitable[Feed | None]], what: str, now: Callable[[], Awaitable[Feed]]
) -> Feed:
    for _ in range(300):
        if (found := await check()) is not None:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"never: {what}; the feed is {await now()!r}")


def corner(receiver: UdpReceiver) -> tuple[int, ...]:
    """Mean RGB of the last picture's upper left corner, which shows the background."""
    pictures = receiver.pictures()
    return tuple(int(level) for level in pictures[-1][:20, :20].reshape(-1, 3).mean(0)) if pictures else (0, 0, 0)


def strip_of(receiver: UdpReceiver) -> Picture:
    """The middle of the last picture's lower third, brightest channel."""
    pictures = receiver.pictures()
    return pictures[-1][180:220, 100:220].max(axis=2) if pictures else np.full((1, 1), 255, np.uint8)


async def small_picture(store: FeedStore, feed: Feed) -> Picture:
    """What web gets from the worker, as RGB."""
    content = await FeedPictures(store._link).picture(feed.worker, feed.id)
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


async def counted(store: FeedStore, condition: Callable[[FeedCounts], object]) -> FeedCounts:
    """The counts of the heartbeat, once they fulfil a condition."""
    for _ in range(300):
        (worker,) = await LiveStore(store._link).workers("live")
        if worker.feeds.reconnects and condition(worker.feeds):
            return worker.feeds
        await asyncio.sleep(0.05)
    raise AssertionError(f"never; the counts are {worker.feeds!r}")


async def until_none(store: FeedStore, feed: Feed) -> None:
    """The worker has ended a feed that was removed."""
    for _ in range(300):
        if not await FeedPictures(store._link).picture((await LiveStore(store._link).workers("live"))[0].id, feed.id):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the worker still has it")


def source_live(feed: Feed) -> bool:
    return feed.report.source_state == "live"


def states(feed: Feed) -> dict[str, str]:
    return {each.id: each.state for each in feed.report.outputs}


@pytest.mark.long
def test_a_feed_is_run_changed_stopped_and_started(url: str, camera: RtspServer) -> None:
    async def run() -> None:
        with UdpReceiver() as first, UdpReceiver() as second:
            async with working(url) as store:
                feed = await created(store, camera.url(user="ann:pass-word"), output(first.url))
                found = await eventually(store, feed, lambda f: source_live(f) and "live" in states(f).values(), "live")
                assert found.state == "running"
                await until(lambda: corner(first)[2] > 200, 20, "blue")
                found = await eventually(store, feed, lambda f: f.report.meters and f.report.meters.fps_out > 5, "rate")
                meters = found.report.meters
                assert meters is not None
                assert (meters.width, meters.height, meters.engine) == (320, 240, "chroma")
                assert meters.bitrate_bps > 0
                assert found.report.outputs[0].frames > 0

                added, secret = output(second.url, 2)
                wanted = found.model_copy(update={"options": options(RED), "outputs": (*found.outputs, added)})
                await store.change(wanted, True, {added.id: secret})
                await until(lambda: corner(second)[0] > 200, 20, "red on the second output")
                first.clear()
                await until(lambda: corner(first)[0] > 200, 20, "red on the first output")

                current = await read(store, feed)
                paused = tuple(o.model_copy(update={"paused": o.id == added.id}) for o in current.outputs)
                await store.change(current.model_copy(update={"outputs": paused}), True)
                await eventually(store, feed, lambda f: states(f) == {"00000001": "live", added.id: "paused"}, "paused")
                second.clear()
                await asyncio.sleep(0.3)
                assert second.count() == 0
                current = await read(store, feed)
                await store.change(current.model_copy(update={"outputs": (added,)}), True, removed=["00000001"])
                await eventually(store, feed, lambda f: states(f) == {added.id: "live"}, "resumed, the other removed")

                stopped = await store.change(await read(store, feed), False)
                await asyncio.sleep(1.5)
                second.clear()
                await asyncio.sleep(0.3)
                assert second.count() == 0, "a stopped feed sends nothing"
                await store.change(stopped, True)
                await eventually(store, feed, lambda f: states(f) == {added.id: "live"}, "started again")

    asyncio.run(run())


@pytest.mark.long
def test_only_the_background_is_sent_while_the_source_is_away(url: str, camera: RtspServer) -> None:
    async def run() -> None:
        with UdpReceiver() as receiver:
            async with working(url) as store:
                feed = await created(store, camera.url(user="ann:pass-word"), output(receiver.url))
                await eventually(store, feed, source_live, "live")
                camera.kill()
                found = await eventually(store, feed, lambda f: f.report.source_state == "reconnecting", "lost")
                assert found.report.source_reason
                assert "pass-word" not in found.report.source_reason
                await asyncio.sleep(1.0)
                receiver.clear()
                await until(lambda: len(receiver.pictures()) > 3, 20, "slates")
                picture = receiver.pictures()[-1].reshape(-1, 3).astype(int)
                assert np.abs(picture - (0, 0, 255)).max() < 40, "nothing but the background"
                assert np.abs(await small_picture(store, found) - (0, 0, 255)).max() < 40
                current = await read(store, feed)
                text = current.options.model_copy(update={"slate": "Back soon"})
                await store.change(current.model_copy(update={"options": text}), True)
                await until(lambda: strip_of(receiver).min() < 100, 20, "a strip with text")
                assert strip_of(receiver).max() > 180, "letters"
                lower = (await small_picture(store, await read(store, feed)))[200:].max(axis=2)
                assert (lower.max(), lower.min() < 130) == (pytest.approx(255, abs=40), True)
                camera.start("--user", "ann:pass-word")
                await eventually(store, feed, source_live, "live again")
                sent = await counted(store, lambda counts: counts.reconnects["source"] == 1)
                assert (sent.frames_in > 0, sent.frames_out > 0, sent.reconnects["output"]) == (True, True, 0)
                await store.remove(feed.id)
                await until_none(store, feed)
                assert (await counted(store, lambda counts: True)).frames_in >= sent.frames_in, "it is kept"

    asyncio.run(run())


@pytest.mark.long
def test_a_source_over_http_is_opened_through_the_gateway(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[str] = []
    real = gateway._dialled

    def dial(address: str, port: int) -> socket.socket:
        dialled.append(address)
        return real(address, port)

    async def run() -> None:
        monkeypatch.setattr(gateway, "_dialled", dial)
        with serving() as origin:
            origin.files["/cam.mp4"] = numbered_clip(tmp_path / "clip.mp4", 300).read_bytes()
            async with working(url) as store:
                feed = await created(store, f"{origin.url}/cam.mp4")
                await eventually(store, feed, source_live, "live")
            assert origin.gets
            assert len(dialled) >= len(origin.gets)

    asyncio.run(run())


@pytest.mark.long
def test_a_feed_counts_as_a_video(url: str, camera: RtspServer) -> None:
    async def run() -> None:
        async with working(url) as store:
            source = camera.url(user="ann:pass-word")
            feeds = [await created(store, source, name=name) for name in ("a", "b", "c")]
            for feed in feeds[:2]:
                await eventually(store, feed, source_live, "live")
            assert (await read(store, feeds[2])).state == "waiting", "the worker has room for two"
            await store.remove(feeds[0].id)
            await eventually(store, feeds[2], source_live, "live")

    asyncio.run(run())


@pytest.mark.slow
def test_a_drained_worker_hands_its_feeds_to_another(url: str, camera: RtspServer) -> None:
    async def run() -> None:
        with UdpReceiver() as receiver:
            leaving = Running(url)
            await leaving.start()
            store = FeedStore(url)
            feed = await created(store, camera.url(user="ann:pass-word"), output(receiver.url))
            first = await eventually(store, feed, source_live, "live")
            await leaving.end()
            assert (await read(store, feed)).state == "waiting"
            async with working(url):
                second = await eventually(store, feed, source_live, "live on the other")
                assert second.worker != first.worker
            await store.close()

    asyncio.run(run())


@pytest.mark.long
def test_an_output_that_cannot_work_does_not_affect_the_others(url: str, camera: RtspServer) -> None:
    async def run() -> None:
        with UdpReceiver() as receiver:
            async with working(url) as store:
                bad = output("ndi://127.0.0.1:1/key", 2)
                feed = await created(store, camera.url(user="ann:pass-word"), output(receiver.url), bad)
                found = await eventually(
                    store, feed, lambda f: states(f) == {"00000001": "live", "00000002": "ended"}, "one is live"
                )
                assert "not supported" in found.report.outputs[1].reason

    asyncio.run(run())


@pytest.mark.parametrize(
    ("source", "detail"),
    [("ndi://127.0.0.1:1/cam", "not supported"), ("camera:/dev/video77", "there is no camera")],
)
def test_a_source_that_cannot_work_fails_the_feed(url: str, source: str, detail: str) -> None:
    async def run() -> None:
        async with working(url) as store:
            feed = await created(store, source)
            found = await eventually(store, feed, lambda f: f.state == "failed", "failed")
            assert found.reason == "usage"
            assert detail in found.detail

    asyncio.run(run())


@pytest.mark.long
def test_a_feed_that_ends_unexpectedly_is_tried_again_and_then_fails(
    url: str, camera: RtspServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise RuntimeError("a bug")

    async def run() -> None:
        monkeypatch.setattr(live_feed, "pump", broken)
        async with working(url) as store:
            feed = await created(store, camera.url(user="ann:pass-word"))
            found = await eventually(store, feed, lambda f: f.state == "failed", "failed")
            assert (found.reason, found.fence) == ("engine_failed", 6), "claimed and released three times"

    asyncio.run(run())


def test_workers_ask_often_enough_to_take_a_suspect_in_time() -> None:
    assert live_worker._TAKE_S < lifetimes.FEED_APART_S


async def _left_to_a_newer_worker(url: str, camera: RtspServer) -> None:
    with UdpReceiver() as receiver:
        async with working(url) as store:
            feed = await created(store, camera.url(user="ann:pass-word"), output(receiver.url))
            await eventually(store, feed, source_live, "the source is live")
            changed = (await read(store, feed)).model_copy(update={"options": FeedOptions(engine="unheard-of")})
            await store.change(changed, run=True)
            await eventually(store, feed, lambda found: found.state is FeedState.WAITING, "it waits again")
            await asyncio.sleep(1)
            found = await read(store, feed)
            assert (found.state, found.reason, found.worker) == (FeedState.WAITING, "", "")
            await store.change(found.model_copy(update={"options": options()}), run=True)
            await eventually(store, feed, source_live, "the worker takes it again")


@pytest.mark.long
def test_a_feed_changed_by_a_newer_version_is_left_to_a_newer_worker(url: str, camera: RtspServer) -> None:
    asyncio.run(_left_to_a_newer_worker(url, camera))
