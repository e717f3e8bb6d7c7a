"""Files with several video streams, covers and programmes: which stream is read, and which sound belongs to it."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from PIL import Image

from stream.errors import InputError, NoVideoStream
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources.base import SourceOptions
from stream.sources.file import FileSource
from stream.sources.scan import scan
from stream.sources.sound_changes import changing_sound
from stream.sources.stdin import StdinSource
from tests.media import number_of, numbered, numbered_clip
from tests.tracks import Video, write_streams

DEFAULT = Disposition.default
SMALL, LARGE = (64, 48), (128, 96)
FRAMES = 12


def opened(path: Path, stream: int | None = None) -> tuple[tuple[int, int], list[int], list[str]]:
    """The size, the numbers of the frames and the warnings' sentences."""
    source = FileSource(path, Settings(), stream=stream)
    try:
        numbers = [number_of(item) for item in source if isinstance(item, Frame)]
    finally:
        source.close()
    return (source.info.width, source.info.height), numbers, [sentence for _, sentence in source.warnings]


@pytest.mark.parametrize(
    ("videos", "size"),
    [
        ([Video(SMALL), Video(LARGE)], LARGE),
        ([Video(LARGE), Video(SMALL)], LARGE),
        ([Video(SMALL, DEFAULT), Video(LARGE)], SMALL),
        ([Video(SMALL, DEFAULT), Video(LARGE, DEFAULT)], LARGE),
        ([Video(LARGE, DEFAULT | Disposition.visual_impaired), Video(SMALL)], SMALL),
    ],
    ids=["large-last", "large-first", "marked", "all-marked", "for-impaired"],
)
def test_the_best_stream_is_taken_and_it_is_said_which(
    tmp_path: Path, videos: list[Video], size: tuple[int, int]
) -> None:
    found, numbers, warnings = opened(write_streams(tmp_path / "a.mkv", videos))
    assert (found, len(numbers)) == (size, FRAMES)
    taken = [video.size for video in videos].index(size)
    names = [f"{n} ({video.size[0]}x{video.size[1]})" for n, video in enumerate(videos)]
    assert warnings == [
        f"the file has 2 video streams: stream {names[taken]} is used, not {names[1 - taken]}; "
        "another can be selected with --stream or, in a request, with stream"
    ]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_cover_that_is_marked_as_a_video_is_not_taken(tmp_path: Path, name: str) -> None:
    path = write_streams(tmp_path / name, [Video(LARGE, DEFAULT, codec="mjpeg"), Video(SMALL)], frames=36)
    size, numbers, warnings = opened(path)
    assert (size, len(numbers)) == (SMALL, 36)
    assert "stream 1 (64x48) is used, not 0 (128x96)" in warnings[0]
    assert opened(path, 0)[0] == LARGE, "it can be selected"


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4", "a.avi"])
def test_a_stream_is_selected_by_its_number(tmp_path: Path, name: str) -> None:
    path = write_streams(tmp_path / name, [Video(SMALL, first=100), Video(LARGE)])
    for number, size, first in ((0, SMALL, 100), (1, LARGE, 0)):
        assert opened(path, number) == (size, list(range(first, first + FRAMES)), [])
        assert len(scan(path, Settings(), stream=number).times) == FRAMES
        source = FileSource(path, Settings(), start_s=0.2, stream=number)
        assert [number_of(f) for f in source if isinstance(f, Frame)] == list(range(first + 5, first + FRAMES))
        source.close()
    with pytest.raises(NoVideoStream, match="has no video stream 2, only streams 0 to 1"):
        opened(path, 2)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.wmv"])
def test_a_part_begins_at_a_keyframe_of_the_selected_stream(tmp_path: Path, name: str) -> None:
    videos = [Video(SMALL, codec="mpeg4"), Video(LARGE, first=100, codec="mpeg4", keyframes=45)]
    path = write_streams(tmp_path / name, videos, sounds=1, frames=100)
    for start in (25, 50, 75, 90):
        source = FileSource(path, Settings(), start_s=start / 25, stream=1)
        assert [number_of(f) for f in source if isinstance(f, Frame)] == list(range(100 + start, 200))
        source.close()


def test_one_stream_is_no_choice(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a.mp4", 3)
    assert opened(path) == opened(path, 0) == (SMALL, [0, 1, 2], [])
    with pytest.raises(NoVideoStream, match="has no video stream 1, only stream 0"):
        opened(path, 1)


@pytest.mark.parametrize("name", ["a.mp4", "a.m4v"])
def test_cover_art_is_never_taken_and_has_no_number(tmp_path: Path, name: str) -> None:
    path = write_streams(
        tmp_path / name, [Video(LARGE, Disposition.attached_pic, codec="png"), Video(SMALL, codec="mpeg4")], 1, "aac"
    )
    assert opened(path) == opened(path, 0) == (SMALL, list(range(FRAMES)), [])
    with pytest.raises(NoVideoStream, match="only stream 0"):
        opened(path, 1)


def test_a_picture_attached_to_matroska_is_never_taken(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "cover.jpg")
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SMALL, "yuv420p"
        out.add_attachment("cover.jpg", "image/jpeg", (tmp_path / "cover.jpg").read_bytes())
        for n in range(FRAMES):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(n), format="rgb24")))
        out.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert opened(path) == (SMALL, list(range(FRAMES)), [])


