"""When a file's picture begins and ends, by its headers. Nothing else interprets these.

Times are measured from the start of the file, the earliest time of its streams, wherever its clock begins. FFmpeg
reports the number in a file's header unchanged, and its meaning depends on the format:

* MP4 and MOV with an index, AVI, MXF and WTV: the length of the track. MPEG-TS and MPEG-PS have no header; FFmpeg
  estimates a length from the first and the last times.
* Matroska and WebM, ASF, NUT, Ogg, FLV and MP4 in fragments: some writers (FFmpeg, libwebm) store the end on the file's
  clock, others (GStreamer, mkvmerge) the length. Both are the same in a file that begins at 0. In one that begins
  later, the number is a length if it is less than the start, or if the file has frames after it; otherwise the end.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
from av.container import InputContainer

from stream.errors import UsageError
from stream.picture.timing import parse_time
from stream.sources.packets import packets
from stream.sources.raw_streams import is_raw

_WITH_LENGTH = ("avi", "mxf", "mpegts", "mpeg", "wtv")
_LATE_S = Fraction(1, 2)  # for an earlier start the difference is too small to open the file again
WRAP = 2**33  # ticks of 1/90,000 s, 26.5 hours: the clock of MPEG-TS and MPEG-PS then begins again at 0
_SOON_S = 6 * 3600  # a clock that begins this close to its wrap may wrap during the recording
_LEAST_BPS = 10_000  # the tables of MPEG-TS alone need more
_LEAST_CHUNK = 8  # bytes of a frame in an AVI
_UNWRAP = {"correct_ts_overflow": "1"}
_MOST_PACKETS = 20_000  # read to look for frames after a time: many times a group of pictures

Options = tuple[tuple[str, str], ...]
Lengths = tuple[Fraction | None, Fraction | None]


@dataclass(frozen=True)
class Extent:
    """The picture's time span by the headers, in seconds from the start of the file. end_s: None where unknown.

    own: the end is stated for the video track itself; otherwise it is that of the whole file, or an estimate.
    """

    begin_s: float
    end_s: float | None
    own: bool

    def frames(self, rate: Fraction, start_s: float = 0.0, end_s: float | None = None) -> int | None:
        """Estimated number of frames between two times, at least 1. None where the end is unknown."""
        if self.end_s is None:
            return None
        last_s = self.end_s if end_s is None else min(self.end_s, end_s)
        return max(1, round((last_s - max(self.begin_s, start_s)) * rate))


def origin_s(container: InputContainer) -> Fraction:
    """Start time of the file on its own clock, in seconds; negative where it begins before 0."""
    return Fraction(container.start_time or 0, av.time_base)


def extent(container: InputContainer, stream: av.VideoStream) -> Extent:
    """The time span of the picture. Opens the file a second time and reads a few packets if its header is ambiguous."""
    if is_raw(container):
        return Extent(0.0, None, False)  # FFmpeg's figures are guesses
    origin, tick = origin_s(container), stream.time_base or Fraction(1, 90_000)
    start = origin if stream.start_time is None else stream.start_time * tick
    whole = Fraction(container.duration, av.time_base) if container.duration else None
    track = stream.duration * tick if stream.duration else tagged_s(stream)
    if _has_leap(container, whole) or (stream.frames and not stored_frames(container, stream)):
        return Extent(float(start - origin), None, False)
    if track is not None and container.format.name == "avi":  # of a file that was cut off, FFmpeg estimates the rest
        track = max(track, stream.frames * tick)
    if container.format.name.startswith("mpeg") and origin > Fraction(WRAP, 90_000) - _SOON_S:
        track, whole = _across_the_wrap(*_identity(container), stream.index)
    own = track is not None and container.format.name.startswith(("mov", "matroska"))
    if track is not None:
        end = start - origin + track if _is_length(container, stream, track, start) else track - origin
        if container.format.name == "mpeg" and whole:  # its last frames often have no times of their own
            end = max(end, whole)
    elif whole is not None:
        end = whole if _is_length(container, stream, whole, origin) else whole - origin
    else:
        return Extent(float(start - origin), None, own)
    return Extent(float(start - origin), max(0.0, float(end)), own)


def stored_frames(container: InputContainer, stream: av.VideoStream) -> int:
    """The number of frames in the header; 0 where it has none, or one that an AVI of this size cannot have: recorders
    write a large number first, and the right one at the end."""
    impossible = container.format.name == "avi" and stream.frames * _LEAST_CHUNK > container.size
    return 0 if impossible else stream.frames


def _has_leap(container: InputContainer, whole: Fraction | None) -> bool:
    """Whether the clock of an MPEG-TS or MPEG-PS must have jumped on its way: it is too small for its length."""
    return bool(whole) and container.format.name.startswith("mpeg") and container.size * 8 < _LEAST_BPS * (whole or 0)


@lru_cache(maxsize=16)
def _across_the_wrap(name: str, changed_ns: int, options: Options, index: int) -> Lengths:
    """The lengths in seconds of the track and the file, as FFmpeg reports them when it assumes that the clock wraps.

    `open_container` makes it assume that the clock was restarted, for joined recordings; FFmpeg then ignores all times
    after the wrap.
    """
    with suppress(av.error.FFmpegError), av.open(name, options=dict(options) | _UNWRAP) as second:
        copy = second.streams[index]
        track = copy.duration * copy.time_base if copy.duration and copy.time_base else None
        return track, Fraction(second.duration, av.time_base) if second.duration else None
    return None, None


def tagged_s(stream: av.VideoStream) -> Fraction | None:
    """Matroska's tag DURATION of the track, 00:00:04.000000000."""
    with suppress(UsageError):  # the tag may be any text
        return Fraction(parse_time(stream.metadata.get("DURATION", "").strip("\0 "))).limit_denominator(1_000_000)
    return None


def _is_length(container: InputContainer, stream: av.VideoStream, number_s: Fraction, start_s: Fraction) -> bool:
    """Whether the header's number is a length, not an end on the file's clock."""
    name = container.format.name
    if name.startswith(_WITH_LENGTH) or (name.startswith("mov") and (stream.frames or start_s <= _LATE_S)):
        return True
    if number_s <= start_s:
        return True
    if start_s <= _LATE_S:
        return False
    return _has_frames_after(*_identity(container), stream.index, number_s + start_s / 2)


def _identity(container: InputContainer) -> tuple[str, int, Options]:
    """What a second opening of the file depends on: its name, when it was last changed, and the options."""
    changed_ns = os.stat(container.name.removeprefix("file:")).st_mtime_ns
    return container.name, changed_ns, tuple(container.options.items())


@lru_cache(maxsize=16)  # a file is opened several times, and without an index FFmpeg reads all of it to find a time
def _has_frames_after(name: str, changed_ns: int, options: Options, index: int, time_s: Fraction) -> bool:
    """Whether the stream has frames after a time on its own clock. changed_ns: when the file was last changed."""
    with suppress(av.error.FFmpegError), av.open(name, options=dict(options)) as second:
        second.seek(int(time_s * av.time_base), backward=True)
        return any(time > time_s for time in _times(second, index))
    return False


def _times(container: InputContainer, index: int) -> Iterator[Fraction]:
    for packet, _ in zip(packets(container, [container.streams[index]]), range(_MOST_PACKETS), strict=False):
        if packet.size and packet.pts is not None:
            yield packet.pts * packet.time_base
