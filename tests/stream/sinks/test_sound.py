"""Sound of any format, that changes, overlaps, is damaged or missing: what is heard in each output format."""

import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.file import FileSource
from tests.fakes import Unchanged
from tests.media import command, numbered_clip, read
from tests.sounds import (
    clip_with,
    heard,
    increasing,
    joined,
    moved,
    onset_s,
    pitches,
    times_of,
    tones,
    tones_in,
    with_packets,
)

SETTINGS = Settings(threads=1)
FORMATS = [".mp4", ".webm", ".mov", ".mkv"]
STEP_S = 0.03  # within which sound is in step


def convert(clip: Path, out: Path) -> dict[str, str]:
    """The warnings of source and sink."""
    source, sink = FileSource(clip, SETTINGS), open_sink(out, Options(), SETTINGS)
    pump(source, Unchanged(), sink)
    return dict([*source.warnings, *sink.warnings])


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("5.1(side)", {"FL": [0], "FR": [1], "FC": [2], "BL": [4], "BR": [5]}),
        ("5.0(side)", {"FL": [0], "FR": [1], "FC": [2], "BL": [3], "BR": [4]}),
        ("quad(side)", {"FL": [0], "FR": [1], "BL": [2], "BR": [3]}),
        ("6.0", {"FL": [0], "FR": [1], "FC": [2], "BL": [3], "BR": [3], "SL": [4], "SR": [5]}),
        ("6.1", {"FL": [0], "FR": [1], "FC": [2], "BL": [4], "BR": [4], "SL": [5], "SR": [6]}),
        ("7.1(wide)", {"FL": [0, 6], "FR": [1, 7], "FC": [2], "BL": [4], "BR": [5]}),
    ],
)
def test_each_channel_is_heard_where_it_was(
    tmp_path: Path, layout: str, places: dict[str, list[int]], suffix: str
) -> None:
    count = av.AudioLayout(layout).nb_channels
    clip = clip_with(tmp_path / "in.mov", tones(count), layout=layout, codec="pcm_s16le")
    assert "sound_converted" in convert(clip, tmp_path / f"out{suffix}")
    found = pitches(tmp_path / f"out{suffix}")
    found.pop("LFE", None)  # AAC stores only low tones there
    assert {name: tone for name, tone in found.items() if tone} == places


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_layout_becomes_unknown(tmp_path: Path, suffix: str) -> None:
    """Matroska stores no layout for PCM, so it gets FLAC there."""
    clip = clip_with(tmp_path / "in.mov", tones(6), layout="5.1(side)", codec="pcm_s16le")
    convert(clip, tmp_path / f"out{suffix}")
    assert heard(tmp_path / f"out{suffix}")[2] in ("5.1", "5.1(side)")


def test_more_channels_than_have_a_place_are_mixed_and_reported(tmp_path: Path) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(16), layout="16 channels", codec="pcm_s16le")
    assert (
        "16 channels to aac, 48 kHz, stereo; its channels were mixed down"
        in convert(clip, tmp_path / "out.mp4")["sound_converted"]
    )
    assert pitches(tmp_path / "out.mp4") == {"FL": list(range(16)), "FR": list(range(16))}


@pytest.mark.parametrize(
    ("rate", "codec", "suffix", "expected"),
    [
        (192_000, "pcm_s24le", ".mp4", 96_000),
        (192_000, "pcm_f32le", ".webm", 48_000),
        (192_000, "pcm_f32le", ".mkv", 192_000),
        (6_000, "pcm_u8", ".mp4", 8_000),
        (8_000, "mp3", ".mp4", 8_000),
    ],
)
def test_rates_that_the_format_does_not_store_are_converted(
    tmp_path: Path, rate: int, codec: str, suffix: str, expected: int
) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(2, rate=rate), rate=rate, codec=codec)
    warnings = convert(clip, tmp_path / f"out{suffix}")
    assert ("sound_converted" in warnings) == (rate != expected)
    assert heard(tmp_path / f"out{suffix}")[1] == expected
    assert tones_in(tmp_path / f"out{suffix}") == [[0], [1]]


