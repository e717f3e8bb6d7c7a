"""The boxes of an MP4 or QuickTime file, read for error messages: whether its index is
missing, and whether its video is encrypted."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

INDEXES = (b"moov", b"moof")
"""Boxes that hold an index: of the file, or of a fragment."""

_ENCRYPTED = (b"encv", b"drmi")  # sample entries of video under Common Encryption, and of FairPlay
_TO_ENTRIES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_MOST = 10_000  # boxes that are read at one level

Box = tuple[bytes, int, int]
"""(type, start of the content, end of the content), in bytes from the start of the file. The end of a box that is cut
off is past the end of the file."""


def top_level(path: Path) -> list[Box]:
    """The boxes at the top level; the last may be cut off."""
    with path.open("rb") as file:
        return list(_boxes(file, 0, path.stat().st_size))


def joined_files(path: Path) -> int:
    """The number of files that were joined byte by byte, by their indexes. Fragments follow one index, or repeat it."""
    kinds = [kind for kind, _, _ in top_level(path)]
    return 1 if b"moof" in kinds else kinds.count(b"moov")


def is_cut_off(path: Path) -> bool:
    """Whether the last fragment of a file in fragments is incomplete."""
    boxes = top_level(path)
    return any(kind == b"moof" for kind, _, _ in boxes) and boxes[-1][2] > path.stat().st_size


def is_encrypted(path: Path) -> bool:
    """Whether a video track's samples are encrypted, by the type of its sample entry."""
    with path.open("rb") as file:
        return any(kind in _ENCRYPTED for kind in _entries(file, 0, path.stat().st_size, _TO_ENTRIES))


def _entries(file: BinaryIO, begin: int, end: int, path: tuple[bytes, ...]) -> Iterator[bytes]:
    """The types of the boxes inside the boxes of this path."""
    for kind, inside, until in _boxes(file, begin, end):
        if not path:
            yield kind
        elif kind == path[0]:
            head = 8 if kind == b"stsd" else 0  # version, flags and number of entries
            yield from _entries(file, inside + head, min(until, end), path[1:])


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[Box]:
    for _ in range(_MOST):
        if begin + 8 > end:
            return
        file.seek(begin)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        inside = begin + 8
        if size == 1 and len(head) == 16:
            size, inside = struct.unpack(">Q", head[8:])[0], begin + 16
        until = end if size == 0 else begin + size
        if until < inside:
            return
        yield kind, inside, until
        begin = until
