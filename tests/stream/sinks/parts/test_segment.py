"""Parts of an output: their size, joining, and sequential writing."""

import io
import struct
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.errors import EncodeError
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Sink
from stream.settings import Settings
from stream.sinks.encodings import ENCODINGS
from stream.sinks.file import FileSink
from stream.sinks.parts.joined import Part
from stream.sinks.parts.segment import first_pass, join, open_segment, second_pass
from stream.sinks.parts.sequential import to_front

SETTINGS = Settings(hw_encode=False, threads=1)
CLOCK, STEP, LENGTH = Fraction(1, 15360), 512, 240
_HEADER = 768  # bytes of a MOV or WebM header


def frame(number: int, alpha: bool) -> Frame:
    """A small frame with a moving square, so that the container's overhead dominates."""
    pixels = np.full((72, 64), 128, np.uint8)
    pixels[:48] = 60
    pixels[10:20, number % 40 : number % 40 + 10] = 200
    return Frame(pixels, number * STEP, CLOCK, alpha=np.full((48, 64), 255, np.uint8) if alpha else None)


def written(sink: Sink, numbers: range, alpha: bool) -> None:
    sink.open(VideoInfo(64, 48, CLOCK, Fraction(30), has_alpha=alpha))
    for number in numbers:
        sink.write(frame(number, alpha))
    sink.close()


def in_parts(folder: Path, suffix: str, alpha: bool) -> list[Part]:
    chosen, parts = ENCODINGS[suffix], []
    for first in range(0, 3 * LENGTH, LENGTH):
        path = folder / f"{first}.part"
        written(open_segment(path, chosen, alpha, SETTINGS), range(first, first + LENGTH), alpha)
        parts.append(Part(path, first * STEP))
    return parts


def joined(folder: Path, suffix: str, alpha: bool) -> tuple[list[Path], Path]:
    parts, whole = in_parts(folder, suffix, alpha), folder / f"whole{suffix}"
    info = VideoInfo(64, 48, CLOCK, Fraction(30), has_alpha=alpha)
    join(parts, info, (), whole, ENCODINGS[suffix], SETTINGS)
    return [part.path for part in parts], whole


@pytest.mark.long
@pytest.mark.parametrize(
    ("suffix", "alpha", "header"),
    [
        (".mp4", False, 0),
        (".webm", False, 0),
        (".mkv", False, 0),
        (".mkv", True, 0),
        (".png", False, 0),
        (".webm", True, _HEADER),
        (".mov", False, _HEADER),
    ],
)
def test_parts_are_no_larger_than_the_whole(tmp_path: Path, suffix: str, alpha: bool, header: int) -> None:
    parts, whole = joined(tmp_path, suffix, alpha)
    sizes = [part.stat().st_size for part in parts]
    assert sum(sizes) <= whole.stat().st_size + header * len(parts)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_a_joined_file_has_the_same_properties_as_one_encoded_at_once(tmp_path: Path, suffix: str) -> None:
    _, joined_file = joined(tmp_path, suffix, False)
    direct = tmp_path / f"one{suffix}"
    written(FileSink(direct, ENCODINGS[suffix], SETTINGS), range(3 * LENGTH), False)
    assert properties(joined_file) == properties(direct)


def properties(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        names = ("color_range", "colorspace", "color_primaries", "color_trc", "pix_fmt", "name", "width", "height")
        return {name: getattr(codec, name) for name in names} | {
            "rate": stream.average_rate, "clock": stream.time_base, "length": container.duration,
        }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("suffix", "alpha"), [(".mp4", False), (".webm", False), (".webm", True), (".mov", True), (".mkv", False)]
)
def test_sequential_writing_gives_the_same_bytes(tmp_path: Path, suffix: str, alpha: bool) -> None:
    """The same as with a seekable file; an MP4's `moov` box is at the front."""
    parts, plain = in_parts(tmp_path, suffix, alpha), tmp_path / f"plain{suffix}"
    info = VideoInfo(64, 48, CLOCK, Fraction(30), has_alpha=alpha)
    chosen = ENCODINGS[suffix]
    deterministic = replace(chosen, muxer_options=chosen.muxer_options | {"fflags": "+bitexact"})
    join(parts, info, (), plain, deterministic, SETTINGS)
    first = first_pass(parts, info, (), chosen)
    assert b"".join(second_pass(first, parts, info, (), chosen)) == plain.read_bytes()
    with pytest.raises(EncodeError, match="second pass"):
        list(second_pass(first, parts[:2], info, (), chosen))


@pytest.mark.long
def test_sequential_writing_of_a_zip(tmp_path: Path) -> None:
    parts, info = in_parts(tmp_path, ".png", False), VideoInfo(64, 48, CLOCK, Fraction(30))
    first = first_pass(parts, info, (), ENCODINGS[".png"])
    packed = zipfile.ZipFile(io.BytesIO(b"".join(second_pass(first, parts, info, (), ENCODINGS[".png"]))))
    join(parts, info, (), tmp_path / "plain.zip", ENCODINGS[".png"], SETTINGS)
    with zipfile.ZipFile(tmp_path / "plain.zip") as plain:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == {
            name: plain.read(name) for name in plain.namelist()
        }


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


@pytest.mark.parametrize("last", [1000, 2**32 - 100, 2**33])
def test_chunk_offsets_beyond_four_gigabytes(last: int) -> None:
    large = last >= 2**32
    offsets = struct.pack(">II" + ("2Q" if large else "2I"), 0, 2, 48, last)
    stbl = box(b"stbl", box(b"stsz", bytes(12)), box(b"co64" if large else b"stco", offsets))
    table = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"mdia", box(b"minf", stbl))))
    moved = to_front(table)
    wide = last + len(moved) >= 2**32
    kind = moved.index(b"co64" if wide else b"stco")
    found = struct.unpack(">II" + ("2Q" if wide else "2I"), moved[kind + 4 : kind + (28 if wide else 20)])
    assert found == (0, 2, 48 + len(moved), last + len(moved))
    assert int.from_bytes(moved[:4], "big") == len(moved)
    assert (b"co64" in moved) == wide
