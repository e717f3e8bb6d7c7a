"""The sound of a live source: formats that are passed on, placing, holes, overlaps, conversion. No connection."""

import io
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from stream.picture.frames import Sound
from stream.sources.live.format import DEFAULT, LiveFormat, Template
from stream.sources.live.sound import LiveSound
from tests.flashes import loudness

AAC = LiveFormat("aac", 48_000, "stereo")
FORMATS = [
    AAC,
    LiveFormat("aac", 44_100, "mono"),
    LiveFormat("aac", 16_000, "mono"),
    LiveFormat("opus", 48_000, "stereo"),
    LiveFormat("opus", 48_000, "mono"),
    LiveFormat("mp3", 44_100, "stereo"),
    LiveFormat("mp3", 22_050, "mono"),
    LiveFormat("pcm_mulaw", 8_000, "mono"),
    LiveFormat("pcm_alaw", 8_000, "mono"),
]
ENCODERS = {"opus": "libopus", "mp3": "libmp3lame"}


def packets(codec: str, rate: int, layout: str, kind: str, seconds: float = 1.0) -> list[Sound]:
    """A tone in a container of this kind, demuxed again."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream(ENCODERS.get(codec, codec), rate=rate)
        stream.codec_context.layout = layout
        samples = np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)
        mono = av.AudioFrame.from_ndarray((samples[None] * 12_000).astype(np.int16), format="s16", layout="mono")
        mono.sample_rate, mono.pts, mono.time_base = rate, 0, Fraction(1, rate)
        size = stream.codec_context.frame_size or rate // 50
        for frame in av.AudioResampler(stream.codec_context.format.name, layout, rate, size).resample(mono):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    return [packet for packet in av.open(file, format=kind).demux() if packet.size]  # type: ignore[misc, union-attr]


def spans(sound: list[Sound]) -> list[tuple[int, int]]:
    return [(packet.pts or 0, packet.duration or 0) for packet in sound]


def is_continuous(sound: list[Sound]) -> bool:
    placed = spans(sound)
    return all(start + length == after for (start, length), (after, _) in pairwise(placed))


@pytest.fixture
def track() -> LiveSound:
    return LiveSound(AAC)


@pytest.mark.parametrize("chosen", FORMATS, ids=str)
def test_a_template_describes_the_format_and_has_silence(chosen: LiveFormat) -> None:
    template = Template(chosen)
    context = template.stream.codec_context
    assert (context.codec.canonical_name, context.sample_rate) == (chosen.codec, chosen.rate)
    assert context.layout.nb_channels == chosen.channels
    assert chosen.samples(template.silence) == chosen.default_samples
    frames: Any = [frame for _ in range(4) for frame in context.decode(av.Packet(template.silence))]
    assert max(peak for frame in frames for _, peak in loudness(_timed(frame))) < 1e-3
    assert sum(frame.samples for frame in frames) >= 3 * chosen.default_samples


@pytest.mark.parametrize("chosen", FORMATS, ids=str)
def test_sound_of_a_known_format_is_passed_on(chosen: LiveFormat) -> None:
    received = packets(chosen.codec, chosen.rate, chosen.layout, "nut")
    assert {LiveFormat.of(packet) for packet in received} == {chosen}
    steps = [((after.pts or 0) - (before.pts or 0)) * (before.time_base or 0) for before, after in pairwise(received)]
    assert [chosen.samples(bytes(packet)) * chosen.time_base for packet in received[:-1]] == steps


def test_the_header_of_aac_in_mpeg_ts_is_removed() -> None:
    received = packets("aac", 48_000, "stereo", "mpegts")
    assert bytes(received[0])[:1] == b"\xff"
    assert LiveFormat.of(received[0]) == AAC
    sound = LiveSound(AAC)
    passed = [passed for packet in received for passed in sound.add(packet, _time_s(packet, received), 0.0)]
    assert len(passed) == len(received)
    assert [len(bytes(after)) for after in passed] == [len(bytes(before)) - 7 for before in received]
    assert is_continuous(passed)
    decoded = [frame for packet in passed for frame in passed[0].stream.codec_context.decode(packet)]
    assert max(peak for frame in decoded[4:] for _, peak in loudness(_timed(frame))) > 0.2


def _time_s(packet: Sound, received: list[Sound]) -> float:
    return float(((packet.pts or 0) - (received[0].pts or 0)) * (packet.time_base or 0))


def _timed(frame: Any) -> Any:
    frame.pts, frame.time_base = frame.pts or 0, frame.time_base or Fraction(1, frame.sample_rate)
    return frame


@pytest.mark.parametrize(
    ("codec", "rate", "layout", "kind"),
    [("flac", 48_000, "stereo", "nut"), ("aac", 48_000, "5.1", "nut"), ("ac3", 48_000, "stereo", "mpegts")],
)
def test_sound_in_other_formats_is_converted(codec: str, rate: int, layout: str, kind: str) -> None:
    received = packets(codec, rate, layout, kind)
    assert LiveFormat.of(received[0]) is None
    assert_converted(received, DEFAULT)


@pytest.mark.long
@pytest.mark.parametrize("chosen", FORMATS, ids=str)
def test_a_later_connection_in_another_format_is_converted(chosen: LiveFormat) -> None:
    other = LiveFormat("opus", 48_000, "stereo") if chosen.codec != "opus" else AAC
    assert_converted(packets(other.codec, other.rate, other.layout, "nut"), chosen)


def assert_converted(received: list[Sound], chosen: LiveFormat) -> None:
    """The tone is there, continuous, in the format of the track and at the time of its packets."""
    sound = LiveSound(chosen)
    passed = list(sound.fill(1.2, away=True))
    for packet in received:
        passed += sound.add(packet, 1.0 + _time_s(packet, received), 1.0)
    assert is_continuous(passed)
    assert {packet.stream is sound.stream for packet in passed} == {True}
    context, peaks = sound.stream.codec_context, []
    for packet in passed:
        peaks += [peak for frame in context.decode(packet) for peak in loudness(_timed(frame))]
    loud = [time_s for time_s, peak in peaks if peak > 0.2]
    assert 0.98 <= loud[0] <= 1.06
    assert 1.85 <= loud[-1] <= 2.02, "the encoder keeps the last packets"


def test_packets_follow_each_other_in_spite_of_jitter(track: LiveSound) -> None:
    received = packets("aac", 48_000, "stereo", "nut")
    jitter_s = (0.0, 0.004, -0.006, 0.009, -0.009)
    passed = [
        passed
        for n, packet in enumerate(received)
        for passed in track.add(packet, _time_s(packet, received) + jitter_s[n % 5], 0.0)
    ]
    assert spans(passed) == [(n * 1024, 1024) for n in range(len(received))]
    assert track.filled_s == 0


def test_a_hole_is_filled_with_silence(track: LiveSound) -> None:
    received = packets("aac", 48_000, "stereo", "nut")
    passed = list(track.add(received[0], 0.0, 0.0)) + list(track.add(received[1], 1.0, 1.0))
    begins = [begin for begin, _ in spans(passed)]
    assert begins[-1] == 48_000, "sound keeps its time"
    assert begins[:-1] == [n * 1024 for n in range(46)]
    assert track.filled_s == pytest.approx(45 * 1024 / 48_000)


def test_sound_before_the_end_of_the_track_is_dropped(track: LiveSound) -> None:
    received = packets("aac", 48_000, "stereo", "nut")
    filled = list(track.fill(1.2, away=True))
    end_s = sum(spans(filled)[-1]) / 48_000
    assert 0.97 < end_s <= 1.0
    assert list(track.add(received[0], end_s - 0.5, 1.0)) == []
    assert len(list(track.add(received[1], end_s, 1.0))) == 1


def test_silence_waits_for_sound_that_may_be_late(track: LiveSound) -> None:
    received = packets("aac", 48_000, "stereo", "nut")
    assert list(track.fill(0.4, away=False)) == []
    assert len(list(track.add(received[0], 0.0, 0.9))) == 1, "it was 0.9 s late"
    assert list(track.fill(1.39, away=False)) == []
    assert list(track.fill(1.5, away=False)) != []


def test_silence_is_prompt_while_the_source_is_away(track: LiveSound) -> None:
    received = packets("aac", 48_000, "stereo", "nut")
    list(track.add(received[0], 0.0, 3.0))
    filled = list(track.fill(3.0, away=True))
    assert 2.75 < sum(spans(filled)[-1]) / 48_000 <= 2.8


@pytest.mark.long
def test_silence_is_continuous_over_an_hour(track: LiveSound) -> None:
    passed = [packet for tick in range(0, 36_000, 7) for packet in track.fill(tick / 10, away=True)]
    assert is_continuous(passed)
    assert len(passed) == pytest.approx(3599.7 * 48_000 / 1024, abs=60)


def test_a_damaged_packet_is_no_error(track: LiveSound) -> None:
    received = packets("flac", 48_000, "stereo", "nut")
    damaged: Any = av.Packet(bytes(200))
    damaged.stream, damaged.time_base = received[0].stream, Fraction(1, 1000)
    assert list(track.add(damaged, 0.0, 0.0)) == []


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"", 0),
        (bytes([0 << 3]), 480),
        (bytes([3 << 3]), 2880),
        (bytes([12 << 3]), 480),
        (bytes([16 << 3]), 120),
        (bytes([31 << 3 | 1]), 1920),
        (bytes([31 << 3 | 3, 3]), 2880),
        (bytes([31 << 3 | 3]), 0),
    ],
)
def test_the_length_of_an_opus_packet_is_in_its_first_bytes(packet: bytes, samples: int) -> None:
    assert LiveFormat("opus", 48_000, "mono").samples(packet) == samples


def test_sound_on_a_clock_that_has_jumped_adds_no_silence(track: LiveSound) -> None:
    first, second = packets("aac", 48_000, "stereo", "nut")[:2]
    assert len(list(track.add(first, 0.0, 0.1))) == 1
    assert list(track.add(second, 600.0, 0.1)) == []
    assert len(list(track.add(second, 0.021, 0.1))) == 1, "it is not left behind"
