"""Decoding and buffering of received frames, without a network."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from stream.errors import NoVideoStream
from stream.picture.frames import Frame
from stream.pump import pump
from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.encoder import LiveEncoder
from stream.rtc.source import WebRtcSource
from stream.settings import Settings
from tests.fakes import ListSink, Unchanged
from tests.media import Image, number_of, numbered
from tests.orientations import UPRIGHT, corners, quartered, with_message
from tests.pictures import stored
from tests.waiting import until

SETTINGS = Settings(hw_encode=False)


def encoded(codec: str = "H264", count: int = 30, first: int = 0) -> Iterator[Encoded]:
    yield from encoded_images(codec, [numbered(n, 128, 96) for n in range(first, first + count)], first)


def encoded_images(codec: str, images: list[Image], first: int = 0) -> Iterator[Encoded]:
    height, width = images[0].shape[:2]
    encoder = LiveEncoder(codec, width, height, 1_000_000, SETTINGS)
    for n, image in enumerate(images, first):
        rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture = rgb.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
        picture.pts, picture.time_base = 3000 * n, Fraction(1, 90_000)
        for packet in encoder.encode(picture, key=False):
            yield Encoded(codec, bytes(packet), 3000 * n)


def drained(source: WebRtcSource, pictures: Iterable[Encoded]) -> list[Frame]:
    """All decoded frames; each is decoded, or counted as dropped, before the next arrives."""
    frames: list[Frame] = []
    before = source.dropped["decode"]
    thread = threading.Thread(target=lambda: frames.extend(source))
    thread.start()
    for number, picture in enumerate(pictures, start=1):
        source.take(picture)
        until(lambda: len(frames) + source.dropped["decode"] - before >= number, "a frame", 0.002)  # noqa: B023
    source.take(None)
    thread.join(5)
    assert not thread.is_alive()
    return frames


@pytest.mark.parametrize(("limit", "size"), [(128 * 96, (96, 128)), (64 * 48, (48, 64))])
def test_orientation_messages_of_h264_are_applied(limit: int, size: tuple[int, int]) -> None:
    """Those of some hardware encoders; each message holds for the pictures after it."""
    pictures = [
        replace(item, data=with_message(item.data, 6)) if item.is_keyframe else item
        for item in encoded_images("H264", [stored(quartered(96, 128), 6)] * 5)
    ]
    frames = drained(WebRtcSource(Settings(live_pixels=limit), lambda: None), iter(pictures))
    assert [(frame.width, frame.height, corners(frame)) for frame in frames] == [(*size, UPRIGHT)] * 5


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_frames_are_decoded_in_order_with_times_and_arrival_times(codec: str) -> None:
    source = WebRtcSource(SETTINGS, lambda: None)
    frames = drained(source, encoded(codec))
    assert [number_of(frame) for frame in frames] == list(range(30))
    assert [frame.pts for frame in frames] == [3000 * n for n in range(30)]
    assert all(0 <= time.monotonic() - frame.arrived_s < 10 for frame in frames)
    assert source.dropped == {}
    assert source.rate.count == 30


def test_the_codec_may_change_in_mid_stream() -> None:
    pictures = [*encoded("VP8", count=5), *encoded("H264", count=5, first=5)]
    frames = drained(WebRtcSource(SETTINGS, lambda: None), iter(pictures))
    assert [number_of(frame) for frame in frames] == list(range(10))


def test_a_backlog_is_dropped_until_a_requested_keyframe() -> None:
    requests: list[float] = []
    source = WebRtcSource(SETTINGS, lambda: requests.append(time.monotonic()))
    pictures = list(encoded(count=40))
    for n, picture in enumerate(pictures):  # 40 ms apart, with no decoding thread
        source.take(Encoded(picture.codec, picture.data, picture.pts, arrived_s=100 + 0.04 * n))
    assert requests
    assert len(requests) <= 3
    assert source.dropped["decode"] == 40
    frames = drained(source, encoded(count=5, first=50))
    assert [number_of(frame) for frame in frames] == list(range(50, 55))


def test_damaged_frames_are_counted_and_a_keyframe_is_requested() -> None:
    requests: list[int] = []
    source = WebRtcSource(SETTINGS, lambda: requests.append(1))
    damaged = Encoded("VP8", b"\x10\x00\x00bytes that are not a frame" * 9, 0)
    frames = drained(source, iter([damaged, *encoded("VP8", count=5)]))
    assert len(frames) == 5
    assert source.dropped["decode"] == 1
    assert requests


def test_full_range_is_converted_to_limited() -> None:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 64, 48, "yuvj420p"
    context.time_base, context.options = Fraction(1, 90_000), {"tune": "zerolatency"}
    context.color_range, context.colorspace = ColorRange.JPEG, 1
    picture = av.VideoFrame.from_ndarray(np.full((72, 64), 255, np.uint8), format="yuvj420p")
    picture.pts, picture.color_range = 0, ColorRange.JPEG
    data = b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
    (frame,) = drained(WebRtcSource(SETTINGS, lambda: None), iter([Encoded("H264", data, 0)]))
    assert abs(int(frame.pixels[10, 10]) - 235) <= 1


def test_a_frame_over_the_limit_is_scaled_down() -> None:
    small = SETTINGS.model_copy(update={"live_pixels": 64 * 48})
    frames = drained(WebRtcSource(small, lambda: None), encoded(count=3))
    assert {(frame.width, frame.height) for frame in frames} == {(64, 48)}
    assert [number_of(frame) for frame in frames] == [0, 1, 2]


def test_odd_sides_are_cropped() -> None:
    context = av.CodecContext.create("libvpx", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 65, 49, "yuv420p", Fraction(1, 30)
    picture = av.VideoFrame(65, 49, "yuv420p")
    picture.pts = 0
    data = [bytes(packet) for packet in [*context.encode(picture), *context.encode(None)]]
    (frame,) = drained(WebRtcSource(SETTINGS, lambda: None), iter([Encoded("VP8", data[0], 0)]))
    assert (frame.width, frame.height) == (64, 48)


def test_info_waits_for_the_first_frame() -> None:
    source = WebRtcSource(SETTINGS, lambda: None)
    (picture,) = encoded(count=1)
    threading.Timer(0.1, source.take, [picture]).start()
    assert (source.info.width, source.info.height) == (128, 96)
    assert number_of(next(iter(source))) == 0


def test_a_connection_that_ends_before_its_first_frame() -> None:
    source = WebRtcSource(SETTINGS, lambda: None)
    threading.Timer(0.1, source.close).start()
    with pytest.raises(NoVideoStream):
        _ = source.info


def test_a_failing_transform_ends_the_pump_while_the_camera_is_silent() -> None:
    source = WebRtcSource(SETTINGS, lambda: None)
    for picture in encoded(count=1):
        source.take(picture)
    start_s = time.monotonic()
    with pytest.raises(ValueError, match="transform broke"):
        pump(source, Unchanged(fails_at=0), ListSink(), read=source.slot)
    assert time.monotonic() - start_s < 2


@pytest.mark.parametrize(
    ("profile", "pixels"),
    [("Constrained Baseline", "yuv420p"), ("Main", "yuv420p"), ("High", "yuv420p"), ("High 10", "yuv420p10le"),
     ("High 4:2:2", "yuv422p"), ("High 4:4:4 Predictive", "yuv444p")],
)  # fmt: skip
def test_every_h264_profile_that_publishers_may_offer_is_decoded(profile: str, pixels: str) -> None:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 128, 96, pixels, Fraction(1, 90_000)
    context.options, context.profile = {"preset": "ultrafast", "tune": "zerolatency", "cabac": "1"}, profile

    def pictures() -> Iterator[Encoded]:
        for n in range(12):
            rgb = av.VideoFrame.from_ndarray(numbered(n, 128, 96), format="rgb24")
            picture = rgb.reformat(format=pixels, dst_colorspace=1, dst_color_range=1)
            picture.pts, picture.time_base = 3000 * n, Fraction(1, 90_000)
            for packet in context.encode(picture):
                yield Encoded("H264", bytes(packet), 3000 * n)

    source = WebRtcSource(SETTINGS, lambda: None)
    frames = drained(source, pictures())
    assert [number_of(frame) for frame in frames] == list(range(12))
    assert source.dropped == {}


def test_a_picture_of_an_invalid_size_is_dropped() -> None:
    """Damaged packets may claim any size."""
    tiny = av.CodecContext.create("libvpx", "w")
    tiny.width, tiny.height, tiny.pix_fmt, tiny.time_base = 1, 1, "yuv420p", Fraction(1, 90_000)
    tiny.options = {"lag-in-frames": "0", "deadline": "realtime"}
    picture = av.VideoFrame(1, 1, "yuv420p")
    picture.pts, picture.time_base = 0, Fraction(1, 90_000)
    (packet,) = [*tiny.encode(picture), *tiny.encode(None)]
    source = WebRtcSource(SETTINGS, lambda: None)
    frames = drained(source, [Encoded("VP8", bytes(packet), 0), *encoded("VP8", 5)])
    assert [number_of(frame) for frame in frames] == list(range(5))
    assert source.dropped == {"decode": 1}
