"""Parts of one output that were encoded apart, and the whole that is made of them without encoding anew.

A part waits in a container that keeps its times as the whole will have them and that spends less on each picture, so
that all parts together are smaller than the whole: NUT, to the tick, or Matroska without an index, to the millisecond
that a Matroska file has anyway, where NUT cannot hold the colours of FFV1 or what makes VP9 transparent. GIF is encoded
once more from parts without loss, for its pictures lean on those before them; numbered pictures wait in a zip and end
in one.
"""

import shutil
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from stream.errors import disk_error
from stream.picture.frames import Frame, Sound, VideoInfo, has_alpha
from stream.pump import Sink, Warnings
from stream.records.formats import PICTURE, TIMES
from stream.settings import Settings
from stream.sinks.file import FileSink, named_errors
from stream.sinks.formats import FORMATS, Format
from stream.sinks.images import NO_SOUND, ImagesSink
from stream.sinks.joined import Joined, Part, waits_in
from stream.sinks.partial import Partial
from stream.sinks.sequential import Drain, Known, Pipe, Sieve

_LEAN = {
    "nut": {"write_index": "0"},
    "matroska": {"live": "1", "write_crc32": "0", "fflags": "+bitexact"},  # no room for an index, no sums, no names
    "mov": {},
}


def open_segment(path: Path, chosen: Format, transparent: bool, settings: Settings) -> Sink:
    """The sink for a part of an output of the format `chosen`: with its pictures as they will be, but for GIF."""
    if not chosen.container:
        return ZipSink(path, chosen, settings)
    codec, container = FORMATS[".mkv"] if chosen.container == "gif" else chosen, waits_in(chosen, transparent)
    return FileSink(path, replace(codec, container=container, muxer_options=_LEAN[container]), settings)


class ZipSink:
    """Numbered PNGs and their times, as `ImagesSink` makes them, in a zip."""

    def __init__(self, path: Path, chosen: Format, settings: Settings) -> None:
        self._folder, self._partial = path.with_name(f"{path.name}.pictures"), Partial(path)
        self._pictures = ImagesSink(self._folder, chosen, settings)
        self.warnings: Warnings = self._pictures.warnings

    def open(self, info: VideoInfo) -> None:
        self._pictures.open(info)

    def write(self, item: Frame | Sound) -> None:
        self._pictures.write(item)

    def close(self) -> None:
        self._pictures.close()
        try:
            with zipfile.ZipFile(self._partial.path, "w") as packed:  # PNGs are small already
                for file in sorted(self._folder.iterdir()):
                    small = zipfile.ZIP_DEFLATED if file.name == TIMES else zipfile.ZIP_STORED
                    packed.write(file, file.name, small)
                    file.unlink()
            self._folder.rmdir()
        except OSError as exc:
            raise disk_error(exc, self._partial.final) from exc
        self._partial.publish()

    def abort(self) -> None:
        self._pictures.abort()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._partial.discard()


def join(
    parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], final: Path, chosen: Format, settings: Settings
) -> Warnings:
    """Make one output of its parts, in order, and of the packets of `sound`; gives what is to be told of it.

    info: of the whole, as its sink would have got it. A part is not read before the one before it is done with, so that
    the caller may fetch them one by one. Raises DiskError, EncodeError; nothing is left of the output then.
    """
    if chosen.container == "gif":
        return _encode_again(parts, info, final, chosen, settings)
    partial = Partial(final)
    try:
        with named_errors(final):
            if chosen.container:
                warnings = _join_packets(parts, info, sound, partial.path, chosen)
            else:
                with partial.path.open("wb") as file:
                    warnings = deque(_zipped(parts, info, file), maxlen=1).pop()
    except BaseException:
        partial.discard()
        raise
    partial.publish()
    return warnings


