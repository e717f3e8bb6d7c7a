"""The whole path of live video with real clients: camera, pump, encoders, viewers."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.errors import NoVideoStream
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.peer import Peer
from stream.rtc.tracks import Variant
from tests.colours import bt601_to_rgb
from tests.fakes import Unchanged
from tests.rtc import SETTINGS, Camera, Client, Video, live, number_in, until
from workers.scene.composite import stacked

pytestmark = pytest.mark.usefixtures("loopback")

BARS = [(0, 200, 60), (220, 40, 30), (40, 60, 220), (128, 128, 128)]


@pytest.fixture
def wrapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """RTP timestamps start half a second before 32 bits overflow; normally after 13 hours of video, 24 of audio."""
    near = itertools.count(2**32 - 45_000, -1)
    monkeypatch.setattr("aiortc.rtcrtpsender.random32", lambda: next(near))


class Painted(Unchanged):
    """Replaces every frame by four bars of known colours."""

    def __call__(self, frame: Frame) -> list[Frame]:
        rgb = np.repeat(np.array(BARS, np.uint8)[None], frame.height, axis=0).repeat(frame.width // 4, axis=1)
        return [frame.with_pixels(rgb_to_i420(rgb))]


class Slow(Unchanged):
    def __call__(self, frame: Frame) -> list[Frame]:
        time.sleep(0.15)
        return super().__call__(frame)


class Sizes(Unchanged):
    """Records the sizes of its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def __call__(self, frame: Frame) -> list[Frame]:
        if self.seen[-1:] != [(frame.width, frame.height)]:
            self.seen.append((frame.width, frame.height))
        return super().__call__(frame)


