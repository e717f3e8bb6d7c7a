"""An MP4 file that is written in fragments, and becomes an ordinary file with one index when it is complete.

FFmpeg's muxer can do the same (`hybrid_fragmented`), but keeps the index in memory: 180 bytes for each frame with its
sound, 0.5 GB a day. Here the index grows in temporary files, and memory does not grow.

The file begins with a placeholder of 16 bytes. At the end the index is appended, and the placeholder becomes the header
of an `mdat` box around all fragments. Until that moment it is a file in fragments, which players read, too.

Imports the standard library only: `stream/sinks/live/push_child.py`, which runs without Mattebox's packages, loads it
by its path. Knows the boxes (ISO/IEC 14496-12) that FFmpeg writes with the options `FRAGMENTS`.
"""

import contextlib
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

FRAGMENTS = {"movflags": "delay_moov+default_base_moof+skip_trailer", "frag_duration": "1000000", "flush_packets": "1"}
"""Options of FFmpeg's MP4 muxer: a fragment a second (in microseconds). `delay_moov` keeps the time at which the sound
begins; `skip_trailer` keeps no list of the fragments in memory."""

_HEADER, _LONG_HEADER = struct.Struct(">I4s"), struct.Struct(">I4sQ")
_READ_WHOLE = (b"ftyp", b"moov", b"moof")  # other boxes are copied as they come
_PIECE = 2**18  # bytes
_NOT_SYNC = 0x10000  # in a sample's flags: it is no keyframe


class IndexedMp4:
    """A file object for the muxer, which only writes. `complete` is called once, after the muxer has written all.

    Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._folder = path.parent
        self._pending = bytearray()
        self._to_copy = 0  # bytes that remain of a box
        self._placeholder = 0
        self._moov = b""
        self._tracks: dict[int, Track] = {}

    def write(self, data: bytes) -> int:
        self._pending += data
        while self._advance():
            pass
        return len(data)

    def complete(self) -> None:
        """Write the index, and close the file. If the disk has no room for the index, the file stays in fragments."""
        end = self._file.tell()
        try:
            if self._moov:
                self._append_index()
                self._file.seek(self._placeholder)
                self._put(_LONG_HEADER.pack(1, b"mdat", end - self._placeholder))
        except OSError:
            self._file.truncate(end)
        self.close()

    def _append_index(self) -> None:
        for part in _complete_moov(self._moov, self._tracks):
            for piece in part.pieces() if isinstance(part, Table) else (part,):
                self._put(piece)

    def _put(self, data: bytes | bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file, in fragments if it is not complete."""
        self._file.close()
        for track in self._tracks.values():
            for table in track.tables:
                table.close()

    def _advance(self) -> bool:
        """Process a box, or what has come of it. Returns whether there may be more."""
        if self._to_copy:
            part = self._pending[: self._to_copy]
            self._put(part)
            del self._pending[: len(part)]
            self._to_copy -= len(part)
            return bool(self._pending)
        if len(self._pending) < _LONG_HEADER.size:
            return False
        size, name = _HEADER.unpack_from(self._pending)
        if size == 1:
            size = _LONG_HEADER.unpack_from(self._pending)[2]
        if name not in _READ_WHOLE:
            self._to_copy = size
            return True
        if len(self._pending) < size:
            return False
        self._take(name, bytes(self._pending[:size]))
        del self._pending[:size]
        return True

    def _take(self, name: bytes, box: bytes) -> None:
        position = self._file.tell()
        self._put(box)
        if name == b"ftyp":
            self._placeholder = self._file.tell()
            self._put(_HEADER.pack(_LONG_HEADER.size, b"free") + bytes(8))
        elif name == b"moov":
            self._moov = box
            for content in _named(_only(box, b"moov", b"mvex"), b"trex"):
                track, _, *defaults = struct.unpack(">4x5I", content)
                self._tracks[track] = Track(defaults, self._folder)
        else:
            for fragment in _named(_only(box, b"moof"), b"traf"):
                self._index(fragment, position)

    def _index(self, fragment: bytes, position: int) -> None:
        """Add the samples of a track's fragment to the index. position: of its `moof` in the file."""
        track_id, changed = _fragment_header(_only(fragment, b"tfhd"))
        track = self._tracks[track_id]
        defaults = [new if new is not None else old for new, old in zip(changed, track.defaults, strict=True)]
        time = int.from_bytes(_only(fragment, b"tfdt")[4:])
        for run in _named(fragment, b"trun"):
            time = track.add(time, run, position, defaults)