def _join_packets(
    parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], path: Path, chosen: Format
) -> Warnings:
    joined = Joined(f"file:{path}", chosen, info, chosen.muxer_options)
    try:
        for _ in joined.steps(parts, sound):
            pass
        joined.close()
    except BaseException:
        joined.abort()
        raise
    return joined.warnings


def rehearse(parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Format) -> Known:
    """As `join`, but nothing is kept of the output: only what `perform` must know to give it from its first byte to its
    last. Not for GIF. Raises EncodeError."""
    if not chosen.container:
        return Known([NO_SOUND] if info.sound else [])
    with named_errors(Path(chosen.name)):
        sieve = Sieve()
        joined = _sequential(chosen, info, sieve)
        try:
            for _ in joined.steps(parts, sound):
                pass
            sieve.keep()
            joined.close()
        except BaseException:
            joined.abort()
            raise
        return sieve.known(joined.warnings, moved="faststart" in chosen.muxer_options.get("movflags", ""))


def perform(
    known: Known, parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Format
) -> Iterator[bytes]:
    """The output's bytes, in order, in pieces of a mebibyte or so; of the same parts and the same sound as were
    rehearsed. Raises EncodeError."""
    with named_errors(Path(chosen.name)):
        yield from (_performed(known, parts, info, sound, chosen) if chosen.container else _zip_pieces(parts, info))


def _performed(
    known: Known, parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Format
) -> Iterator[bytes]:
    pipe = Pipe(known)
    joined = _sequential(chosen, info, pipe)
    try:
        for _ in joined.steps(parts, sound):
            yield from pipe.full()
        joined.close()
    except BaseException:
        joined.abort()
        raise
    pipe.check()
    yield from pipe.rest()


def _zip_pieces(parts: Iterable[Part], info: VideoInfo) -> Iterator[bytes]:
    drain = Drain()
    for _ in _zipped(parts, info, drain):
        yield from drain.full()
    yield from drain.rest()


def _sequential(chosen: Format, info: VideoInfo, out: Sieve | Pipe) -> Joined:
    """Without what a muxer would draw by lot, or would have to read its own file for."""
    return Joined(out, chosen, info, {"fflags": "+bitexact"})


def _zipped(parts: Iterable[Part], info: VideoInfo, out: Any) -> Iterator[Warnings]:
    """Picture by picture into `out`; what is to be told of it."""
    times, count = ["# timestamp format v2"], 0
    with zipfile.ZipFile(out, "w") as whole:
        for part in parts:
            with zipfile.ZipFile(part.path) as packed:
                for name in sorted(n for n in packed.namelist() if n != TIMES):
                    count += 1
                    whole.writestr(PICTURE % count, packed.read(name))
                    yield []
                times += packed.read(TIMES).decode().split("\n")[1:-1]
        whole.writestr(TIMES, "\n".join([*times, ""]))
    yield [NO_SOUND] if info.sound else []


def _encode_again(parts: Iterable[Part], info: VideoInfo, final: Path, chosen: Format, settings: Settings) -> Warnings:
    sink = FileSink(final, chosen, settings)
    try:
        sink.open(info)
        for part in parts:
            for frame in _frames(part.path):
                sink.write(frame)
        sink.close()
    except BaseException:
        sink.abort()
        raise
    return sink.warnings


def _frames(path: Path) -> Iterator[Frame]:
    """The frames of a part as they were given to its sink; for parts without loss."""
    with closing(av.open(f"file:{path}")) as container:
        for picture in container.decode(video=0):
            planes = [_plane(plane) for plane in picture.planes]
            pixels = planes[0] if len(planes) == 1 else np.concatenate([plane.reshape(-1) for plane in planes[:3]])
            time = cast(int, picture.pts), cast(Fraction, picture.time_base)
            alpha = planes[3] if has_alpha(picture.format.name) else None
            yield Frame(pixels.reshape(-1, picture.width), *time, alpha=alpha, gray=len(planes) == 1)


def _plane(plane: Any) -> Any:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()