@pytest.mark.long
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("codec", "layouts", "rates"),
    [
        ("aac", ("stereo", "mono"), (48_000, 44_100)),
        ("ac3", ("stereo", "5.1(side)"), (48_000, 48_000)),
        ("mp2", ("mono", "stereo"), (44_100, 48_000)),
    ],
)
def test_sound_that_changes_gets_the_format_of_its_start(
    tmp_path: Path, codec: str, layouts: tuple[str, str], rates: tuple[int, int], suffix: str
) -> None:
    parts = [
        clip_with(
            tmp_path / f"{n}.ts",
            tones(av.AudioLayout(layout).nb_channels, rate=rate),
            layout=layout,
            rate=rate,
            codec=codec,
        )
        for n, (layout, rate) in enumerate(zip(layouts, rates, strict=True))
    ]
    out = tmp_path / f"out{suffix}"
    assert "sound_changes" in convert(joined(tmp_path / "in.ts", *parts), out)
    wave, rate, layout = heard(out)
    assert layout == layouts[0]
    assert rate == (48_000 if suffix == ".webm" else rates[0])
    assert len(wave) / rate == pytest.approx(2, abs=0.1)
    assert 0 in pitches(out, slice(rate // 4, rate * 3 // 4))[av.AudioLayout(layout).channels[0].name]
    assert 0 in pitches(out, slice(rate * 5 // 4, rate * 7 // 4))[av.AudioLayout(layout).channels[0].name]
    assert increasing(times_of(out))


def test_new_parameters_in_a_flash_video_are_a_change(tmp_path: Path) -> None:
    first = clip_with(tmp_path / "a.flv", tones(2), rate=48_000)
    second = clip_with(tmp_path / "b.flv", tones(1, rate=44_100), rate=44_100, layout="mono")
    (tmp_path / "in.flv").write_bytes(first.read_bytes() + second.read_bytes()[13:])  # without the file's header
    assert "sound_changes" in convert(tmp_path / "in.flv", tmp_path / "out.mp4")
    assert [0] in pitches(tmp_path / "out.mp4", slice(5_000, 30_000)).values()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("overlap_s", [0.02, 0.2, 0.45])
def test_overlapping_recordings_stay_in_step(tmp_path: Path, overlap_s: float, suffix: str) -> None:
    """The tone of the second part begins 0.5 s after its start, on the clock of both."""
    first = clip_with(tmp_path / "a.ts", tones(1, from_s=9), layout="mono")
    second = clip_with(tmp_path / "b.ts", tones(1, from_s=0.5), layout="mono")
    clip = joined(tmp_path / "in.ts", first, moved(tmp_path / "c.ts", second, 1 - overlap_s))
    with av.open(str(second)) as container:
        delay_s = onset_s(second) - 0.5 - (container.start_time or 0) / 1_000_000
    out = tmp_path / f"out{suffix}"
    warnings = convert(clip, out)
    assert increasing(times_of(out))
    assert onset_s(out) == pytest.approx(1.5 - overlap_s + delay_s, abs=STEP_S)
    left_out = 0 if overlap_s < 0.1 else round(overlap_s * 30)
    assert len(read(out)) == pytest.approx(60 - left_out, abs=1)
    assert ("overlap" in warnings) == (left_out > 0)
    assert left_out == 0 or "sound_overlap" in warnings
    spacing = np.diff([frame.time_s for frame in read(out)])
    assert spacing.min() > 0.007


def test_packets_of_192_khz_never_share_a_tick(tmp_path: Path) -> None:
    """Where the source repeats a time."""
    clip = clip_with(tmp_path / "in.mkv", tones(2, rate=192_000), rate=192_000, codec="flac")

    def repeated(number: int, packet: Any) -> Any:
        packet.pts = packet.dts = (packet.pts or 0) // 150 * 150
        return packet

    out = tmp_path / "out.mkv"
    source = with_packets(tmp_path / "repeated.mkv", clip, repeated)
    assert not increasing(times_of(source))
    convert(source, out)
    assert increasing(times_of(out))
    assert len(times_of(out)) == len(times_of(clip))


class Shaken:
    """A source whose packets of sound have times that are off by up to 50 ms, as those of some recorders.

    known: whether their durations are.
    """

    def __init__(self, source: FileSource, known: bool) -> None:
        self.info, self.warnings, self._source, self._known = source.info, source.warnings, source, known

    def __iter__(self) -> Any:
        rng = np.random.default_rng(1)
        for item in self._source:
            if not isinstance(item, Frame) and item.time_base and item.pts is not None:
                item.pts = item.dts = item.pts + round(rng.uniform(-0.05, 0.05) / float(item.time_base))
                item.duration = item.duration if self._known else 0
            yield item

    def close(self) -> None:
        self._source.close()


@pytest.mark.long
@pytest.mark.parametrize("suffix", FORMATS)
def test_jitter_loses_no_sound(tmp_path: Path, suffix: str) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(2, 2.0))
    sink = open_sink(tmp_path / f"out{suffix}", Options(), SETTINGS)
    pump(Shaken(FileSource(clip, SETTINGS), known=True), Unchanged(), sink)
    wave, rate, _ = heard(tmp_path / f"out{suffix}")
    assert len(wave) / rate == pytest.approx(2, abs=0.1)
    assert increasing(times_of(tmp_path / f"out{suffix}"))


def test_packets_of_unknown_duration_keep_their_times(tmp_path: Path) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(2, 2.0))
    sink = open_sink(tmp_path / "out.mkv", Options(), SETTINGS)
    pump(Shaken(FileSource(clip, SETTINGS), known=False), Unchanged(), sink)
    apart = np.diff([float(time) for time in times_of(tmp_path / "out.mkv")])
    assert apart.mean() == pytest.approx(1024 / 48_000, abs=0.01)
    assert apart.min() > 0


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "aac"), (".mp4", "flac"), (".mp4", "pcm_f32le")])
def test_gaps_are_filled_with_silence(tmp_path: Path, suffix: str, codec: str) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(1, 2.0), layout="mono", codec=codec)
    total = len(times_of(clip))
    with_gap = with_packets(tmp_path / "gap.mkv", clip, lambda n, p: None if total // 4 <= n < total // 2 else p)
    convert(with_gap, tmp_path / f"out{suffix}")
    wave, rate, _ = heard(tmp_path / f"out{suffix}")
    assert len(wave) / rate == pytest.approx(2, abs=0.06)
    loud = np.abs(wave[:, 0]) > 0.05
    assert not loud[int(0.6 * rate) : int(0.9 * rate)].any()
    assert loud[int(1.1 * rate) : int(1.9 * rate)].any()


def damage(number: int, packet: Any) -> Any:
    """For `with_packets`: three packets of ones."""
    if number not in (5, 6, 7):
        return packet
    broken = av.Packet(b"\xff" * packet.size)
    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
    return broken


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "aac"), (".mp4", "flac")])
def test_damaged_packets_are_silent_and_reported(tmp_path: Path, suffix: str, codec: str) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(1, 2.0), layout="mono", codec=codec)
    warnings = convert(with_packets(tmp_path / "damaged.mkv", clip, damage), tmp_path / f"out{suffix}")
    assert "3 of " in warnings["damaged_sound"]
    wave, rate, _ = heard(tmp_path / f"out{suffix}")
    assert len(wave) / rate == pytest.approx(2, abs=0.06)
    assert "sound_changes" not in warnings


