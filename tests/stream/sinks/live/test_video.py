"""The shared H.264 encoder of live outputs: keyframes, bit rate, rate and colours."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sinks.live.header import templates
from stream.sinks.live.packets import Packet
from stream.sinks.live.video import Pace, VideoEncoder, VideoKey, default_bitrate
from tests.feeding import CLOCK, INFO, RATE, SIZE, frame, number_of

SETTINGS = Settings(hw_encode=False)
KEY = VideoKey(*SIZE, 400_000)


def encode(encoder: VideoEncoder, frames: Iterable[Frame]) -> list[Packet]:
    return [packet for one in frames for packet in encoder.encode(one)]


def decoded(encoder: VideoEncoder, packets: Iterable[Packet]) -> list[av.VideoFrame]:
    context: Any = av.CodecContext.create("h264", "r")
    context.extradata = encoder.track.extradata
    pictures = []
    for packet in packets:
        raw = av.Packet(packet.data)
        raw.pts, raw.dts, raw.time_base = packet.pts, packet.dts, packet.time_base
        pictures += context.decode(raw)
    return pictures + list(context.decode(None))


def test_every_frame_gives_one_packet_at_once_with_its_time() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    frames = [frame(number) for number in range(60)]
    for one in frames:
        (packet,) = encoder.encode(one)
        assert (packet.pts, packet.dts, packet.time_base) == (one.pts, one.pts, CLOCK)
    again = VideoEncoder(KEY, INFO, SETTINGS)
    assert [number_of(picture) for picture in decoded(again, encode(again, frames))] == list(range(60))


def test_a_keyframe_every_two_seconds_also_at_a_rate_that_varies() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    rng, times_s, time_s = np.random.default_rng(1), [], 0.0
    while time_s < 12:
        times_s.append(time_s)
        time_s += rng.uniform(0.02, 0.09)
    frames = [replace(frame(n), pts=round(time_s / CLOCK)) for n, time_s in enumerate(times_s)]
    keys = [packet.time_s for packet in encode(encoder, frames) if packet.key]
    steps = np.diff(keys)
    assert keys[0] == 0
    assert len(keys) == 6
    assert steps.min() > 1.97
    assert steps.max() < 2.1


def test_a_requested_keyframe_comes_at_once_but_at_most_one_a_second() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    keys = []
    for number in range(2 * RATE):
        if number >= 5:
            encoder.request_key()
        keys += [number for packet in encoder.encode(frame(number)) if packet.key]
    assert keys == [0, 5, 30]


def test_times_increase_even_if_those_of_the_frames_do_not() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    frames = [replace(frame(n), pts=pts) for n, pts in enumerate([0, 3600, 3600, 100, 7200])]
    times = [packet.dts for packet in encode(encoder, frames)]
    assert times == sorted(set(times))
    assert len(times) == 5


def test_the_bit_rate_of_noise_is_the_requested_one() -> None:
    encoder = VideoEncoder(VideoKey(*SIZE, 300_000), INFO, SETTINGS)
    rng = np.random.default_rng(0)
    height, width = SIZE[1], SIZE[0]
    frames = [
        replace(frame(n), pixels=rng.integers(16, 235, (height * 3 // 2, width), np.uint8)) for n in range(4 * RATE)
    ]
    packets = encode(encoder, frames)
    per_second = [
        8 * sum(len(packet.data) for packet in packets if second <= packet.time_s < second + 1) for second in range(4)
    ]
    assert all(per_second_bps < 1.35 * 300_000 for per_second_bps in per_second[1:]), per_second


def test_frames_of_another_size_are_scaled() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    packets = encode(encoder, [frame(5), frame(6, (320, 240)), frame(7, (80, 60))])
    pictures = decoded(encoder, packets)
    assert {(picture.width, picture.height) for picture in pictures} == {SIZE}
    assert [number_of(picture) for picture in pictures] == [5, 6, 7]


@pytest.mark.parametrize(("colours", "matrix", "baseline"), [("bt709", 1, False), ("bt601", 6, True)])
def test_colours_are_converted_and_tagged(colours: Any, matrix: int, baseline: bool) -> None:
    encoder = VideoEncoder(replace(KEY, colours=colours, baseline=baseline), INFO, SETTINGS)
    pixels = np.full((SIZE[1] * 3 // 2, SIZE[0]), 90, np.uint8)
    (picture,) = decoded(encoder, encode(encoder, [replace(frame(0), pixels=pixels)]))
    assert picture.colorspace == matrix
    assert encoder.track.colours == colours
    assert (encoder.track.extradata[5] == 66) == baseline
    original = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
    original.colorspace, original.color_range = 1, 1
    found, expected = picture.to_ndarray(format="rgb24"), original.to_ndarray(format="rgb24")
    assert abs(found.astype(int) - expected).max() <= 5


def test_at_most_so_many_frames_a_second() -> None:
    pace = Pace(10)
    taken = [n for n in range(50) if pace.takes(n / 25)]
    assert len(taken) == 20
    assert max(np.diff(taken)) <= 3
    assert all(Pace(None).takes(0) for _ in range(3))
    exact = Pace(25)
    jitter = np.random.default_rng(2).uniform(-0.003, 0.003, 100)
    assert sum(exact.takes(n / 25 + float(shift)) for n, shift in enumerate(jitter)) == 100, "jitter costs no frame"


def test_the_limit_of_the_rate_survives_a_gap_and_a_jump_back() -> None:
    pace = Pace(10)
    assert [pace.takes(time_s) for time_s in (0.0, 0.05, 100.0, 100.05, 100.1, 3.0, 3.05)] == [
        True, False, True, False, True, True, False,
    ]  # fmt: skip


def test_the_default_bit_rate_grows_with_size_and_rate() -> None:
    assert 2_500_000 < default_bitrate(1280, 720, 30) < 4_500_000
    assert default_bitrate(1920, 1080, 30) > 2 * default_bitrate(1280, 720, 30)
    assert default_bitrate(32, 32, 1) == 400_000


def test_the_header_describes_the_track_to_muxers() -> None:
    encoder = VideoEncoder(KEY, INFO, SETTINGS)
    with templates(encoder.header) as described, av.open(BytesIO(), "w", format="flv") as target:
        (stream,) = described.streams
        context: Any = stream.codec_context
        assert (context.name, context.width, context.height, stream.time_base) == ("h264", *SIZE, CLOCK)
        assert encoder.track.extradata.split(b"\0\0\1")[1] in bytes(context.extradata), "the SPS"
        target.add_stream_from_template(stream, opaque=True)
        target.start_encoding()
    assert encoder.track.rate == Fraction(RATE)
