"""Raw streams and containers other than MP4 and MKV: all frames in order, at their times, also of a part."""

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import TooLarge, UnreadableMedia
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.probe import look
from stream.sources.scan import scan
from stream.sources.signatures import kind_of
from tests.media import ROOT, drain, number_of, numbered, numbered_clip, read, write_video

How = tuple[str, dict[str, Any]]
NTSC = Fraction(30_000, 1001)
BFRAMES = {"bf": "3", "g": "12"}
RAW: list[How] = [
    ("a.h264", {"codec": "libx264", "options": BFRAMES}),
    ("a.hevc", {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12"}}),
    ("a.m2v", {"codec": "mpeg2video", "container": "mpeg2video", "options": {"bf": "2"}}),
    ("a.m1v", {"codec": "mpeg1video", "container": "mpeg1video"}),
    ("a.m4v", {"codec": "mpeg4", "options": {"bf": "2"}}),
]
AV1 = ROOT / "tests" / "data" / "numbers.obu"
"""Encoded by libsvtav1 beforehand: as root it gives the whole process and its children real-time priority."""
RATELESS: list[How] = [
    ("a.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    (AV1.name, {}),
    ("a.dnxhd", {"codec": "dnxhd", "pix_fmt": "yuv422p", "options": {"profile": "dnxhr_lb"}, "size": (320, 240)}),
]
CONTAINERS: list[How] = [
    ("a.y4m", {"codec": "rawvideo"}),
    ("a.ivf", {"codec": "libvpx", "options": {"g": "10"}}),
    ("a.mxf", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    ("a.nut", {"codec": "libx264", "options": BFRAMES}),
    ("a.rm", {"codec": "rv20", "size": (176, 144), "options": {"g": "50"}}),
    ("a.wmv", {"codec": "wmv2", "container": "asf"}),
    ("a.vob", {"codec": "mpeg2video", "options": BFRAMES}),
    ("a.3gp", {"codec": "libx264", "options": BFRAMES}),
    ("a.wtv", {"codec": "mpeg2video"}),
    ("a.flv", {"codec": "flv1", "container": "flv"}),
    ("a.ogv", {"codec": "libvpx", "container": "ogg"}),
    ("a.apng", {"codec": "apng", "pix_fmt": "rgb24"}),
    ("a.dv", {"codec": "dvvideo", "size": (720, 576)}),
]


def clip(tmp_path: Path, name: str, frames: int = 60, **given: Any) -> Path:
    if name == AV1.name:
        return Path(shutil.copy(AV1, tmp_path))
    width, height = given.pop("size", (64, 48))
    return numbered_clip(tmp_path / name, frames, width, height, **{"rate": Fraction(25)} | given)


@pytest.mark.parametrize(("name", "how"), RAW, ids=[name for name, _ in RAW])
def test_a_raw_stream_plays_at_its_own_rate_in_order(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    path = clip(tmp_path, name, rate=NTSC, **how)
    frames, warnings = drain(path)
    assert [number_of(frame) for frame in frames] == list(range(60))
    assert [frame.pts * frame.time_base for frame in frames] == [n / NTSC for n in range(60)], "without rounding"
    assert warnings == []
    assert kind_of(path) == "video"


@pytest.mark.parametrize("rate", ["24000/1001", "12", "60000/1001", "120"])
@pytest.mark.parametrize(("name", "how"), RAW[:1] + RAW[-1:], ids=["h264", "m4v"])
def test_unusual_rates_are_read(tmp_path: Path, name: str, how: dict[str, Any], rate: str) -> None:
    frames = read(clip(tmp_path, name, 5, rate=Fraction(rate), **how))
    assert [frame.pts * frame.time_base for frame in frames] == [n / Fraction(rate) for n in range(5)]


@pytest.mark.parametrize(("name", "how"), RATELESS, ids=[name for name, _ in RATELESS])
def test_a_stream_without_a_rate_gets_25_frames_per_second_and_a_warning(
    tmp_path: Path, name: str, how: dict[str, Any]
) -> None:
    path = clip(tmp_path, name, **how)
    frames, warnings = drain(path)
    assert [number_of(frame) for frame in frames] == list(range(60))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(60)])
    assert warnings == ["no_rate"]
    assert kind_of(path) == "video"


@pytest.mark.parametrize(("name", "how"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_other_containers_are_read_with_their_times(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    path = clip(tmp_path, name, **how)
    frames, warnings = drain(path)
    assert [number_of(frame) for frame in frames] == list(range(60))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(60)], abs=0.002)
    assert warnings == []
    assert kind_of(path) == "video"


@pytest.mark.parametrize(
    ("name", "how"), RAW + RATELESS + CONTAINERS, ids=[name for name, _ in RAW + RATELESS + CONTAINERS]
)
def test_a_part_begins_and_ends_where_requested(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    frames = read(clip(tmp_path, name, **how), start_s=1.6, end_s=2.0)
    assert [number_of(frame) for frame in frames] == list(range(40, 50))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(10)], abs=0.002)


def test_packets_of_192_bytes_are_read(tmp_path: Path) -> None:
    """As camcorders write them (.mts, .m2ts): four bytes of time before each packet of 188."""
    plain = clip(tmp_path, "a.ts").read_bytes()
    path = tmp_path / "a.m2ts"
    path.write_bytes(b"".join(n.to_bytes(4) + plain[n : n + 188] for n in range(0, len(plain), 188)))
    assert [number_of(frame) for frame in read(path)] == list(range(60))
    assert kind_of(path) == "video"


def test_a_fragmented_mp4_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, map(numbered, range(30)), options=BFRAMES, muxing={"movflags": "frag_keyframe+empty_moov"})
    assert [number_of(frame) for frame in read(path)] == list(range(30))


def test_the_length_of_a_raw_stream_is_found_by_a_scan_only(tmp_path: Path) -> None:
    path = clip(tmp_path, "a.h264", **RAW[0][1])
    source = FileSource(path, Settings())
    assert (source.info.duration_s, source.info.frames) == (None, None)
    source.close()
    media = look(path, Settings())
    assert (media.duration_s, media.fps, media.width, media.video_streams) == (0, 25, 64, 1)
    found = scan(path, Settings())
    assert list(found.times) == list(range(60))
    assert not found.plain, "a part cannot be found without decoding all before it"
    assert len(scan(path, Settings(), 1.0, 2.0).times) == 25


def test_limits_of_a_raw_stream_are_checked_while_decoding(tmp_path: Path) -> None:
    path = clip(tmp_path, "a.h264", **RAW[0][1])
    with pytest.raises(TooLarge, match=r"lasts more than 0:01"):
        drain(path, Settings(max_duration_s=1.0))
    with pytest.raises(TooLarge, match="more than 30 frames"):
        drain(path, Settings(max_frames=30))
    with pytest.raises(UnreadableMedia, match="not a single frame of that part"):
        read(path, start_s=60)


def test_a_photo_is_not_a_motion_jpeg(tmp_path: Path) -> None:
    """Bytes after a photo are a thumbnail, a second view or a short video, and no next frame."""
    video = clip(tmp_path, "a.mjpeg", 2, **RATELESS[0][1]).read_bytes()
    end = video.index(b"\xff\xd8", 2)
    photo = tmp_path / "a.jpg"
    preview = clip(tmp_path, "small.mjpeg", 2, size=(32, 24), **RATELESS[0][1]).read_bytes()
    for rest in (b"", b"\0" * 40, b"\0\0\0\x18ftypmp42", preview):
        photo.write_bytes(video[:end] + rest)
        assert kind_of(photo) == "picture"
    photo.write_bytes(video[:2] + b"\xff\xe2\0\x08MPF\0\0\0" + video[2:])
    assert kind_of(photo) == "picture"
    photo.write_bytes(video)
    assert kind_of(photo) == "video"


def test_a_damaged_raw_stream_is_read_as_far_as_possible(tmp_path: Path) -> None:
    path = clip(tmp_path, "a.m2v", codec="mpeg2video", container="mpeg2video", options={"g": "1"})
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = np.random.default_rng(1).bytes(200)
    path.write_bytes(content)
    assert 25 <= len(drain(path)[0]) <= 33