class Stacking(Unchanged):
    """Frames with a stack in `others`, while the output wants one. The colour is the frame; alpha is 255 in its lower
    half."""

    def __init__(self) -> None:
        super().__init__()
        self.wants_stack: Callable[[], bool] = lambda: False

    def __call__(self, frame: Frame) -> list[Frame]:
        if not self.wants_stack():
            return [frame]
        alpha = np.zeros((frame.height, frame.width), np.uint8)
        alpha[frame.height // 2 :] = 255
        return [replace(frame, others=(frame.with_pixels(stacked(frame.pixels, alpha)),))]


@asynccontextmanager
async def viewing(
    video: Video, codec: str, sound: bool = False, stack: bool = False, changed: Callable[[str], str] = str
) -> AsyncIterator[Client]:
    """changed: changes the viewer's offer."""
    client, peer = Client(None, codec, sound), Peer(SETTINGS)
    try:
        offer = changed(await client.offer())
        await client.take(await peer.answer(offer, video.output, incoming=False, stacked=stack))
        yield client
    finally:
        await client.close()
        await peer.close("bye")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_frames_come_back_in_order(codec: str) -> None:
    async def run() -> None:
        client = Client(Camera(), codec)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) >= 40, what="pictures")
            assert video.changes == [("connected", "")]
            meters = video.output.meters()
        assert video.error is None
        numbers = [number_in(picture) for _, picture in client.pictures]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) > 0.8 * (numbers[-1] - numbers[0])
        assert (meters.width, meters.height, meters.viewers) == (128, 96, 1)
        assert meters.bitrate_bps > 10_000

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_frames_come_back_at_the_full_rate_and_with_low_latency(codec: str) -> None:
    async def run() -> None:
        client = Client(Camera(), codec)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) >= 60, what="pictures")
            meters = video.output.meters()
        assert 20 < meters.fps <= 32
        assert 0 < meters.latency_ms < 100

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.usefixtures("wrapping")
def test_a_call_outlasts_the_overflow_of_rtp_timestamps() -> None:
    async def run() -> None:
        client = Client(Camera(), "H264", sound=True)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) >= 50 and len(client.sounds) >= 80, what="pictures and sound")
            latency_ms = video.output.meters().latency_ms
        assert video.error is None
        numbers = [number_in(picture) for _, picture in client.pictures]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) > 0.8 * (numbers[-1] - numbers[0])
        assert 0 < latency_ms < 10_000, "a timestamp that overflowed would be off by 13 hours"
        for received in (client.pictures, client.sounds):
            times = [frame.pts or 0 for _, frame in received]
            assert times == sorted(times)

    asyncio.run(run())


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_colours_survive_in_both_directions(codec: str) -> None:
    """Both are BT.601: VP8 always, H.264 because it is what receivers assume."""

    async def run() -> None:
        client = Client(Camera(), codec)
        async with live(client, Painted()):
            await until(lambda: len(client.pictures) >= 12)
        picture = client.pictures[-1][1]
        y, u, v = (np.asarray(p).reshape(p.height, p.line_size) for p in picture.planes)
        for n, rgb in enumerate(BARS):
            x = 16 + 32 * n
            yuv = np.array([y[48, x], u[24, x // 2], v[24, x // 2], 1.0])
            assert np.abs(bt601_to_rgb() @ yuv - rgb).max() < 9, rgb

    asyncio.run(run())


@pytest.mark.long
def test_a_slow_engine_drops_frames_and_adds_no_delay() -> None:
    async def run() -> None:
        camera = Camera()
        client = Client(camera, "VP8")
        async with live(client, Slow()) as video:
            await until(lambda: len(client.pictures) >= 16)
            assert video.peer.source is not None
            assert video.peer.source.slot.dropped > 30
            assert 4 < video.output.meters().fps < 8
        sent_s = np.array(list(camera.sent_s.values()))
        since = [sum((sent_s > camera.sent_s[number_in(seen)]) & (sent_s <= at_s)) for at_s, seen in client.pictures]
        assert np.median(since) < 14, "5 pictures' time for the engine, as much again in the client's own buffer"
        assert max(since[2:]) < 27, "without drops it would be 60 by now"

    asyncio.run(run())


@pytest.mark.long
def test_viewers_share_an_encoder_and_a_stuck_one_does_not_stall_the_others() -> None:
    async def run() -> None:
        camera = Client(Camera(), "H264")
        async with live(camera, Unchanged()) as video, viewing(video, "H264") as first, viewing(video, "VP8") as second:
            async with viewing(video, "H264") as stuck:
                await until(lambda: all(client.pictures for client in (first, second, stuck)))
                assert set(video.output._encoders) == {Variant("H264"), Variant("VP8")}
                track, resumed = video.output._tracks[-1], asyncio.Event()
                recv = track.recv

                async def frozen() -> object:
                    await resumed.wait()
                    return await recv()

                track.recv = frozen  # type: ignore[method-assign]  # its sender takes no more packets
                seen = len(first.pictures)
                await until(lambda: track.dropped > 0, 8.0, "drops")
                assert len(first.pictures) - seen > 50
                assert len(track._packets) <= 64
                seen = len(stuck.pictures)
                resumed.set()
                await until(lambda: len(stuck.pictures) > seen + 10)
                assert video.output.meters().dropped["viewer"] > 0
                assert video.output.meters().viewers == 4
            await until(lambda: video.output.meters().viewers == 3)
        assert video.error is None

    asyncio.run(run())


def test_nothing_is_sent_before_the_first_frame_was_made() -> None:
    class Held(Unchanged):
        """Takes frames and returns none, like a model that is loading."""

        ready = False

        def __call__(self, frame: Frame) -> list[Frame]:
            return super().__call__(frame) if self.ready else []

    async def run() -> None:
        transform = Held()
        client = Client(Camera(), "VP8")
        async with live(client, transform) as video:
            await until(lambda: video.peer.source is not None and video.peer.source.rate.count > 15)
            assert client.pictures == []
            transform.ready = True
            await until(lambda: client.pictures)

    asyncio.run(run())


@pytest.mark.long
def test_smaller_frames_are_scaled_up_and_larger_or_rotated_ones_change_the_size() -> None:
    sizes = [(128, 96), (64, 48), (192, 144), (96, 128)]

    async def run() -> None:
        transform = Sizes()
        client = Client(Camera(size_of=lambda n: sizes[min(n // 20, 3)]), "VP8")
        async with live(client, transform) as video:
            await until(lambda: client.pictures and client.pictures[-1][1].width == 96, 8.0)
        assert transform.seen == [(128, 96), (192, 144), (96, 128)]
        received = [(p.width, p.height) for _, p in client.pictures]
        assert list(dict.fromkeys(received)) == [(128, 96), (192, 144), (96, 128)]
        assert video.error is None

    asyncio.run(run())


@pytest.mark.long
def test_audio_is_passed_on_with_the_delay_of_the_video() -> None:
    async def run() -> None:
        client = Client(Camera(), "VP8", sound=True)
        async with live(client, Slow()) as video:
            sent: dict[int, float] = {}
            left: dict[int, float] = {}
            (track,) = video.output._sounds
            put = track.put

            def received(sound: Encoded) -> None:
                sent[sound.pts] = sound.arrived_s
                video.output.play(sound)

            def put_timed(packet: Any) -> None:
                left[packet.pts] = time.monotonic()
                put(packet)

            video.peer.on_sound = received
            track.put = put_timed  # type: ignore[method-assign]
            await until(lambda: len(client.pictures) > 8 and len(client.sounds) > 40)
            held = [left[pts] - sent[pts] for pts in sent if pts in left][-20:]
            delay_s = video.output._meter.delay_s
            assert abs(float(np.median(held)) - delay_s) < max(0.05, delay_s / 3), "it varies more on a busy machine"
            assert np.median(held) > 0.14
            video.output.extra_delay_s = 0.3
            seen = len(left)
            await until(lambda: len(left) > seen + 25)
            late = [left[pts] - sent[pts] for pts in list(left)[-3:]]
            assert min(late) > 0.4
        assert list(left) == sorted(left)

    asyncio.run(run())


@pytest.mark.long
def test_viewers_of_colour_above_alpha_share_an_encoder_that_exists_only_for_them() -> None:
    async def run() -> None:
        transform = Stacking()
        camera = Client(Camera(size_of=lambda n: (320, 192)), "H264")
        async with live(camera, transform) as video:
            transform.wants_stack = lambda: video.output.wants_stack
            plain = {Variant("H264")}
            await until(lambda: len(camera.pictures) > 5)
            assert set(video.output._encoders) == plain
            assert not video.output.wants_stack
            async with viewing(video, "H264", stack=True) as one, viewing(video, "H264", stack=True) as two:
                async with viewing(video, "VP8", stack=True) as three:
                    clients = (one, two, three)
                    await until(lambda: all(len(client.pictures) > 5 for client in clients), what="stacks")
                    stacks = {Variant("H264", True), Variant("VP8", True)}
                    assert set(video.output._encoders) == plain | stacks
                    assert (video.output.codecs, video.output.stacked_codecs) == ({"H264"}, {"H264", "VP8"})
                    meters = video.output.meters()
                    assert (meters.width, meters.height, meters.viewers) == (320, 192, 4)
                for client in clients:
                    picture = client.pictures[-1][1]
                    assert (picture.width, picture.height) == (320, 384)
                    luma = picture.reformat(format="gray").to_ndarray()
                    assert luma[:80].max() < 12, "no colour where alpha is 0"
                    assert luma[200:280].max() < 12
                    assert luma[300:].min() > 243
            assert {picture.height for _, picture in camera.pictures} == {192}
            await until(lambda: set(video.output._encoders) == plain, what="its encoders are closed")
            assert not video.output.wants_stack

    asyncio.run(run())


def test_a_viewer_with_a_low_level_gets_a_smaller_stack() -> None:
    def strict(offer: str) -> str:
        return offer.replace("level-asymmetry-allowed=1;", "").replace("42e01f", "42e00b").replace("42001f", "42000b")

    async def run() -> None:
        transform = Stacking()
        camera = Client(Camera(size_of=lambda n: (320, 192)), "H264")
        async with live(camera, transform) as video:
            transform.wants_stack = lambda: video.output.wants_stack
            async with viewing(video, "H264", stack=True, changed=strict) as low:
                await until(lambda: low.pictures, what="stacks")
                picture = low.pictures[-1][1]
                assert (picture.width, picture.height) == (144, 176), "100 macroblocks in level 1.1 at 30 fps"

    asyncio.run(run())


@pytest.mark.long
def test_the_bit_rate_follows_the_slowest_viewer() -> None:
    class Noise(Unchanged):
        def __call__(self, frame: Frame) -> list[Frame]:
            rng = np.random.default_rng(frame.pts)
            return [frame.with_pixels(rng.integers(16, 235, frame.pixels.shape, dtype=np.uint8))]

    async def run() -> None:
        client = Client(Camera(size_of=lambda n: (320, 240)), "H264")
        async with live(client, Noise()) as video:
            await until(lambda: len(client.pictures) > 40)
            full = video.output.meters().bitrate_bps
            (track,) = video.output._tracks
            bandwidth_estimated = video.output._bandwidth_estimated
            video.output._bandwidth_estimated = lambda track, bps: None  # type: ignore[method-assign]  # ignore real ones
            bandwidth_estimated(track, 80_000)
            await until(lambda: video.output._encoders[Variant("H264")].encoder.bps == 72_000, 2.5, "the new bit rate")
            await until(lambda: video.output.meters().bitrate_bps < 0.6 * full, 2.5, "fewer bits")

    asyncio.run(run())


@pytest.mark.long
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_lost_packets_are_retransmitted_and_the_video_continues(codec: str) -> None:
    async def run() -> None:
        client = Client(Camera(size_of=lambda n: (320, 240)), codec)
        async with live(client, Unchanged()) as video:
            await until(lambda: client.pictures)
            count = 0
            transport = client.pc.getReceivers()[0].transport.transport
            send = transport._send

            async def lossy(data: bytes) -> None:
                nonlocal count
                count += 1
                if count % 15:
                    await send(data)

            transport._send = lossy
            seen = len(client.pictures)
            await until(lambda: count > 90 and len(client.pictures) > seen + 25)
        numbers = [number_in(picture) for _, picture in client.pictures]
        assert numbers == sorted(numbers)
        assert video.error is None

    asyncio.run(run())


def test_a_connection_without_frames_ends_with_no_video_stream() -> None:
    async def run() -> None:
        client, video = Client(Camera(), "VP8"), Video(Unchanged())
        assert client.camera is not None
        client.camera.paused = True
        await video.answer(client)
        await until(lambda: video.changes)
        await client.close()
        await video.close()
        assert isinstance(video.error, NoVideoStream)

    asyncio.run(run())