def test_sound_of_which_nothing_can_be_decoded_is_reported_once(tmp_path: Path) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(1, 0.5), layout="mono", codec="flac")
    broken = with_packets(tmp_path / "broken.mkv", clip, lambda n, p: damage(5, p))
    warnings = convert(broken, tmp_path / "out.mp4")
    assert warnings == {"damaged_sound": "nothing of the sound could be decoded; it is silent"}


def test_sound_that_begins_later_in_a_broadcast_is_kept(tmp_path: Path) -> None:
    """The first table of streams has no sound; a later one announces it."""
    silent = numbered_clip(tmp_path / "silent.ts", 30)
    loud = clip_with(tmp_path / "loud.ts", tones(1), layout="mono")
    later = moved(tmp_path / "later.ts", loud, by_s=1)
    assert convert(joined(tmp_path / "in.ts", silent, later), tmp_path / "out.mp4") == {}
    assert onset_s(tmp_path / "out.mp4") == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("order", "heard_s"), [("sl", 3), ("sll", 3), ("ssl", 6), ("lsl", 0)])
def test_sound_that_begins_in_a_joined_recording_is_in_step(tmp_path: Path, order: str, heard_s: float) -> None:
    """Each recording has its own clock. s: silent, 3 s long. l: with sound, 1 s long."""
    parts = {
        "s": numbered_clip(tmp_path / "silent.ts", 90),
        "l": clip_with(tmp_path / "loud.ts", tones(1), layout="mono"),
    }
    assert convert(joined(tmp_path / "in.ts", *(parts[name] for name in order)), tmp_path / "out.mp4") == {}
    assert onset_s(tmp_path / "out.mp4") == pytest.approx(heard_s, abs=0.1)
    last_s, length_s = float(times_of(tmp_path / "out.mp4")[-1]), sum(3 if name == "s" else 1 for name in order)
    assert last_s == pytest.approx(length_s, abs=0.1)


