"""Encodes an output in separate parts, one per segment, and joins the parts without encoding again.

The container of a part has the output's timestamp precision and less overhead per frame, so that all parts together are
no larger than the output. It is NUT, which is exact to the tick. FFV1 and VP9 with alpha, which NUT does not support,
are stored in Matroska without an index, which is exact to the millisecond, as Matroska outputs are. ProRes is stored in
MOV. Parts of a GIF are lossless, and the join encodes them again, because each frame of a GIF depends on earlier
frames. Numbered images are stored in zip files.
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
from stream.sinks.encodings import ENCODINGS, Encoding
from stream.sinks.file import FileSink, named_errors
from stream.sinks.images import NO_SOUND, ImagesSink
from stream.sinks.parts.joined import JoinedOutput, Part, part_container
from stream.sinks.parts.left_out import left_out
from stream.sinks.parts.partial import Partial
from stream.sinks.parts.sequential import EditRecorder, FirstPass, OutputBuffer, PatchingBuffer

_PART_OPTIONS = {
    "nut": {"write_index": "0"},
    "matroska": {"live": "1", "write_crc32": "0", "fflags": "+bitexact"},  # no index, checksums or application names
    "mov": {},
}


def open_segment(path: Path, chosen: Encoding, transparent: bool, settings: Settings) -> Sink:
    """The sink for a part of an output in the format `chosen`. The join does not encode again, except for GIF."""
    if not chosen.container:
        return ZipSink(path, chosen, settings)
    codec, container = ENCODINGS[".mkv"] if chosen.container == "gif" else chosen, part_container(chosen, transparent)
    return FileSink(path, replace(codec, container=container, muxer_options=_PART_OPTIONS[container]), settings)


class ZipSink:
    """A zip file of numbered PNGs and their times, as `ImagesSink` writes them."""

    def __init__(self, path: Path, chosen: Encoding, settings: Settings) -> None:
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
            with zipfile.ZipFile(self._partial.path, "w") as packed:  # PNGs are compressed already
                for file in sorted(self._folder.iterdir()):
                    compression = zipfile.ZIP_DEFLATED if file.name == TIMES else zipfile.ZIP_STORED
                    packed.write(file, file.name, compression)
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
    parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], final: Path, chosen: Encoding, settings: Settings
) -> Warnings:
    """Join parts, in order, and audio packets into the output `final`; returns the output's warnings.

    info: of the output, as its sink would get it. The next part is taken only when the previous one is no longer read,
    so the caller can fetch them one by one. Raises DiskError, EncodeError; then the output is removed.
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
                    warnings = deque(_zipped(parts, info, chosen, file), maxlen=1).pop()
    except BaseException:
        partial.discard()
        raise
    partial.publish()
    return warnings


def _join_packets(
    parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], path: Path, chosen: Encoding
) -> Warnings:
    joined = JoinedOutput(f"file:{path}", chosen, info, chosen.muxer_options)
    try:
        for _ in joined.steps(parts, sound):
            pass
        joined.close()
    except BaseException:
        joined.abort()
        raise
    return joined.warnings


def first_pass(parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Encoding) -> FirstPass:
    """Mux the output without storing it, to find out what `second_pass` needs. Not for GIF. Raises EncodeError."""
    if not chosen.container:
        return FirstPass(_lost(info, chosen))
    with named_errors(Path(chosen.name)):
        recorder = EditRecorder()
        joined = _sequential(chosen, info, recorder)
        try:
            for _ in joined.steps(parts, sound):
                pass
            recorder.keep_rest()
            joined.close()
        except BaseException:
            joined.abort()
            raise
        return recorder.result(joined.warnings, faststart="faststart" in chosen.muxer_options.get("movflags", ""))


def second_pass(
    first: FirstPass, parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Encoding
) -> Iterator[bytes]:
    """The output's bytes in order, in pieces of about 1 MiB. Needs the same parts and audio as `first_pass`. Raises
    EncodeError."""
    with named_errors(Path(chosen.name)):
        yield from (
            _second_pass(first, parts, info, sound, chosen) if chosen.container else _zip_pieces(parts, info, chosen)
        )


def _second_pass(
    first: FirstPass, parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], chosen: Encoding
) -> Iterator[bytes]:
    buffer = PatchingBuffer(first)
    joined = _sequential(chosen, info, buffer)
    try:
        for _ in joined.steps(parts, sound):
            yield from buffer.full()
        joined.close()
    except BaseException:
        joined.abort()
        raise
    buffer.check()
    yield from buffer.rest()


def _zip_pieces(parts: Iterable[Part], info: VideoInfo, chosen: Encoding) -> Iterator[bytes]:
    buffer = OutputBuffer()
    for _ in _zipped(parts, info, chosen, buffer):
        yield from buffer.full()
    yield from buffer.rest()


def _sequential(chosen: Encoding, info: VideoInfo, out: EditRecorder | PatchingBuffer) -> JoinedOutput:
    """A muxer whose output is the same in every run, and that never reads its output."""
    return JoinedOutput(out, chosen, info, {"fflags": "+bitexact"})


def _zipped(parts: Iterable[Part], info: VideoInfo, chosen: Encoding, out: Any) -> Iterator[Warnings]:
    """Write the output's zip file to `out`, yielding after each image; the last value is the warnings."""
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
    yield _lost(info, chosen)


def _lost(info: VideoInfo, chosen: Encoding) -> Warnings:
    """The warnings of a sequence of pictures, as `ImagesSink` reports them."""
    return [*([NO_SOUND] if info.sound else []), *left_out(chosen, info.extras)]


def _encode_again(
    parts: Iterable[Part], info: VideoInfo, final: Path, chosen: Encoding, settings: Settings
) -> Warnings:
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
    """The frames of a lossless part, as they were written to its sink."""
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
