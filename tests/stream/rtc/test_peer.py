"""Connections with real clients: how they open and close, and that they release everything."""

import asyncio
import contextlib
import gc
import os
import threading
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries

from stream.errors import SdpError
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from tests.fakes import Unchanged
from tests.offers import CHROMIUM, mutated
from tests.rtc import SETTINGS, Camera, Client, Video, live, until

pytestmark = pytest.mark.usefixtures("loopback")
SHORT_TIMEOUTS = SETTINGS.model_copy(update={"connect_timeout_s": 0.5, "media_timeout_s": 1.0})


def open_resources() -> tuple[int, int]:
    """Numbers of open file descriptors and running threads, without the clients' encoding threads."""
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return len(os.listdir("/proc/self/fd")), len(threads)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")  # for what earlier tests left behind
def test_a_hundred_connections_leak_nothing() -> None:
    gc.collect()  # else sockets that an earlier test left behind may be closed between the two counts

    async def connect_and_close() -> None:
        client, peer = Client(Camera(), "VP8"), Peer(SETTINGS)
        await client.take(await peer.answer(await client.offer()))
        await until(lambda: peer.state == "connected")
        await peer.close("deleted")
        await client.close()

    async def run() -> None:
        await connect_and_close()
        before, tasks = open_resources(), len(asyncio.all_tasks())
        for _ in range(100):
            await connect_and_close()
        await asyncio.sleep(0.1)
        assert open_resources() == before
        assert len(asyncio.all_tasks()) == tasks

    asyncio.run(run())


def test_offers_that_never_connect_are_released_at_their_deadline() -> None:
    async def run() -> None:
        changes: list[tuple[str, str]] = []
        before, tasks = open_resources(), len(asyncio.all_tasks())
        settings = SETTINGS.model_copy(update={"connect_timeout_s": 1.5})  # enough to answer on a busy machine
        peers = [Peer(settings, lambda state, reason: changes.append((state, reason))) for _ in range(20)]
        for peer in peers:
            await peer.answer(CHROMIUM)
        await until(lambda: len(changes) == 20, 3.5)
        assert set(changes) == {("closed", "connect_timeout")}
        await asyncio.sleep(0.05)
        assert open_resources() == before
        assert len(asyncio.all_tasks()) == tasks

    asyncio.run(run())


