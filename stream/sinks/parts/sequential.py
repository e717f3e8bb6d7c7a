"""Two-pass muxing: writes a file sequentially, for storage that cannot seek, although the muxer seeks back in it.

In the first pass the muxer writes to an `EditRecorder`, which keeps only the bytes that were overwritten and the end of
the file. The result, a `FirstPass`, lists the bytes that the `PatchingBuffer` of the second pass replaces. They also
move the `moov` box of an MP4 to the front.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from stream.errors import EncodeError
from stream.pump import Warnings
from stream.sinks.parts.discarded import Discarded

_PIECE_BYTES = 2**20
_HEAD_BYTES = 4096  # the first boxes of an MP4 begin within these
_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


@dataclass(frozen=True)
class FirstPass:
    """The result of the first pass. warnings: of the output. size: of the file that the muxer writes, in bytes. edits:
    sorted by offset, each (offset in that file, number of bytes to drop there, bytes to insert instead)."""

    warnings: Warnings
    size: int = 0
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)


class EditRecorder(Discarded):
    """A write-only file that keeps only what `FirstPass` needs."""

    def __init__(self) -> None:
        super().__init__()
        self._head, self._overwritten = bytearray(), dict[int, int]()
        self._end: tuple[int, bytearray] | None = None

    def write(self, data: bytes) -> int:
        overlap = self._size - self._at
        self._overwritten |= enumerate(data[: max(0, overlap)], self._at)
        new = data[max(0, overlap) :]
        self._head += new[: max(0, _HEAD_BYTES - len(self._head))]
        if self._end:
            self._end[1].extend(new)
        return super().write(data)

    def keep_rest(self) -> None:
        """Keep everything written from now on."""
        self._end = self._size, bytearray()

    def result(self, warnings: Warnings, faststart: bool) -> FirstPass:
        """What the second pass needs. faststart: move the `moov` box of an MP4 to the front. Raises EncodeError."""
        edits = [
            (run[0], len(run), bytes(self._overwritten[n] for n in run)) for run in _runs(sorted(self._overwritten))
        ]
        if faststart:
            edits += self._moov_to_front()
        return FirstPass(warnings, self._size, sorted(edits))

    def _moov_to_front(self) -> list[tuple[int, int, bytes]]:
        for offset, byte in self._overwritten.items():
            if offset < len(self._head):
                self._head[offset] = byte
        front, back = _ends(bytes(self._head))
        start, end = self._end or (0, bytearray())
        table = bytes(end[back - start :])
        if back < start or table[4:8] != b"moov":
            raise EncodeError("the MP4 muxer wrote an unexpected structure")
        return [(front, 0, to_front(table)), (back, len(table), b"")]


def _runs(offsets: list[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(offsets), lambda pair: pair[1] - pair[0]):
        yield [offset for _, offset in run]


def _ends(head: bytes) -> tuple[int, int]:
    """The end offsets of an MP4's first box and of its `mdat` box."""
    at = front = int.from_bytes(head[:4], "big")
    while head[at + 4 : at + 8] != b"mdat":
        at += int.from_bytes(head[at : at + 4], "big") or _HEAD_BYTES
        if at >= len(head):
            raise EncodeError("the MP4 muxer wrote an unexpected structure")
    size = int.from_bytes(head[at : at + 4], "big")
    return front, at + (int.from_bytes(head[at + 8 : at + 16], "big") if size == 1 else size)


def to_front(table: bytes) -> bytes:
    """An MP4's `moov` box (ISO/IEC 14496-12), with the chunk offsets that are right if it precedes the media data."""
    moved = _shifted(table, len(table))
    return moved if len(moved) == len(table) else _shifted(table, len(moved))  # 64-bit offsets may have made it larger


def _shifted(box: bytes, by: int) -> bytes:
    kind, body = box[4:8], box[8:]
    if kind in _NESTED:
        body = b"".join(_shifted(inner, by) for inner in _boxes(body))
    elif kind in (b"stco", b"co64"):
        offsets = np.frombuffer(body[8:], ">u4" if kind == b"stco" else ">u8").astype(">u8") + np.uint64(by)
        small = kind == b"stco" and (not len(offsets) or int(offsets.max()) < 2**32)
        kind, body = b"stco" if small else b"co64", body[:8] + offsets.astype(">u4" if small else ">u8").tobytes()
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _boxes(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        yield body[at : at + size]
        at += max(8, size)


class OutputBuffer:
    """A write-only file without seeking. The caller takes the written bytes out in pieces."""

    def __init__(self) -> None:
        self._ready = bytearray()

    def write(self, data: bytes) -> int:
        self._ready += data
        return len(data)

    def flush(self) -> None:
        """Required by zipfile; does nothing."""

    def full(self) -> Iterator[bytes]:
        """The buffered bytes, if they are enough for a piece."""
        if len(self._ready) >= _PIECE_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        if self._ready:
            yield bytes(self._ready)
            self._ready.clear()


class PatchingBuffer(OutputBuffer):
    """As `OutputBuffer`, for muxers that seek back: bytes that they overwrite are ignored, because `FirstPass` already
    has the final bytes as edits."""

    def __init__(self, first: FirstPass) -> None:
        super().__init__()
        self._size, self._edits = first.size, first.edits[::-1]
        self._at = self._reached = self._drop = 0

    def write(self, data: bytes) -> int:
        new = data[max(0, self._reached - self._at) :]
        self._at += len(data)
        while self._edits and self._edits[-1][0] < self._reached + len(new):
            offset, drop, insert = self._edits.pop()
            self._append(new[: offset - self._reached])
            self._ready += insert
            new, self._reached, self._drop = new[offset - self._reached :], offset, drop
        self._append(new)
        self._reached += len(new)
        return len(data)

    def _append(self, data: bytes) -> None:
        self._ready += data[self._drop :]
        self._drop = max(0, self._drop - len(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._reached)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def check(self) -> None:
        """Raise EncodeError unless the muxer wrote the same as in the first pass."""
        if self._reached != self._size or self._edits:
            raise EncodeError("the second pass of the muxer differs from the first")
