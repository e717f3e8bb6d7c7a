"""Sound of live outputs: copied, or encoded once, at the right times."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.sinks.live.header import templates
from stream.sinks.live.packets import Packet
from stream.sinks.live.protocols import PROTOCOLS
from stream.sinks.live.sound import CopiedSound, EncodedSound, SoundEncode, is_copied, sound_header
from tests.flashes import beeps_s, loudness, make_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "aac": make_clip(folder / "aac.mp4", 3),
        "opus": make_clip(folder / "opus.mkv", 3, "libopus"),
        "pcm_s16le": make_clip(folder / "pcm.mov", 3, "pcm_s16le", 8000),
    }


def packets_of(encode: SoundEncode, container: Any, shift_s: float = 0.0) -> list[Packet]:
    found = []
    for packet in container.demux(audio=0):
        if packet.pts is not None:
            packet.pts += round(shift_s / packet.time_base)
            found += encode.encode(packet)
    return found


def beeps(encode: SoundEncode, packets: list[Packet]) -> list[float]:
    """When the beeps begin in packets, as a receiver decodes them."""
    peaks: list[tuple[float, float]] = []
    with templates(encode.header) as described:
        context: Any = described.streams.audio[0].codec_context
        for packet in packets:
            raw = av.Packet(packet.data)
            raw.pts, raw.dts, raw.time_base = packet.pts, packet.dts, packet.time_base
            for frame in context.decode(raw):
                frame.pts = frame.pts if frame.pts is not None else packet.pts
                peaks += loudness(frame)
    return beeps_s(peaks)


def assert_orderly(packets: list[Packet]) -> None:
    assert len(packets) > 50
    ends = [packet.pts + packet.duration for packet in packets]
    starts = [packet.pts for packet in packets]
    assert all(start > before for before, start in pairwise(starts))
    assert max(np.abs(np.subtract(starts[1:], ends[:-1])) * float(packets[0].time_base)) < 0.03


@pytest.mark.parametrize("codec", ["aac", "opus", "pcm_s16le"])
@pytest.mark.parametrize("encoder", ["aac", "libopus"])
def test_encoded_sound_is_stereo_at_48_khz_and_in_time(clips: dict[str, Path], codec: str, encoder: str) -> None:
    with av.open(clips[codec]) as container:
        encode = EncodedSound(container.streams.audio[0], encoder)
        packets = packets_of(encode, container)
    assert (encode.track.codec, encode.track.rate, encode.track.channels) == (encoder.removeprefix("lib"), 48_000, 2)
    assert encode.track.extradata
    assert_orderly(packets)
    assert beeps(encode, packets) == pytest.approx([0.48, 1.48, 2.48], abs=0.04)


@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_copied_sound_is_unchanged(clips: dict[str, Path], codec: str) -> None:
    with av.open(clips[codec]) as container:
        encode = CopiedSound(container.streams.audio[0])
        packets = packets_of(encode, container)
    with av.open(clips[codec]) as container:
        originals = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert [packet.data for packet in packets] == originals
    assert_orderly(packets)
    assert beeps(encode, packets) == pytest.approx([0.48, 1.48, 2.48], abs=0.04)


def test_packets_at_repeated_times_are_left_out(clips: dict[str, Path]) -> None:
    with av.open(clips["aac"]) as container:
        encode = CopiedSound(container.streams.audio[0])
        first, second = (packet for packet, _ in zip(container.demux(audio=0), range(2), strict=False))
        assert [len(encode.encode(packet)) for packet in (first, first, second, first)] == [1, 0, 1, 0]


def test_after_a_gap_encoded_sound_is_at_its_time_again(clips: dict[str, Path]) -> None:
    with av.open(clips["aac"]) as first, av.open(clips["aac"]) as second:
        encode = EncodedSound(first.streams.audio[0], "aac")
        packets = packets_of(encode, first) + packets_of(encode, second, shift_s=10)
    assert beeps(encode, packets) == pytest.approx([0.48, 1.48, 2.48, 10.48, 11.48, 12.48], abs=0.05)


def test_damaged_packets_cost_only_themselves(clips: dict[str, Path]) -> None:
    with av.open(clips["aac"]) as container:
        encode = EncodedSound(container.streams.audio[0], "aac")
        packets: list[Packet] = []
        for number, packet in enumerate(container.demux(audio=0)):
            if packet.pts is not None:
                packets += encode.encode(damaged(packet) if number == 20 else packet)
    assert beeps(encode, packets)[1:] == pytest.approx([1.48, 2.48], abs=0.05)


def damaged(packet: Any) -> Any:
    broken: Any = av.Packet(b"\xff" * packet.size)
    broken.stream, broken.time_base, broken.pts, broken.dts = packet.stream, packet.time_base, packet.pts, packet.dts
    return broken


def test_what_is_copied_where(clips: dict[str, Path]) -> None:
    copied = set()
    for codec, path in clips.items():
        with av.open(path) as container:
            source = container.streams.audio[0]
            copied |= {(codec, name) for name, kind in PROTOCOLS.items() if is_copied(source, kind.sound)}
    assert {name for codec, name in copied if codec == "aac"} >= {"rtsp", "rtmp", "udp", "mp4", "m3u8"}
    assert {name for codec, name in copied if codec == "opus"} >= {"rtsp", "udp"}
    assert not {name for codec, name in copied if codec == "opus"} & {"rtmp", "mp4"}
    assert not [name for codec, name in copied if codec == "pcm_s16le"]


def test_the_header_is_that_of_the_source(clips: dict[str, Path]) -> None:
    with av.open(clips["aac"]) as container:
        source = container.streams.audio[0]
        with templates(sound_header(source)) as described:
            context = described.streams.audio[0].codec_context
            assert (context.name, context.sample_rate) == ("aac", 48_000)
            assert bytes(context.extradata or b"").startswith(bytes(source.codec_context.extradata or b"")[:2])


def test_mp3_is_copied_at_the_rates_that_all_formats_take(tmp_path: Path) -> None:
    for rate in (44_100, 48_000, 24_000, 8_000):
        path = make_clip(tmp_path / f"{rate}.mkv", 1, "libmp3lame", rate)
        with av.open(path) as container:
            source = container.streams.audio[0]
            assert is_copied(source, PROTOCOLS["rtmp"].sound) == (rate >= 44_100), rate


def test_small_gaps_do_not_add_up(clips: dict[str, Path]) -> None:
    """A source whose clock is slow leaves a gap now and then, of less than a packet."""
    with av.open(clips["pcm_s16le"]) as container:
        encode, late_s, behind_s = EncodedSound(container.streams.audio[0], "aac"), 0.0, []
        for packet in container.demux(audio=0):
            if packet.pts is not None and packet.time_base is not None:
                late_s += 0.01
                packet.pts += round(late_s / packet.time_base)
                for last in encode.encode(packet)[-1:]:
                    sent_s = float((last.pts + last.duration) * last.time_base)
                    behind_s.append(float((packet.pts + (packet.duration or 0)) * packet.time_base) - sent_s)
        assert late_s > 0.2
        assert max(behind_s) - min(behind_s) < 0.055, "a step of up to 0.03 s, and a frame that is not full yet"
