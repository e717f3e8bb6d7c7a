"""Files whose clock begins anywhere, in every container: length, number of frames, ranges, and sound in step."""

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from stream.errors import TooLarge
from stream.picture.frames import Frame, VideoInfo
from stream.settings import Settings
from stream.sources.extent import WRAP
from stream.sources.file import FileSource
from stream.sources.scan import scan
from tests.media import drain, number_of, numbered, numbered_clip, read, remuxed, write_video

FRAMES = 60
PLAIN = {".mkv", ".webm", ".mp4", ".mov"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
WRAP_S = WRAP / 90_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seconds of numbered frames with sound, by the suffix of the files to which they can be copied."""
    folder = tmp_path_factory.mktemp("clips")
    h264 = numbered_clip(folder / "a.mp4", FRAMES, sound_s=2.0, options={"g": "15"})
    vp8 = numbered_clip(
        folder / "a.webm", FRAMES, codec="libvpx", sound_s=2.0, sound_codec="libopus", options={"g": "15"}
    )
    mpeg4 = numbered_clip(folder / "b.mkv", FRAMES, codec="mpeg4", sound_s=2.0, sound_codec="mp3", options={"g": "15"})
    return {".webm": vp8, ".ogg": vp8, ".asf": mpeg4} | dict.fromkeys(
        (".mkv", ".mp4", ".mov", ".ts", ".flv", ".nut"), h264
    )


def opened(path: Path) -> tuple[VideoInfo, list[float], list[float], list[str]]:
    """Properties, times of the frames and of the first sound track's packets, and codes of warnings."""
    source = FileSource(path, Settings())
    items = list(source)
    track = source.info.sound[0].index if source.info.sound else None
    pictures = [item.time_s for item in items if isinstance(item, Frame)]
    sounds = [
        float(item.pts * item.time_base)  # type: ignore[operator]
        for item in items
        if not isinstance(item, Frame) and item.stream.index == track
    ]
    source.close()  # last, because it frees the streams
    return source.info, pictures, sounds, [code for code, _ in source.warnings]


@pytest.mark.parametrize("start_s", [0.0, 1.0, 5.0, 3600.0, 90_000.0])
@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov", ".ts", ".flv", ".asf", ".nut", ".ogg"])
def test_a_clock_that_begins_late(tmp_path: Path, clips: dict[str, Path], suffix: str, start_s: float) -> None:
    """90,000 s are more than the limit of 24 hours: the limit is on the length."""
    path = remuxed(clips[suffix], tmp_path / f"late{suffix}", picture_s=start_s, sound_s=start_s)
    info, pictures, sounds, warnings = opened(path)
    assert warnings == []
    assert len(pictures) == FRAMES
    assert info.duration_s == pytest.approx(2.0, abs=0.08)
    assert info.frames == pytest.approx(FRAMES, abs=2)
    assert 0 <= pictures[0] < 0.07
    assert pictures[-1] - pictures[0] == pytest.approx(59 / 30, abs=0.05)
    assert sounds[0] - pictures[0] == pytest.approx(0, abs=0.07)
    if suffix != ".ogg":
        assert [number_of(f) for f in read(path, start_s=1.0, end_s=1.5)][1:-1] == list(range(31, 44))
    assert scan(path, Settings()).plain == (suffix in PLAIN)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov", ".ts", ".flv"])
@pytest.mark.parametrize(("picture_s", "sound_s"), [(3.0, 0.0), (0.0, 3.0), (13.0, 10.0), (10.0, 13.0)])
def test_picture_and_sound_that_begin_at_different_times(
    tmp_path: Path, clips: dict[str, Path], suffix: str, picture_s: float, sound_s: float
) -> None:
    path = remuxed(clips[suffix], tmp_path / f"apart{suffix}", picture_s=picture_s, sound_s=sound_s)
    info, pictures, sounds, warnings = opened(path)
    assert warnings == []
    assert pictures[0] - sounds[0] == pytest.approx(picture_s - sound_s, abs=0.05)
    assert min(pictures[0], sounds[0]) == pytest.approx(0, abs=0.03)
    assert len(pictures) == FRAMES
    if picture_s > sound_s or suffix != ".flv":  # its header only has the length of the whole file
        assert info.duration_s == pytest.approx(pictures[-1] + 1 / 30, abs=0.05)
        assert info.frames == pytest.approx(FRAMES, abs=2)
    if picture_s > sound_s:  # the last second, which begins after the length of the picture's track
        assert [number_of(f) for f in read(path, start_s=pictures[0] + 1)][:2] == [30, 31]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_trimmed_recording_counts_the_frames_that_are_shown(
    tmp_path: Path, clips: dict[str, Path], suffix: str
) -> None:
    """An edit list hides the first second."""
    path = remuxed(clips[suffix], tmp_path / f"trimmed{suffix}", picture_s=-1.0, sound_s=-1.0)
    info, pictures, _, warnings = opened(path)
    assert warnings == []
    assert len(pictures) == 30
    assert info.frames == 30
    assert info.duration_s == pytest.approx(1.0, abs=0.03)


def test_fragments_from_the_middle_of_a_recording(tmp_path: Path) -> None:
    """As segments of a stream are joined: the header, and not the first fragments. Times begin late, without a list."""
    clip = numbered_clip(tmp_path / "a.mp4", 150, sound_s=5.0, options={"g": "15"})
    whole = remuxed(clip, tmp_path / "whole.mp4", options=FRAGMENTS).read_bytes()
    head, fragments = b"", []
    at = 0
    while at < len(whole):
        size, kind = struct.unpack(">I4s", whole[at : at + 8])
        if kind in (b"ftyp", b"moov"):
            head += whole[at : at + size]
        elif kind in (b"moof", b"mdat"):
            fragments.append(whole[at : at + size])
        at += size
    path = tmp_path / "later.mp4"
    path.write_bytes(head + b"".join(fragments[6:]))
    info, pictures, _, warnings = opened(path)
    assert warnings == []
    assert len(pictures) < 120
    assert info.duration_s == pytest.approx(pictures[-1] + 1 / 30, abs=0.1)
    assert info.frames == pytest.approx(len(pictures), abs=3)


def with_length(path: Path, seconds: float) -> Path:
    """The Matroska file with another number in its header, and without the tags of its tracks."""
    content = path.read_bytes().replace(b"DURATION", b"XURATION")
    at = content.index(b"\x44\x89\x88") + 3
    path.write_bytes(content[:at] + struct.pack(">d", seconds * 1000) + content[at + 8 :])
    return path


@pytest.mark.parametrize("start_s", [3.0, 15.0])
def test_matroska_whose_header_has_a_length_and_not_the_end(tmp_path: Path, start_s: float) -> None:
    """As GStreamer and mkvmerge write it."""
    clip = numbered_clip(tmp_path / "a.mp4", 150, sound_s=5.0, options={"g": "15"})
    path = with_length(remuxed(clip, tmp_path / "a.mkv", picture_s=start_s, sound_s=start_s), 5.02)
    info, pictures, _, warnings = opened(path)
    assert warnings == []
    assert len(pictures) == 150
    assert info.duration_s == pytest.approx(5.02, abs=0.03)
    assert [number_of(f) for f in read(path, start_s=4.0, end_s=4.5)][:2] == pytest.approx([120, 121], abs=1)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_late_file_that_is_cut_off_ends_early(tmp_path: Path, suffix: str) -> None:
    vp8: dict[str, Any] = {"codec": "libvpx", "sound_codec": "libopus"} if suffix == ".webm" else {}
    name = "a.webm" if vp8 else "a.mp4"
    clip = numbered_clip(tmp_path / name, 240, sound_s=8.0, options={"g": "15"}, **vp8)
    path = remuxed(clip, tmp_path / f"late{suffix}", picture_s=3600, sound_s=3600)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    info, pictures, _, warnings = opened(path)
    assert warnings == ["truncated"]
    assert info.duration_s == pytest.approx(8.0, abs=0.05)
    assert pictures[-1] < 6
    assert not scan(path, Settings()).plain


def test_an_avi_that_is_cut_off_ends_early(tmp_path: Path) -> None:
    """FFmpeg lowers the length of the track in the header to an estimate, but not the number of frames."""
    sound: dict[str, Any] = {"sound_s": 4.0, "sound_codec": "pcm_s16le"}
    clip = numbered_clip(tmp_path / "a.avi", 120, codec="mjpeg", pix_fmt="yuvj420p", **sound)
    assert opened(clip)[3] == []
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert opened(clip)[3] == ["truncated"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".flv"])
def test_a_part_that_begins_before_the_picture_has_its_sound(tmp_path: Path, suffix: str) -> None:
    clip = numbered_clip(tmp_path / f"a{suffix}", 60, sound_s=4.0, options={"bf": "0"})
    path = remuxed(clip, tmp_path / f"late{suffix}", picture_s=2.0)
    source = FileSource(path, Settings(), start_s=1.0, end_s=2.5)
    items = list(source)
    source.close()
    sounds = [float(item.pts * item.time_base) for item in items if not isinstance(item, Frame)]  # type: ignore[operator]
    assert (sounds[0], sounds[-1]) == pytest.approx((0.0, 1.48), abs=0.06)


