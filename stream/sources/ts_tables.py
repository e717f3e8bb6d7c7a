"""The streams and codecs that the tables of an MPEG-TS announce, and where they change. Parses only these tables.

FFmpeg's demuxer follows such a change, but reports a stream's codec only once, as it was at the start.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

_STRIDES = (188, 192)  # bytes from one packet to the next; in M2TS, each has a time in front
_PACKET = 188
_SYNC = 0x47
_CHUNK = 128 * 9024  # bytes; whole packets of both strides; tables come every tenth of a second
_SAMPLES = 256  # chunks that are read of a large file; between two that differ, all are read
_CODECS = {
    0x01: "mpeg2video", 0x02: "mpeg2video", 0x10: "mpeg4", 0x1B: "h264", 0x24: "hevc", 0x33: "vvc", 0x42: "cavs",
    0xEA: "vc1", 0x03: "mp3", 0x04: "mp3", 0x0F: "aac", 0x11: "aac_latm", 0x81: "ac3", 0x87: "eac3",
}  # fmt: skip
"""FFmpeg's decoders by the type of a stream. Those of MPEG audio decode all its layers."""
_PRIVATE = 0x06
_DESCRIPTORS = {0x6A: "ac3", 0x7A: "eac3", 0x7B: "dca", 0x7C: "aac"}  # of private streams

Numbers = npt.NDArray[np.int64]
_NONE: Numbers = np.empty(0, np.int64)

Codecs = dict[int, str]
"""FFmpeg's decoder by the PID of a stream."""

Table = tuple[int, int, Codecs]
"""(offset in bytes, PID of the table, codecs of the programme's streams)"""


@dataclass(frozen=True)
class Tables:
    """What the tables of a file say.

    moved: whether all streams of a programme get other PIDs in mid-file. announced: the first codec of every stream,
    without the PIDs that streams get later.
    spans: of the streams that change their codec: sorted (offset in bytes, codec from there on), the first at 0.
    """

    announced: Codecs = field(default_factory=dict)
    moved: bool = False
    spans: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def codec(self, pid: int, offset: int | None) -> str:
        """The codec of a packet at this offset; "" if it is the first one of its stream, or unknown."""
        spans = self.spans.get(pid)
        if spans is None or offset is None:
            return ""
        found = spans[bisect_right(spans, offset, key=lambda span: span[0]) - 1][1]
        return "" if found == spans[0][1] else found


def read_tables(path: Path) -> Tables:
    """The tables of an MPEG-TS. In files of over 300 MB, changes that last for less than a 250th may be missed."""
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)  # a file is opened several times
def _read(path: Path, changed_ns: int) -> Tables:
    spans: dict[int, list[tuple[int, str]]] = {}
    latest: dict[int, Codecs] = {}
    announced, new_pids = Codecs(), Codecs()
    for offset, programme, codecs in _tables(path):
        before = latest.get(programme, {})
        moves = bool(before) and len(before) == len(codecs) and not before.keys() & codecs.keys()
        latest[programme] = codecs
        (new_pids if moves else announced).update({pid: codec for pid, codec in codecs.items() if pid not in announced})
        for pid, codec in codecs.items():
            span = spans.setdefault(pid, [(0, codec)])
            if codec != span[-1][1]:
                span.append((offset, codec))
    known = {pid: codec for pid, codec in announced.items() if pid not in new_pids}
    return Tables(known, bool(new_pids), {pid: span for pid, span in spans.items() if len(span) > 1})


def _tables(path: Path) -> Iterator[Table]:
    """The tables, sorted by offset."""
    size = path.stat().st_size
    step = max(1, size // _CHUNK // _SAMPLES) * _CHUNK
    programmes: set[int] = set()
    latest: Codecs = {}
    done = 0
    with path.open("rb") as file:
        for at in range(0, size, step):
            found = list(_tables_at(file.seek(at) or at, file.read(_CHUNK), programmes))
            if not found:
                continue
            if any(latest.get(pid, codec) != codec for _, _, codecs in found for pid, codec in codecs.items()):
                for between in range(done, at, _CHUNK):
                    yield from _tables_at(file.seek(between) or between, file.read(_CHUNK), programmes)
            yield from found
            latest |= {pid: codec for _, _, codecs in found for pid, codec in codecs.items()}
            done = at + _CHUNK


def _tables_at(offset: int, content: bytes, programmes: set[int]) -> Iterator[Table]:
    """The tables in a part of the file. programmes: the known PIDs of tables; those that are found are added."""
    starts, pids = _starts(content)
    for at in starts[pids == 0]:
        programmes |= _programmes(_section(content[at : at + _PACKET]))
    is_table = np.isin(pids, sorted(programmes))
    for at, pid in zip(starts[is_table], pids[is_table], strict=True):
        section = _section(content[at : at + _PACKET])
        if section[:1] == b"\2":
            yield offset + int(at), int(pid), _codecs(section)


def _starts(content: bytes) -> tuple[Numbers, Numbers]:
    """The offsets and PIDs of the packets in which tables or PES packets start."""
    data = np.frombuffer(content, np.uint8)
    for stride in _STRIDES:
        found = np.flatnonzero((data[:-stride] == _SYNC) & (data[stride:] == _SYNC))
        if len(found) * stride * 2 > len(data) > stride:
            found = found[data[found + 1] & 0x40 > 0]
            return found, (data[found + 1] & 0x1F).astype(np.int64) << 8 | data[found + 2]
    return _NONE, _NONE


def _section(packet: bytes) -> bytes:
    """The start of the table in a packet, without what is in the packets after it."""
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if at >= len(packet):
        return b""
    section = packet[at + 1 + packet[at] :]
    if len(section) < 12 or not section[5] & 1:  # it is not valid yet
        return b""
    return section[: 3 + ((section[1] & 0x0F) << 8 | section[2]) - 4]


def _programmes(section: bytes) -> set[int]:
    """The PIDs of the programmes' tables."""
    if section[:1] != b"\0":
        return set()
    entries = [section[at : at + 4] for at in range(8, len(section) - 3, 4)]
    return {(entry[2] & 0x1F) << 8 | entry[3] for entry in entries if entry[:2] != b"\0\0"}


def _codecs(section: bytes) -> Codecs:
    found: Codecs = {}
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at + 5 <= len(section):
        pid, length = (section[at + 1] & 0x1F) << 8 | section[at + 2], (section[at + 3] & 0x0F) << 8 | section[at + 4]
        codec = _CODECS.get(section[at], "")
        if section[at] == _PRIVATE:
            codec = _private(section[at + 5 : at + 5 + length])
        if codec:
            found[pid] = codec
        at += 5 + length
    return found


def _private(descriptors: bytes) -> str:
    at = 0
    while at + 2 <= len(descriptors):
        if codec := _DESCRIPTORS.get(descriptors[at]):
            return codec
        at += 2 + descriptors[at + 1]
    return ""