class Table:
    """Rows of numbers in a temporary file. layout: of a row. len: in bytes."""

    def __init__(self, layout: str, folder: Path) -> None:
        self._row = struct.Struct(layout)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self.rows = 0

    def add(self, *numbers: int) -> None:
        self._file.write(self._row.pack(*numbers))
        self.rows += 1

    def __len__(self) -> int:
        return self.rows * self._row.size

    def pieces(self) -> Iterator[bytes]:
        """The rows; then the temporary file is removed."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # rows that had no room on the disk
            self._file.close()


class Runs(Table):
    """A value for each sample, as rows of (number of samples, value)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(">Ii", folder)
        self._samples, self.value = 0, 0

    def append(self, value: int) -> None:
        if value != self.value:
            self.finish()
            self.value = value
        self._samples += 1

    def finish(self) -> None:
        if self._samples:
            self.add(self._samples, self.value)
        self._samples = 0


class Track:
    """The index of a track. defaults: [duration, size, flags] of samples. duration, end: of its samples, and the time
    at which the last one ends, in the track's time scale."""

    def __init__(self, defaults: list[int], folder: Path) -> None:
        self.defaults = defaults
        self.samples = self.duration = self.end = 0
        self.durations, self.shifts = Runs(folder), Runs(folder)
        self.sizes, self.keys = Table(">I", folder), Table(">I", folder)
        self.offsets, self.chunks = Table(">Q", folder), Table(">III", folder)
        self.tables = self.durations, self.shifts, self.sizes, self.keys, self.offsets, self.chunks
        self._last: tuple[int, int] | None = None  # time and duration of the last sample
        self._chunk_samples = 0

    def add(self, time: int, run: bytes, position: int, defaults: list[int]) -> int:
        """Add a run of samples that are stored one after another. time: of the first. Returns the time of its end."""
        samples, offset = _samples(run, defaults)
        self.offsets.add(position + offset)
        if len(samples) != self._chunk_samples:
            self._chunk_samples = len(samples)
            self.chunks.add(self.offsets.rows, len(samples), 1)
        for duration, size, flags, shift in samples:
            self.samples += 1
            self.sizes.add(size)
            self.shifts.append(shift)
            if not flags & _NOT_SYNC:
                self.keys.add(self.samples)
            self._place(time, duration)
            time += duration
            self.end = max(self.end, time + shift)
        return time

    def finish(self) -> None:
        """Add what is known only at the end: the duration of the last sample."""
        if self._last is not None:
            self._place(sum(self._last), 0)
        self.durations.finish()
        self.shifts.finish()

    def _place(self, time: int, duration: int) -> None:
        """A sample lasts until the next one begins, whatever its own duration is."""
        if self._last is not None:
            lasted = max(0, time - self._last[0])
            self.duration += lasted
            self.durations.append(lasted)
        self._last = time, duration


