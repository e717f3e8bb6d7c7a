"""Valid files, usual and unusual. Broken ones are in test_bad_files.py."""

import itertools
import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.scan import scan
from tests import media
from tests.media import drain, number_of, numbered, numbered_clip, read, write_video
from tests.sounds import joined, moved

INTRA = {"g": "1", "bf": "0"}


def test_every_frame_comes_once_in_order_with_its_time(tmp_path: Path) -> None:
    frames = read(numbered_clip(tmp_path / "a.mp4", 40))
    assert [number_of(f) for f in frames] == list(range(40))
    assert [f.time_s for f in frames] == pytest.approx([n / 30 for n in range(40)], abs=1e-3)


def test_variable_rate_keeps_each_time(tmp_path: Path) -> None:
    times = [0, 33, 66, 500, 520, 1900, 1933]
    path = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(7)], times_ms=times)
    assert [round(f.time_s * 1000) for f in read(path)] == times


def test_a_recording_that_starts_late_starts_at_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "l.mkv", [numbered(n) for n in range(4)], times_ms=[5000, 5033, 5066, 5100])
    assert [round(f.time_s * 1000) for f in read(path)] == [0, 33, 66, 100]


@pytest.mark.parametrize(
    ("start_s", "end_s", "numbers"), [(0.5, None, range(15, 40)), (0.5, 1.0, range(15, 30)), (0.0, 0.1, range(3))]
)
def test_a_range_is_exact_to_the_frame(tmp_path: Path, start_s: float, end_s: float | None, numbers: range) -> None:
    path = numbered_clip(tmp_path / "p.mp4", 40, options={"g": "12"}, sound_s=1.3)
    frames = read(path, start_s=start_s, end_s=end_s)
    assert [number_of(f) for f in frames] == list(numbers)
    assert frames[0].time_s == pytest.approx(0, abs=0.002)


def test_audio_of_a_range_starts_with_its_frames(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "s.mp4", 60, sound_s=2.0)
    source = FileSource(path, Settings(), start_s=1.0)
    packets = [i for i in source if isinstance(i, av.Packet)]
    source.close()
    times = [float(p.pts * p.time_base) for p in packets]  # type: ignore[operator]
    assert times[0] == pytest.approx(0, abs=0.03)
    assert times[-1] == pytest.approx(0.98, abs=0.06)


def test_starting_past_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="cannot start"):
        FileSource(numbered_clip(tmp_path / "a.mp4", 12), Settings(), start_s=9)


def test_non_square_pixels_are_made_square(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "sar.mp4", 3, sar=Fraction(4, 3))
    assert {(f.width, f.height) for f in read(path)} == {(86, 48)}


def test_interlaced_video_is_deinterlaced(tmp_path: Path) -> None:
    """Fields of a moving bar show combing; after the filter neighbouring rows agree."""
    images = []
    for n in range(8):
        image = np.full((64, 128, 3), 30, np.uint8)
        for field in (0, 1):
            x = 8 + 8 * (2 * n + field) % 96
            image[field::2, x : x + 16] = 230
        images.append(image)
    path = write_video(tmp_path / "i.mp4", images, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "5"})
    frames = read(path)
    combing = [float(np.abs(np.diff(f.planes()[0].astype(int), axis=0)).mean()) for f in frames[2:-2]]
    raw = float(np.abs(np.diff(images[4][..., 0].astype(int), axis=0)).mean())
    assert max(combing) < raw / 2
    assert [round(f.time_s * 30) for f in frames] == list(range(8))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"), [("libx265", "yuv420p10le", "t.mp4"), ("ffv1", "yuv422p10le", "t.mkv")]
)
def test_ten_bit_video_becomes_eight_bit(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = numbered_clip(tmp_path / name, 5, codec=codec, pix_fmt=pix_fmt, options=options)
    assert [number_of(f) for f in read(path)] == list(range(5))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name", "options"),
    [
        ("libvpx-vp9", "yuva420p", "a.webm", {"auto-alt-ref": "0"}),
        ("libvpx", "yuva420p", "b.webm", {"auto-alt-ref": "0"}),
        ("prores_ks", "yuva444p10le", "c.mov", {"profile": "4444"}),
        ("qtrle", "argb", "d.mov", {}),
    ],
)
def test_alpha_of_the_input_is_read(
    tmp_path: Path, codec: str, pix_fmt: str, name: str, options: dict[str, str]
) -> None:
    rgba = np.dstack([numbered(3), np.zeros((48, 64), np.uint8)])
    rgba[:, 32:, 3] = 255
    pictures = [av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pix_fmt) for _ in range(3)]
    frames = read(write_video(tmp_path / name, pictures, codec=codec, pix_fmt=pix_fmt, options=options))
    assert len(frames) == 3
    for frame in frames:
        assert frame.alpha is not None
        assert frame.alpha[:, 40:].min() >= 250
        assert frame.alpha[:, :24].max() <= 5