@pytest.mark.parametrize("number", [2**30, 2**31 - 1])
def test_an_avi_whose_header_was_never_completed_has_no_length(tmp_path: Path, number: int) -> None:
    """Programs that write an AVI to a pipe, or crash, leave a number of frames that no file of this size has."""
    clip = numbered_clip(tmp_path / "a.avi", 60, codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(clip.read_bytes())
    for name, offset in ((b"avih", 24), (b"strh", 40)):
        at = content.index(name) + offset
        content[at : at + 4] = number.to_bytes(4, "little")
    clip.write_bytes(content)
    info, pictures, _, warnings = opened(clip)
    assert (len(pictures), warnings) == (60, [])
    assert (info.duration_s, info.frames) == (None, None)


@pytest.mark.long
def test_picture_that_ends_long_before_the_sound_ends_early_once(tmp_path: Path) -> None:
    """The track's tag has the length that was recorded; the last frames are lost, the sound is not."""
    clip = numbered_clip(tmp_path / "a.mkv", 180, sound_s=6.0, options={"g": "1", "bf": "0"})
    path = remuxed(clip, tmp_path / "b.mkv", lost=(4.0, 7.0))
    content = path.read_bytes()
    at = content.index(b"00:00:04.0")
    path.write_bytes(content[:at] + b"00:00:06.0" + content[at + 10 :])
    assert opened(path)[3] == ["truncated"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_picture_that_is_shorter_than_the_sound_is_complete(tmp_path: Path, suffix: str) -> None:
    clip = numbered_clip(tmp_path / f"a{suffix}", 60, sound_s=6.0)
    info, _, _, warnings = opened(clip)
    assert warnings == []
    assert info.frames == pytest.approx(60, abs=1)


@pytest.mark.parametrize("sound_s", [0.0, 7.0])
def test_the_last_frame_may_be_long(tmp_path: Path, sound_s: float) -> None:
    """A screen recording that ends with a still time of five seconds, as MP4 stores it."""
    clip = numbered_clip(tmp_path / "a.mp4", 60, options={"bf": "0"}, sound_s=sound_s)
    path = tmp_path / "b.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        packets = [packet for packet in source.demux() if packet.size]
        last = [packet for packet in packets if packet.stream.type == "video"][-1]
        last.duration = round(5 / last.time_base)
        for packet in packets:
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    frames, warnings = drain(path)
    assert (len(frames), warnings) == (60, [])
    source_ = FileSource(path, Settings())
    source_.close()
    assert source_.info.duration_s == pytest.approx(59 / 30 + 5, abs=0.05)


def test_the_limit_is_on_the_length(tmp_path: Path, clips: dict[str, Path]) -> None:
    path = remuxed(clips[".mkv"], tmp_path / "a.mkv", picture_s=3600, sound_s=3600)
    assert len(read(path)) == FRAMES
    with pytest.raises(TooLarge, match="lasts 0:02"):
        FileSource(path, Settings(max_duration_s=1.5))


@pytest.mark.long
def test_a_clock_that_wraps(tmp_path: Path) -> None:
    """MPEG-TS counts to 2^33 and begins again; a recording may begin anywhere."""
    clip = write_video(
        tmp_path / "slow.mp4", map(numbered, range(120)), rate=Fraction(4), sound_s=30.0, options={"g": "8"}
    )
    later = WRAP_S - 12
    path = remuxed(clip, tmp_path / "wraps.ts", picture_s=later, sound_s=later)
    info, pictures, sounds, warnings = opened(path)
    assert warnings == []
    assert info.duration_s == pytest.approx(30, abs=0.1)
    assert info.frames == pytest.approx(120, abs=1)
    assert [b - a for a, b in pairwise(pictures)] == pytest.approx([0.25] * 119, abs=0.03)
    assert max(b - a for a, b in pairwise(sounds)) < 0.06
    for start_s in (2.0, 20.0):
        frames = read(path, start_s=start_s + pictures[0], end_s=start_s + 4)
        assert number_of(frames[0]) == pytest.approx(start_s * 4, abs=1)


@pytest.mark.parametrize("name", ["a.mpg", "a.mxf"])
def test_formats_of_broadcast(tmp_path: Path, name: str) -> None:
    codecs: dict[str, Any] = (
        {"codec": "mpeg2video", "sound_codec": "mp2"} if name == "a.mpg" else {"codec": "mpeg2video"}
    )
    container = "mpeg" if name == "a.mpg" else None
    sound_s = 2.0 if name == "a.mpg" else 0.0
    path = numbered_clip(tmp_path / name, FRAMES, sound_s=sound_s, container=container, options={"b": "900k"}, **codecs)
    source = FileSource(path, Settings())
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    assert source.warnings == []
    assert source.info.duration_s == pytest.approx(2.0, abs=0.1)
    assert source.info.frames == pytest.approx(len(frames), abs=2)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mkv", {}),
        ("a.mp4", {}),
        ("a.mov", {}),
        ("a.ts", {}),
        ("a.flv", {}),
        ("a.webm", {"codec": "libvpx", "sound_codec": "libopus"}),
    ],
)
@pytest.mark.parametrize("sound_lost", [False, True])
def test_frames_missing_in_the_middle_are_counted(
    tmp_path: Path, name: str, settings: dict[str, Any], sound_lost: bool
) -> None:
    clip = numbered_clip(tmp_path / name, 180, sound_s=6.0, options={"g": "1", "bf": "0"}, **settings)
    path = remuxed(clip, tmp_path / f"gap-{name}", lost=(2.01, 3.62), sound_lost=sound_lost)
    source = FileSource(path, Settings())
    items = list(source)
    source.close()
    (code, sentence), *others = source.warnings
    assert (code, others) == ("gap", [])
    missing = 180 - sum(isinstance(item, Frame) for item in items)
    assert sentence.startswith(
        f"{missing} of about 180 frames were damaged or lost: they are missing in 1 place (0:02.0-0:03.6)"
    )
    pictures = {number_of(item): item.time_s for item in items if isinstance(item, Frame)}
    assert pictures[150] - pictures[10] == pytest.approx(140 / 30, abs=0.002)
    sounds = [float(item.pts * item.time_base) for item in items if not isinstance(item, Frame)]  # type: ignore[operator]
    assert sounds[-1] - pictures[179] == pytest.approx(0.02, abs=0.05)