Parts = list[bytes | Table]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of each box."""
    place = 0
    while place < len(data):
        size, name = _HEADER.unpack_from(data, place)
        yield name, data[place + _HEADER.size : place + size]
        place += size


def _named(data: bytes, name: bytes) -> Iterator[bytes]:
    return (content for found, content in _boxes(data) if found == name)


def _only(data: bytes, *names: bytes) -> bytes:
    """The content of the first box of this name, in which the next name is looked up, and so on."""
    for name in names:
        data = next(_named(data, name))
    return data


def _fragment_header(content: bytes) -> tuple[int, list[int | None]]:
    """(track, [duration, size, flags]) of a `tfhd` box; None: as in the track."""
    flags, track = struct.unpack_from(">II", content)
    place = 8 + 8 * bool(flags & 0x1) + 4 * bool(flags & 0x2)
    defaults: list[int | None] = []
    for bit in (0x8, 0x10, 0x20):
        defaults.append(int.from_bytes(content[place : place + 4]) if flags & bit else None)
        place += 4 * bool(flags & bit)
    return track, defaults


def _samples(run: bytes, defaults: list[int]) -> tuple[list[list[int]], int]:
    """[duration, size, flags, shift] of each sample of a `trun` box, and where they begin, from the `moof` box on.

    shift: from the time of decoding to that of showing.
    """
    flags, count, offset = struct.unpack_from(">IIi", run)
    place = 12 + 4 * bool(flags & 0x4)
    fields = [field for field, bit in enumerate((0x100, 0x200, 0x400, 0x800)) if flags & bit]
    row = struct.Struct(">" + "".join("IIIi"[field] for field in fields))
    samples = [[*defaults, 0] for _ in range(count)]
    for sample, numbers in zip(samples, row.iter_unpack(run[place:]) if fields else (), strict=False):
        for field, number in zip(fields, numbers, strict=True):
            sample[field] = number
    if flags & 0x4 and samples:
        samples[0][2] = int.from_bytes(run[12:16])
    return samples, offset


def _complete_moov(moov: bytes, tracks: dict[int, Track]) -> Parts:
    """The `moov` box of the complete file. moov: that of the file in fragments, whose tables are empty."""
    content = _only(moov, b"moov")
    scale = _scale(_only(content, b"mvhd"))
    longest, parts = 0, Parts()
    for name, inner in _boxes(content):
        if name == b"trak":
            track = tracks[int.from_bytes(_only(inner, b"tkhd")[12:16])]
            track.finish()
            box, duration = _trak(inner, track, scale)
            parts, longest = parts + box, max(longest, duration)
        elif name not in (b"mvhd", b"mvex"):
            parts += _box(name, [inner])
    return _box(b"moov", _box(b"mvhd", [_with_duration(_only(content, b"mvhd"), 4, longest)]) + parts)


def _trak(content: bytes, track: Track, scale: int) -> tuple[Parts, int]:
    """A `trak` box, and its duration with the delay before it in the movie's time scale."""
    media = _only(content, b"mdia")
    edits, duration = Parts(), track.end * scale // _scale(_only(media, b"mdhd"))
    for found in _named(content, b"edts"):
        edit_list, duration = _edit_list(_only(found, b"elst"), track, scale / _scale(_only(media, b"mdhd")))
        edits = _box(b"edts", _box(b"elst", [edit_list]))
    described = _only(media, b"minf", b"stbl", b"stsd")
    tables = {b"stbl": _box(b"stsd", [described]) + _tables(track)}
    new = {b"mdhd": Parts([_with_duration(_only(media, b"mdhd"), 4, track.duration)])}
    new[b"minf"] = _replaced(_only(media, b"minf"), tables)
    header = _box(b"tkhd", [_with_duration(_only(content, b"tkhd"), 8, duration)])
    return _box(b"trak", header + edits + _box(b"mdia", _replaced(media, new))), duration


def _edit_list(content: bytes, track: Track, scale: float) -> tuple[bytes, int]:
    """The content of an `elst` box whose last edit has a duration, and the duration of all. scale: the movie's ticks in
    one of the track."""
    entry = struct.Struct(">Qqi" if content[0] else ">Iii")
    edits = [list(edit) for edit in entry.iter_unpack(content[8:])]
    edits[-1][0] = round((track.end - edits[-1][1]) * scale)
    return content[:8] + b"".join(entry.pack(*edit) for edit in edits), sum(edit[0] for edit in edits)


def _tables(track: Track) -> Parts:
    rows = [(b"stts", 0, b"", track.durations), (b"stsc", 0, b"", track.chunks)]
    rows += [(b"stsz", 0, bytes(4), track.sizes), (b"co64", 0, b"", track.offsets)]
    if track.keys.rows < track.samples:
        rows.append((b"stss", 0, b"", track.keys))
    if track.shifts.rows > 1 or track.shifts.value:
        rows.append((b"ctts", 1, b"", track.shifts))
    return [
        part
        for name, version, field, table in rows
        for part in _box(name, [struct.pack(">B3x", version) + field + struct.pack(">I", table.rows), table])
    ]


def _replaced(data: bytes, contents: dict[bytes, Parts]) -> Parts:
    """The boxes, some of them with another content."""
    return [part for name, content in _boxes(data) for part in _box(name, contents.get(name, [content]))]


def _box(name: bytes, parts: Parts) -> Parts:
    return [_HEADER.pack(_HEADER.size + sum(map(len, parts)), name), *parts]


def _scale(content: bytes) -> int:
    """The time scale in an `mvhd` or `mdhd` box of version 0: ticks per second."""
    return int.from_bytes(content[12:16])


def _with_duration(content: bytes, between: int, duration: int) -> bytes:
    """The content of an `mvhd`, `mdhd` or `tkhd` box of version 0, as version 1, whose duration has 64 bits: 32 are
    enough for 13 hours of video. between: bytes between the times of creation and the duration."""
    created, modified = struct.unpack_from(">II", content, 4)
    times = struct.pack(">QQ", created, modified)
    kept, rest = content[12 : 12 + between], content[16 + between :]
    return b"\x01" + content[1:4] + times + kept + struct.pack(">Q", duration) + rest