def test_video_with_a_palette_is_read(tmp_path: Path) -> None:
    """As old screen recorders write it."""
    palette = np.stack([np.full(256, 255, np.uint8), *[np.arange(256, dtype=np.uint8)] * 3], axis=1)
    images: list[Any] = [(numbered(n)[:, :, 0].copy(), palette) for n in range(6)]
    frames = [av.VideoFrame.from_ndarray(image, format="pal8") for image in images]
    clip = write_video(tmp_path / "in.avi", frames, codec="rawvideo", pix_fmt="pal8")
    found = read(clip)
    assert [number_of(frame) for frame in found] == [*range(6)]
    assert all(frame.alpha is None or frame.alpha.min() == 255 for frame in found)


@pytest.mark.parametrize("cut", [1, 100, 187])
def test_a_transport_stream_that_is_cut_inside_a_packet_is_read(tmp_path: Path, cut: int) -> None:
    """Its first bytes may look like those of an MP3."""
    clip = numbered_clip(tmp_path / "in.ts", 30, sound_s=1.0)
    clip.write_bytes(clip.read_bytes()[cut:])
    assert [number_of(frame) for frame in read(clip)] == [*range(30)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_reordered_frames_with_decoding_times_only_are_all_read(tmp_path: Path, suffix: str) -> None:
    """As some programs write raw streams into MP4."""
    clip, wrong = numbered_clip(tmp_path / "in.mp4", 60, options={"bf": "3"}), tmp_path / f"wrong.{suffix}"
    with av.open(str(clip)) as container, av.open(str(wrong), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux() if packet.size]
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = round(number / 30 / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    found = read(wrong)
    assert (scan(clip, Settings()).plain, scan(wrong, Settings()).plain) == (True, False)
    assert [number_of(frame) for frame in found] == [*range(60)]
    assert [frame.time_s for frame in found] == pytest.approx([n / 30 for n in range(60)], abs=0.12)


def test_a_million_fps_keep_order_and_the_rate_is_estimated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "fast.mkv", [numbered(n) for n in range(5)], codec="ffv1", rate=Fraction(1_000_000))
    source = FileSource(path, Settings())
    frames = [i for i in source if isinstance(i, Frame)]
    source.close()
    assert source.info.rate <= 240
    assert [number_of(f) for f in frames] == list(range(5))
    assert all(b.pts > a.pts for a, b in itertools.pairwise(frames))


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    assert len(read(numbered_clip(tmp_path / "one.mp4", 1))) == 1


@pytest.mark.parametrize("size", [(641, 361), (3, 3), (2, 2)])
def test_odd_and_tiny_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    path = write_video(
        tmp_path / "odd.mkv", [np.full((height, width, 3), 99, np.uint8)] * 2, codec="ffv1", pix_fmt="yuv444p"
    )
    frames, warnings = drain(path)
    assert {(f.width, f.height) for f in frames} == {(width & ~1, height & ~1)}
    assert ("odd_size" in warnings) == (width % 2 == 1)


def test_properties_of_the_shared_clip() -> None:
    source = FileSource(media.TALK, Settings())
    info = source.info
    source.close()
    assert (info.width, info.height, info.frames, info.duration_s) == (640, 480, 120, 4.0)
    assert info.rate == 30


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.mkv", "a.mp4"])
@pytest.mark.parametrize("gop", ["15", "250"])
@pytest.mark.parametrize("start_s", [0.5, 2.0])
def test_a_range_begins_at_its_first_frame_also_without_an_index(
    tmp_path: Path, name: str, gop: str, start_s: float
) -> None:
    codec, container = ("mpeg2video", "mpeg") if name == "a.mpg" else ("libx264", None)
    path = numbered_clip(tmp_path / name, 90, codec=codec, options={"g": gop, "b": "900k"}, container=container)
    frames, warnings = drain(path, start_s=start_s, end_s=2.5)
    assert [number_of(f) for f in frames] == list(range(round(start_s * 30), 75))
    assert warnings == []
    assert frames[0].time_s == pytest.approx(0, abs=0.002)


def test_avi_with_b_frames_has_even_times(tmp_path: Path) -> None:
    """AVI stores no presentation times."""
    path = numbered_clip(tmp_path / "a.avi", 60, options={"bf": "3", "b_strategy": "0"})
    frames = read(path)
    assert [number_of(f) for f in frames] == list(range(60))
    assert np.diff([f.time_s for f in frames]) == pytest.approx(np.full(59, 1 / 30), abs=1e-6)


@pytest.mark.parametrize("parts", [2, 4])
def test_concatenated_recordings_play_in_sequence_and_in_sync(tmp_path: Path, parts: int) -> None:
    """`cat a.ts a.ts`: the clock jumps back at each join. Video and audio must shift together."""
    part = numbered_clip(tmp_path / "part.ts", 60, sound_s=2.0)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * parts)
    source = FileSource(joined, Settings())
    items = list(source)
    source.close()
    pictures = [i for i in items if isinstance(i, Frame)]
    sound_s = [float(i.pts * i.time_base) for i in items if isinstance(i, av.Packet)]  # type: ignore[operator]
    assert [number_of(f) for f in pictures] == list(range(60)) * parts
    gaps = np.diff([f.time_s for f in pictures])
    assert gaps.min() > 0
    assert gaps.max() < 0.15
    packets = len(sound_s) // parts
    for n in range(1, parts):
        drift = (sound_s[n * packets] - sound_s[0]) - (pictures[60 * n].time_s - pictures[0].time_s)
        assert abs(drift) < 0.04


