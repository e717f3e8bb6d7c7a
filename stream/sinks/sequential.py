"""Files of muxers that go back in them, written from the first byte to the last, for places that take nothing else.

A muxer runs twice. At first into a `Sieve`, which keeps only what was written over, and the end; from that is `Known`
what the second run's `Pipe` must put where. An MP4's table of contents comes from the end to the front on the way.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from stream.errors import EncodeError
from stream.pump import Warnings

_PIECE = 2**20
_HEAD = 4096  # bytes in which an MP4's first boxes begin
_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


@dataclass(frozen=True)
class Known:
    """warnings: what is to be told of the output. size: of what the muxer writes. edits: in order of
    their places, (place, how many of the muxer's bytes are dropped there, what comes instead)."""

    warnings: Warnings
    size: int = 0
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)


class Sieve:
    """A file that can only be written to, and keeps next to nothing."""

    def __init__(self) -> None:
        self._at = self._size = 0
        self._head, self._over = bytearray(), dict[int, int]()
        self._end: tuple[int, bytearray] | None = None

    def write(self, data: bytes) -> int:
        known = self._size - self._at
        self._over |= enumerate(data[: max(0, known)], self._at)
        new = data[max(0, known) :]
        self._head += new[: max(0, _HEAD - len(self._head))]
        if self._end:
            self._end[1].extend(new)
        self._at += len(data)
        self._size = max(self._size, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def keep(self) -> None:
        """All that comes from now on."""
        self._end = self._size, bytearray()

    def known(self, warnings: Warnings, moved: bool) -> Known:
        """moved: it is an MP4, whose table of contents goes to the front. Raises EncodeError."""
        edits = [(run[0], len(run), bytes(self._over[n] for n in run)) for run in _runs(sorted(self._over))]
        if moved:
            edits += self._moved()
        return Known(warnings, self._size, sorted(edits))

    def _moved(self) -> list[tuple[int, int, bytes]]:
        for place, byte in self._over.items():
            if place < len(self._head):
                self._head[place] = byte
        front, back = _ends(bytes(self._head))
        start, end = self._end or (0, bytearray())
        table = bytes(end[back - start :])
        if back < start or table[4:8] != b"moov":
            raise EncodeError("an MP4 came out otherwise than it should")
        return [(front, 0, to_front(table)), (back, len(table), b"")]


def _runs(places: list[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        yield [place for _, place in run]


def _ends(head: bytes) -> tuple[int, int]:
    """Of an MP4's first box, and of its media data."""
    at = front = int.from_bytes(head[:4], "big")
    while head[at + 4 : at + 8] != b"mdat":
        at += int.from_bytes(head[at : at + 4], "big") or _HEAD
        if at >= len(head):
            raise EncodeError("an MP4 came out otherwise than it should")
    size = int.from_bytes(head[at : at + 4], "big")
    return front, at + (int.from_bytes(head[at + 8 : at + 16], "big") if size == 1 else size)


def to_front(table: bytes) -> bytes:
    """An MP4's `moov` box (ISO/IEC 14496-12), as it is when all media data comes after it."""
    moved = _shifted(table, len(table))
    return moved if len(moved) == len(table) else _shifted(table, len(moved))  # places may need more room now


def _shifted(box: bytes, by: int) -> bytes:
    kind, body = box[4:8], box[8:]
    if kind in _NESTED:
        body = b"".join(_shifted(inner, by) for inner in _boxes(body))
    elif kind in (b"stco", b"co64"):
        places = np.frombuffer(body[8:], ">u4" if kind == b"stco" else ">u8").astype(">u8") + np.uint64(by)
        small = kind == b"stco" and (not len(places) or int(places.max()) < 2**32)
        kind, body = b"stco" if small else b"co64", body[:8] + places.astype(">u4" if small else ">u8").tobytes()
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _boxes(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        yield body[at : at + size]
        at += max(8, size)


class Drain:
    """A file to write to, whose bytes are taken from it as they come. It cannot go back, and says so."""

    def __init__(self) -> None:
        self._ready = bytearray()

    def write(self, data: bytes) -> int:
        self._ready += data
        return len(data)

    def flush(self) -> None:
        """For zipfile."""

    def full(self) -> Iterator[bytes]:
        """A piece, when there is enough for one."""
        if len(self._ready) >= _PIECE:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        if self._ready:
            yield bytes(self._ready)
            self._ready.clear()


class Pipe(Drain):
    """For a muxer that goes back: to do so does nothing, for what it writes there is `Known`."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._size, self._edits = known.size, known.edits[::-1]
        self._at = self._reached = self._drop = 0

    def write(self, data: bytes) -> int:
        new = data[max(0, self._reached - self._at) :]
        self._at += len(data)
        while self._edits and self._edits[-1][0] < self._reached + len(new):
            place, drop, instead = self._edits.pop()
            self._pass(new[: place - self._reached])
            self._ready += instead
            new, self._reached, self._drop = new[place - self._reached :], place, drop
        self._pass(new)
        self._reached += len(new)
        return len(data)

    def _pass(self, data: bytes) -> None:
        self._ready += data[self._drop :]
        self._drop = max(0, self._drop - len(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._reached)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def check(self) -> None:
        """Raises EncodeError unless the muxer has done what it did before."""
        if self._reached != self._size or self._edits:
            raise EncodeError("a second run of a muxer gave something else than the first")