@pytest.mark.parametrize("heard", [False, True])
def test_a_connection_that_is_never_made_is_explained_in_one_line(
    heard: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """heard: the client's checks arrive, but ours do not reach it."""

    async def run() -> None:
        client, changes = Client(Camera(), "VP8"), list[tuple[str, str]]()
        peer = Peer(SHORT_TIMEOUTS, lambda state, reason: changes.append((state, reason)))
        answer = await peer.answer(await client.offer(), user="1234")
        if heard:
            connection = client.pc.getTransceivers()[0].receiver.transport.transport._connection
            monkeypatch.setattr(connection, "request_received", lambda *_: None)
            await client.take(answer)
        await until(lambda: changes, 3.0)
        assert changes == [("closed", "connect_timeout")]
        await client.close()

    asyncio.run(run())
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("session 1234: no connection to the client: ")
    assert ("ours were not answered" if heard else "nothing arrived from it") in line
    assert all(word in line for word in ("UDP", "MATTEBOX_UDP_PORTS", "MATTEBOX_PUBLIC_ADDRESS", "TURN"))


@pytest.mark.long
def test_closing_at_any_moment_of_connecting_leaks_nothing() -> None:
    async def run() -> None:
        before, tasks = open_resources(), len(asyncio.all_tasks())
        for n in range(16):
            client, peer = Client(Camera(), "VP8"), Peer(SETTINGS)
            await client.take(await peer.answer(await client.offer()))
            await asyncio.sleep(n * 0.012)
            await asyncio.gather(peer.close("deleted"), peer.close("drained"))
            await client.close()
        await asyncio.sleep(0.2)
        assert open_resources() == before
        assert len(asyncio.all_tasks()) == tasks

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_closing_at_any_moment_of_answering_leaks_nothing(how: str) -> None:
    async def run() -> None:
        output = LiveOutput(SETTINGS)
        before, tasks = open_resources(), len(asyncio.all_tasks())
        for steps in range(30):
            peer = Peer(SETTINGS)
            answering = asyncio.create_task(peer.answer(CHROMIUM, output))
            for _ in range(steps):
                await asyncio.sleep(0)
            if how == "cancel":
                answering.cancel()
            await peer.close("deleted")
            with contextlib.suppress(SdpError, asyncio.CancelledError):
                await answering
        assert open_resources() == before
        assert len(asyncio.all_tasks()) == tasks
        assert output.meters().viewers == 0

    asyncio.run(run())


@pytest.mark.parametrize("leaves", ["close", "vanish"])
def test_a_client_that_leaves_is_detected(leaves: str) -> None:
    async def run() -> None:
        client, video = Client(Camera(), "VP8"), Video(Unchanged(), SHORT_TIMEOUTS)
        await video.answer(client)
        await until(lambda: client.pictures)
        left_s = time.monotonic()
        if leaves == "close":
            await client.close()
        else:
            client.vanish()
        await until(lambda: len(video.changes) == 2, 4.0)
        assert video.changes[1] == ("closed", "bye" if leaves == "close" else "media_timeout")
        assert time.monotonic() - left_s < 2.5
        await video.close()
        await client.close()
        assert video.error is None

    asyncio.run(run())


@pytest.mark.long
def test_a_silent_camera_times_out_but_not_a_viewer() -> None:
    async def run() -> None:
        camera, viewer = Client(Camera(), "VP8"), Client(None, "VP8")
        settings = SETTINGS.model_copy(update={"media_timeout_s": 1.5})
        async with live(camera, Unchanged(), settings) as video:
            watching = Peer(SETTINGS.model_copy(update={"media_timeout_s": 7.0}))
            await viewer.take(await watching.answer(await viewer.offer(), video.output, incoming=False))
            await until(lambda: viewer.pictures)
            assert watching.source is None
            assert camera.camera is not None
            camera.camera.paused = True
            await until(lambda: len(video.changes) == 2, 4.0)
            assert video.changes[1] == ("closed", "media_timeout")
            assert watching.state == "connected"
            await watching.close("bye")
        await viewer.close()

    asyncio.run(run())


@pytest.mark.long
def test_a_viewer_who_vanishes_times_out() -> None:
    async def run() -> None:
        viewer = Client(None, "VP8")
        async with live(Client(Camera(), "VP8"), Unchanged()) as video:
            changes: list[str] = []
            settings = SETTINGS.model_copy(update={"media_timeout_s": 2.0})
            watching = Peer(settings, lambda state, reason: changes.append(reason))
            await viewer.take(await watching.answer(await viewer.offer(), video.output, incoming=False))
            await until(lambda: len(viewer.pictures) > 60)  # only its RTCP reports keep it connected
            assert video.output.meters().viewers == 2
            viewer.vanish()
            await until(lambda: watching.state == "closed", 4.0)
            await watching.close("deleted")
            assert changes == ["", "media_timeout"]
            assert video.output.meters().viewers == 1
        await viewer.close()

    asyncio.run(run())


def test_candidates_may_follow_the_offer() -> None:
    async def run() -> None:
        client, peer = Client(Camera(), "VP8"), Peer(SETTINGS)
        offer = await client.offer()
        lines = offer.split("\r\n")
        bare = "\r\n".join(ln for ln in lines if not ln.startswith(("a=candidate", "a=end-of")))
        await client.take(await peer.answer(bare))
        fragment = ("a=candidate", "a=ice-", "a=mid")
        await peer.add_candidates("\r\n".join(ln for ln in lines if ln.startswith(fragment)))
        await until(lambda: peer.state == "connected")
        with pytest.raises(SdpError):
            await peer.add_candidates("nonsense")
        await peer.close("deleted")
        await client.close()

    asyncio.run(run())


@given(mutated())
@tries(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_offer_is_answered_or_refused_and_leaks_nothing(text: str) -> None:
    async def run() -> None:
        before, tasks = open_resources(), len(asyncio.all_tasks())
        peer = Peer(SETTINGS)
        with contextlib.suppress(SdpError):
            assert "m=video" in await peer.answer(text)
        await peer.close("deleted")
        assert len(asyncio.all_tasks()) == tasks
        assert open_resources() == before

    asyncio.run(run())


def test_a_connection_that_fails_to_close_is_reported_as_closed(caplog: pytest.LogCaptureFixture) -> None:
    """A video that is never reported as closed would keep its place in the worker."""

    class OddOutput(LiveOutput):
        def detach(self, track: object) -> None:
            raise KeyError("odd")

    async def run() -> None:
        client, changes = Client(Camera(), "VP8"), list[tuple[str, str]]()
        peer = Peer(SETTINGS, lambda state, reason: changes.append((state, reason)))
        await client.take(await peer.answer(await client.offer(), OddOutput(SETTINGS)))
        await until(lambda: peer.state == "connected")
        await client.close()
        await until(lambda: changes[-1] == ("closed", "bye"))
        await asyncio.sleep(0)
        assert "Peer._shut_down failed: 'odd'" in caplog.text
        assert peer._pc is not None
        await peer._pc.close()

    asyncio.run(run())