def test_a_gif_whose_frames_stay_longer_has_no_gap(tmp_path: Path) -> None:
    times = [40 * n + (2000 if n >= 60 else 0) for n in range(120)]
    path = write_video(tmp_path / "a.gif", map(numbered, range(120)), codec="gif", pix_fmt="rgb8", times_ms=times)
    assert drain(path)[1] == []


def test_an_ogg_whose_frames_stay_longer_has_no_gap(tmp_path: Path) -> None:
    """Theora, which cannot be encoded here, has no frame where the picture stands still."""
    clip = numbered_clip(tmp_path / "a.webm", 180, codec="libvpx", options={"g": "1"})
    path = remuxed(clip, tmp_path / "a.ogv", lost=(2.01, 2.09))
    assert drain(path)[1] == []


def test_frames_that_cannot_be_decoded_are_counted_with_the_missing_ones(tmp_path: Path) -> None:
    """One warning for both: the numbers add up."""
    clip = numbered_clip(tmp_path / "a.mkv", 180, options={"g": "1", "bf": "0"})
    path = remuxed(clip, tmp_path / "b.mkv", lost=(2.01, 3.62))
    with av.open(str(path)) as container:
        damaged = [packet for packet in container.demux(video=0) if packet.size][20]
        picture = bytes(damaged)
    content = path.read_bytes()
    at = content.index(picture)
    path.write_bytes(content[:at] + b"\xff" * len(picture) + content[at + len(picture) :])
    frames, _ = drain(path)
    source = FileSource(path, Settings())
    list(source)
    source.close()
    (code, sentence), *others = source.warnings
    assert (code, others) == ("gap", [])
    assert sentence.startswith("49 of about 180 frames")
    assert "48 are missing in 1 place" in sentence
    assert len(frames) <= 132


def test_the_start_of_a_webm_with_opus_is_before_zero(tmp_path: Path, clips: dict[str, Path]) -> None:
    """The decoder's delay: the sound begins 6.5 ms before the picture, and keeps doing so."""
    info, pictures, sounds, _ = opened(clips[".webm"])
    assert pictures[0] - sounds[0] == pytest.approx(0.0065, abs=0.001)
    assert info.frames == FRAMES