def test_thumbnails_of_chapters_are_never_taken(tmp_path: Path) -> None:
    """QuickTime's chapters refer to a track of pictures. FFmpeg does not write them: the reference to the second track
    replaces the edit list of the first."""
    path = write_streams(tmp_path / "a.mp4", [Video(SMALL, codec="mpeg4"), Video(LARGE, codec="mpeg4")])
    content = path.read_bytes()
    at = content.index(b"edts") - 4
    assert content[at : at + 4] == (36).to_bytes(4)
    reference = (20).to_bytes(4) + b"tref" + (12).to_bytes(4) + b"chap" + (2).to_bytes(4)
    path.write_bytes(content[:at] + reference + (16).to_bytes(4) + b"free" + bytes(8) + content[at + 36 :])
    assert opened(path) == (SMALL, list(range(FRAMES)), [])


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.m4a", "aac")])
def test_a_song_with_a_cover_has_only_sound(tmp_path: Path, name: str, codec: str) -> None:
    path = write_streams(tmp_path / name, [Video(LARGE, Disposition.attached_pic, codec="png")], 1, codec)
    with pytest.raises(NoVideoStream, match=r"has only sound( and cover art)?, no video$"):
        opened(path)


def test_standard_input_is_named_in_every_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_streams(tmp_path / "a.mp3", [Video(LARGE, Disposition.attached_pic, codec="png")], 1, "libmp3lame")
    with path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(InputError, match=r"^standard input has only sound"):
            StdinSource(SourceOptions(), Settings())


def test_streams_may_appear_later(tmp_path: Path) -> None:
    """Neither at the beginning nor near the end, where FFmpeg looks for streams when it opens a file."""
    count = 2 * FRAMES  # nearly a second: a step back of less than half a second is an overlap
    first = write_streams(tmp_path / "first.ts", [Video(SMALL)], sounds=4, frames=count).read_bytes()
    second = write_streams(tmp_path / "second.ts", [Video(SMALL, first=count)], sounds=6, frames=count).read_bytes()
    path, times = tmp_path / "a.ts", 1 + 300_000 // len(first)
    path.write_bytes(first * times + second + first * times)
    source = FileSource(path, Settings())
    numbers = [number_of(item) for item in source if isinstance(item, Frame)]
    source.close()
    assert numbers == [*range(count)] * times + [*range(count, 2 * count)] + [*range(count)] * times
    assert len(scan(path, Settings()).times) == (2 * times + 1) * count
    assert changing_sound(path, Settings()) == frozenset()


def sounds_used(path: Path, stream: int | None) -> list[int]:
    """The indices of the audio streams that are read, of which each has packets."""
    source = FileSource(path, Settings(), stream=stream)
    try:
        heard = {item.stream.index for item in source if isinstance(item, av.Packet)}
        assert heard == {track.index for track in source.info.sound}
        return sorted(heard)
    finally:
        source.close()


def test_sound_of_other_programmes_is_left_out(tmp_path: Path) -> None:
    """A broadcast: each programme has a video stream and two tracks of sound."""
    path = write_streams(tmp_path / "a.ts", [Video(SMALL), Video(LARGE)], sounds=4)
    assert sounds_used(path, None) == [2, 3, 4, 5], "one programme"
    two = _in_programmes(path, [(0, 2, 3), (1, 4, 5)])
    assert opened(two)[0] == LARGE
    # FFmpeg numbers streams as the tables list them.
    assert [sounds_used(two, number) for number in (0, 1)] == [[1, 2], [4, 5]]


def test_sound_that_programmes_share_is_kept(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "a.ts", [Video(SMALL), Video(LARGE)], sounds=1)
    shared = _in_programmes(path, [(0, 2), (1, 2)])
    assert [sounds_used(shared, number) for number in (0, 1)] == [[1], [1]]


def _in_programmes(path: Path, programmes: Sequence[tuple[int, ...]]) -> Path:
    """The transport stream with its streams, by index, in programmes. Rewrites its tables."""
    content, out, counter = path.read_bytes(), bytearray(), 0
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    streams = next(_streams(packet) for packet in packets if _pid(packet) == _TABLE)
    for packet in packets:
        if _pid(packet) == 0:
            entries = b"".join((n + 1).to_bytes(2) + (0xE000 | _TABLE + n).to_bytes(2) for n in range(len(programmes)))
            out += _section(0, packet[3] & 15, b"\0\0\x01\xc1\0\0"[1:] + entries)
        elif _pid(packet) == _TABLE:
            for n, members in enumerate(programmes):
                pcr = streams[members[0]][1:3]
                body = (n + 1).to_bytes(2) + b"\xc1\0\0" + pcr + b"\xf0\0" + b"".join(streams[i] for i in members)
                out += _section(_TABLE + n, counter & 15, body)
            counter += 1
        else:
            out += packet
    result = path.with_name("programmes.ts")
    result.write_bytes(out)
    return result


_TABLE = 0x1000  # PID of the table of streams that FFmpeg writes


def _pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3]) & 0x1FFF


def _streams(packet: bytes) -> list[bytes]:
    """The entries of a table of streams."""
    section = packet[5:]
    end = 3 + (int.from_bytes(section[1:3]) & 0xFFF) - 4
    at, found = 12 + (int.from_bytes(section[10:12]) & 0xFFF), list[bytes]()
    while at < end:
        size = 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0xFFF)
        found.append(section[at : at + size])
        at += size
    return found


def _section(pid: int, counter: int, body: bytes) -> bytes:
    """A packet with a table: of programmes (PID 0), or of streams."""
    table = bytes([2 if pid else 0]) + (0xB000 | len(body) + 4).to_bytes(2) + body
    packet = b"G" + (0x4000 | pid).to_bytes(2) + bytes([0x10 | counter, 0]) + table + _crc(table).to_bytes(4)
    return packet.ljust(188, b"\xff")


def _crc(table: bytes) -> int:
    """MPEG's CRC-32 is zlib's with the bits of input and result in reverse order, and without the last inversion."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in table)
    return int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)