def test_a_slide_show_keeps_its_times_and_is_not_reported_as_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", [numbered(n) for n in range(3)], rate=Fraction(1, 10))
    frames, warnings = drain(path)
    assert [f.time_s for f in frames] == [0, 10, 20]
    assert warnings == []


def test_audio_removed_by_an_edit_list_stays_removed(tmp_path: Path) -> None:
    """Trimming on a phone only hides packets; copied into MKV they would be audible again."""
    whole = numbered_clip(tmp_path / "whole.mp4", 90, options={"g": "90"}, sound_s=3.0)
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as out:
        video, sound = (out.add_stream_from_template(s) for s in (source.streams.video[0], source.streams.audio[0]))
        for packet in source.demux():
            if packet.size:
                cut = round(1 / packet.time_base)
                packet.pts, packet.dts = packet.pts - cut, packet.dts - cut  # type: ignore[operator]
                packet.stream = video if packet.stream.type == "video" else sound
                out.mux(packet)
    trimmed_source = FileSource(trimmed, Settings())
    times = [float(i.pts * i.time_base) for i in trimmed_source if isinstance(i, av.Packet)]  # type: ignore[operator]
    trimmed_source.close()
    assert min(times) > -0.11


def test_a_long_pause_does_not_start_a_new_recording(tmp_path: Path) -> None:
    """A screen recording: its mean rate is one frame in ten seconds, but its frames are 33 ms apart."""
    times = [n * 33 for n in range(30)] + [600_000 + n * 33 for n in range(30)]
    path = write_video(tmp_path / "pause.mp4", [numbered(n) for n in range(60)], times_ms=times)
    assert [round(f.time_s * 1000) for f in read(path)] == times
    part = read(path, start_s=600.0)
    assert [number_of(f) for f in part] == list(range(30, 60))