def test_packets_that_the_muxer_refuses_are_left_out(tmp_path: Path) -> None:
    """The muxer of MP4 reads the headers of E-AC-3, and would fail when the next frame is written."""
    clip = clip_with(tmp_path / "in.mkv", tones(2, 2.0), codec="eac3")
    warnings = convert(with_packets(tmp_path / "damaged.mkv", clip, damage), tmp_path / "out.mp4")
    assert warnings == {
        "damaged_sound": f"3 of {len(times_of(clip))} packets of the sound were damaged and were left out"
    }
    assert tones_in(tmp_path / "out.mp4") == [[0], [1]]
    assert len(times_of(tmp_path / "out.mp4")) == len(times_of(clip)) - 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_track_is_reported(tmp_path: Path, suffix: str) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(1, 0.5), layout="mono")
    empty = with_packets(tmp_path / "empty.mkv", clip, lambda n, p: None)
    assert convert(empty, tmp_path / f"out{suffix}") == {"empty_sound": "the sound is empty"}
    assert len(read(tmp_path / f"out{suffix}")) == 15


def test_sound_without_a_decoder_is_reported(tmp_path: Path) -> None:
    clip = clip_with(tmp_path / "in.mkv", tones(1, 0.5), layout="mono")
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_QQQ"))
    warnings = convert(clip, tmp_path / "out.mp4")
    assert warnings == {"sound_left_out": "there is no decoder for the codec of sound track 1; it was left out"}


@pytest.mark.long
@pytest.mark.parametrize("name", ["mp4", "mkv"])
def test_aac_of_a_transport_stream_can_be_piped(tmp_path: Path, name: str) -> None:
    """Its parameters are in its packets, but a pipe's header cannot be completed later."""
    clip = clip_with(tmp_path / "in.ts", tones(1), layout="mono")
    options = ("--engine", "chroma", "--temporal", "off", "--background", "none")
    piped = subprocess.run(
        command("file", clip, "-o", "-", "--format", name, *options), capture_output=True, timeout=60, check=False
    )
    assert piped.returncode == 0, piped.stderr
    (tmp_path / f"out.{name}").write_bytes(piped.stdout)
    assert pitches(tmp_path / f"out.{name}") == {"FC": [0]}


def test_a_picture_that_changes_its_size_keeps_its_sound(tmp_path: Path) -> None:
    parts = [clip_with(tmp_path / f"{size}.ts", tones(1), layout="mono", size=size) for size in (48, 96)]
    convert(joined(tmp_path / "in.ts", *parts), tmp_path / "out.mp4")
    frames = read(tmp_path / "out.mp4")
    assert len(frames) == 60
    assert {frame.width for frame in frames} == {48}
    wave, rate, _ = heard(tmp_path / "out.mp4")
    assert len(wave) / rate == pytest.approx(2, abs=0.06)
