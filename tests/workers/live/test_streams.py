"""Feeds whose source is a stream on this server, `live:NAME`: a real worker, a real publisher, a real Redis.

The worker has room for one video: a feed that needs no mattes leaves it to the publisher.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import av
import numpy as np
import pytest

from stream.address import Address
from stream.errors import UsageError
from stream.records.feeds import Feed, FeedSecrets
from stream.records.live import DELETED, Session, SessionKind, SessionState
from stream.records.live_store import LiveStore
from stream.records.options import FeedOptions, Options
from stream.serve.redis_server import Embedded
from tests.rtc import Camera, Client, until
from tests.servers import asynctest
from tests.udp_receiver import UdpReceiver
from tests.workers.live.test_feeds import SETTINGS, corner, eventually, output, source_live, working
from workers.live.streams import Streams

LOOPBACK = SETTINGS.model_copy(update={"loopback_candidates": True, "udp_address": "127.0.0.1", "live_sessions": 1})
MATTED = {"engine": "chroma", "key": "#00c83c", "background": "color:#0000ff"}
NOBODY = "nobody publishes studio"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    with Embedded(folder) as server:
        yield server.url


class GreenCamera(Camera):
    """Shows nothing but the key colour: the published picture is the background alone."""

    async def recv(self) -> av.VideoFrame:
        numbered = await super().recv()
        green = np.full((96, 128, 3), (0, 200, 60), np.uint8)
        frame = av.VideoFrame.from_ndarray(green, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = numbered.pts, Fraction(1, 90_000)
        return frame


@asynccontextmanager
async def published(store: LiveStore, owner: str) -> AsyncIterator[Session]:
    """A stream `studio` with a blue background, until it is left."""
    client, session = Client(GreenCamera(), "H264"), _session(owner)
    answer = await store.offer(session, await client.offer(), 10.0)
    assert answer is not None
    assert answer.sdp, answer
    await client.take(answer.sdp)

    async def live() -> bool:
        return await store.stream("studio") is not None

    for _ in range(300):
        if await live():
            break
        await asyncio.sleep(0.05)
    try:
        yield session
    finally:
        await store.end(session.id, DELETED)
        await client.close()


def _session(owner: str) -> Session:
    return Session(
        id=str(uuid4()), kind=SessionKind.PUBLISH, owner=owner, name="studio", options=Options.read(**MATTED)
    )


def feed_of(receiver: UdpReceiver) -> tuple[Feed, FeedSecrets]:
    target, secret = output(receiver.url)
    feed = Feed(
        id=str(uuid4()), owner="ann", name="stage", source="live:studio", outputs=(target,), width=320, height=240,
        options=FeedOptions.read(engine="chroma", background="none"),
    )  # fmt: skip
    return feed, FeedSecrets("live:studio", {target.id: secret})


@pytest.mark.long
@asynctest
async def test_a_feed_sends_on_what_is_published_and_waits_for_it(url: str) -> None:
    live = LiveStore(url)
    with UdpReceiver() as receiver:
        async with working(url, LOOPBACK) as store:
            feed = await store.create(*feed_of(receiver), 10)
            found = await eventually(store, feed, lambda f: f.report.source_reason == NOBODY, "nobody publishes")
            assert found.report.source_state == "reconnecting"
            async with published(live, "ann") as session:
                await eventually(store, feed, source_live, "live")
                await until(lambda: corner(receiver)[2] > 200, 20, "the published picture")
                found = await eventually(store, feed, lambda f: f.report.meters and f.report.meters.fps_in > 5, "rate")
                assert found.report.meters is not None
                assert found.report.meters.matte_fps == 0, "nothing is matted twice"
                viewers = [each for each in await live.sessions("ann") if each.kind is SessionKind.VIEW]
                assert [(v.of, v.name, v.state) for v in viewers] == [(session.id, "studio", SessionState.LIVE)]
            await eventually(store, feed, lambda f: f.report.source_reason == NOBODY, "it has ended")
            receiver.clear()
            await until(lambda: len(receiver.pictures()) > 3, 20, "slates")
            async with published(live, "ann"):
                await eventually(store, feed, source_live, "live again")
                await store.remove(feed.id)
                for _ in range(200):
                    viewers = [each for each in await live.sessions("ann") if each.kind is SessionKind.VIEW]
                    if all(viewer.state.final for viewer in viewers):
                        break
                    await asyncio.sleep(0.05)
                assert {v.reason for v in viewers if v.of != session.id} == {DELETED}
    await live.close()


@pytest.mark.long
@asynctest
async def test_the_stream_of_another_user_is_not_shown(url: str) -> None:
    live = LiveStore(url)
    with UdpReceiver() as receiver:
        async with working(url, LOOPBACK) as store, published(live, "bob"):
            feed = await store.create(*feed_of(receiver), 10)
            await eventually(store, feed, lambda f: f.report.source_reason == NOBODY, "nobody publishes")
            assert [each.kind for each in await live.sessions("ann") if not each.state.final] == []
    await live.close()


@asynctest
async def test_a_name_that_no_stream_can_have_is_refused(url: str) -> None:
    live = LiveStore(url)
    streams = Streams(live, LOOPBACK)
    for name in ("", "//host/x", "a b", "../x"):
        with pytest.raises(UsageError, match="live:NAME"):
            streams.connecting(Address("live", name), "ann")
    await live.close()