def test_avi_keeps_its_times_after_damage_and_after_seeking(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.avi", 60, codec="mpeg4", options={"bf": "2", "g": "12"})
    assert [number_of(f) for f in read(path, start_s=1.0)] == list(range(30, 60))
    content = bytearray(path.read_bytes())
    at = [m.start() for m in re.finditer(b"00dc", content)][20]
    size = struct.unpack("<I", content[at + 4 : at + 8])[0]
    content[at + 8 : at + 8 + size] = b"\xff" * size
    path.write_bytes(content)
    frames = read(path)
    assert len(frames) >= 55
    late = [f for f in frames if f.time_s > 1.2]
    assert [number_of(f) for f in late] == [round(f.time_s * 30) for f in late]


@pytest.mark.parametrize("later_s", [20, 1000, 90_000])
def test_a_broadcast_whose_clock_jumps_ahead_plays_in_sequence(tmp_path: Path, later_s: int) -> None:
    """Also by more than the limit on the length of a video."""
    part = numbered_clip(tmp_path / "part.ts", 60, sound_s=2.0, options={"bf": "0"})
    path = joined(tmp_path / "in.ts", part, moved(tmp_path / "later.ts", part, by_s=later_s))
    source = FileSource(path, Settings())
    items = list(source)
    source.close()
    assert [code for code, _ in source.warnings] == ["clock_jump"]
    assert "1 place" in source.warnings[0][1]
    frames = [item for item in items if isinstance(item, Frame)]
    assert [number_of(frame) for frame in frames] == [*range(60)] * 2
    assert frames[-1].time_s - frames[0].time_s == pytest.approx(119 / 30, abs=0.1)
    sounds = [float(item.pts * item.time_base) for item in items if isinstance(item, av.Packet)]  # type: ignore[operator]
    assert max(sounds) == pytest.approx(4, abs=0.1)
    assert next(number_of(frame) for frame in read(path, start_s=2.5, end_s=3.0)) == pytest.approx(15, abs=2)


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}])
def test_mp4_files_in_a_row_are_reported_as_such(tmp_path: Path, options: dict[str, str]) -> None:
    part = numbered_clip(tmp_path / "part.mp4", 60, options=INTRA, muxing=options)
    frames, warnings = drain(joined(tmp_path / "in.mp4", part, part))
    assert warnings == ([] if options else ["joined_files"])
    assert len(frames) > 100 if options else len(frames) == 60


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [
        ("flv", "flv", "FLV"),
        ("wmv", "msmpeg4v3", "WMV"),
        ("nut", "mpeg4", "NUT"),
        ("mxf", "mpeg2video", "MXF"),
        ("ivf", "libvpx", "IVF"),
        ("y4m", "rawvideo", "Y4M"),
    ],
)
def test_other_files_in_a_row_are_reported_too(tmp_path: Path, suffix: str, codec: str, name: str) -> None:
    muxer = {"y4m": "yuv4mpegpipe"}.get(suffix)
    clip = numbered_clip(tmp_path / f"one.{suffix}", 12, codec=codec, rate=Fraction(25), container=muxer)
    assert "joined_files" not in drain(clip)[1]
    twice = tmp_path / f"twice.{suffix}"
    twice.write_bytes(clip.read_bytes() * 2)
    source = FileSource(twice, Settings())
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    assert [number_of(frame) for frame in frames][:11] == [*range(11)]
    assert (
        dict(source.warnings)["joined_files"] == f"the file is 2 {name} files in a row; only the first of them was read"
    )
    assert "truncated" not in dict(source.warnings)


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mpeg4"), ("mkv", "mpeg4"), ("mpg", "mpeg2video")])
def test_all_of_other_files_in_a_row_are_read(tmp_path: Path, suffix: str, codec: str) -> None:
    clip = numbered_clip(tmp_path / f"one.{suffix}", 25, codec=codec, rate=Fraction(25))
    twice = tmp_path / f"twice.{suffix}"
    twice.write_bytes(clip.read_bytes() * 2)
    assert [number_of(frame) for frame in drain(twice)[0]] == [*range(25)] * 2


def test_a_range_of_concatenated_recordings(tmp_path: Path) -> None:
    part = numbered_clip(tmp_path / "part.ts", 60)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    assert [number_of(f) for f in read(joined, start_s=1.0)] == [*range(30, 60), *range(60)]
