"""Parts of one output that were encoded apart, and the whole that is made of them without encoding anew.

A part waits in a container that keeps its times as the whole will have them and that spends less on each picture, so
that all parts together are smaller than the whole: NUT, to the tick, or Matroska without an index, to the millisecond
that a Matroska file has anyway, where NUT cannot hold the colours of FFV1 or what makes VP9 transparent. GIF is encoded
once more from parts without loss, for its pictures lean on those before them; numbered pictures wait in a zip and end
in one.
"""

import heapq
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from stream.encode import FORMATS, Format
from stream.errors import disk_error
from stream.frames import Frame, Sound, VideoInfo, has_alpha, tag_bt709
from stream.pump import Sink, Warnings
from stream.settings import Settings
from stream.sinks.file import FileSink, named_errors
from stream.sinks.images import NO_SOUND, TIMES, ImagesSink
from stream.sinks.partial import Partial
from stream.sinks.sound import CopiedTrack, EncodedTrack, add_sound

_LEAN = {
    "nut": {"write_index": "0"},
    "matroska": {"live": "1", "write_crc32": "0", "fflags": "+bitexact"},  # no room for an index, no sums, no names
    "mov": {},
}


def waits_in(chosen: Format, transparent: bool) -> str:
    """The container for the parts of an output. transparent: do its pictures carry alpha?"""
    if chosen.container == "mov":  # NUT holds no ProRes
        return "mov"
    return "matroska" if chosen.container == "matroska" or (chosen.container == "webm" and transparent) else "nut"


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


@dataclass(frozen=True)
class Part:
    """A finished part. first: ticks of its first picture, on the whole's clock."""

    path: Path
    first: int


def join(
    parts: Iterable[Part], info: VideoInfo, sound: Iterable[Sound], final: Path, chosen: Format, settings: Settings
) -> Warnings:
    """Make one output of its parts, in order, and of the packets of `sound`; gives what is to be told of it.

    info: of the whole, as its sink would have got it. A part is not read before the one before it is done with, so that
    the caller may fetch them one by one. Raises DiskError, EncodeError; nothing is left of the output then.
    """
    if not chosen.container:
        return _join_zips(parts, info, final)
    if chosen.container == "gif":
        return _encode_again(parts, info, final, chosen, settings)
    joined = _Joined(final, chosen, info)
    try:
        joined.take(parts, sound)
    except BaseException:
        joined.abort()
        raise
    return joined.warnings


class _Joined:
    def __init__(self, final: Path, chosen: Format, info: VideoInfo) -> None:
        self.warnings: Warnings = []
        self._format, self._info, self._partial = chosen, info, Partial(final)
        with named_errors(final):
            self._container = av.open(
                f"file:{self._partial.path}", "w", format=chosen.container, options=chosen.muxer_options
            )

    def take(self, parts: Iterable[Part], sound: Iterable[Sound]) -> None:
        packets = self._packets(iter(parts))
        with named_errors(self._partial.final):
            first = next(packets)  # the stream is described by the first part
            tracks = self._tracks()
            self._container.start_encoding()
            merged = heapq.merge(
                ((_time_s(p), 0, p) for p in chain([first], packets)),
                ((_time_s(p), 1, p) for p in sound),
                key=lambda one: one[:2],
            )
            for _, is_sound, packet in merged:
                if not is_sound:
                    packet.stream = self._video
                    self._container.mux(packet)
                elif track := tracks.get(packet.stream.index):
                    track.write(packet)
            for track in tracks.values():
                track.close()
            self._container.close()
        self._partial.publish()

    def _tracks(self) -> dict[int, CopiedTrack | EncodedTrack]:
        found = {s.index: add_sound(self._container, self._format, s) for s in self._info.sound}
        tracks = {index: track for index, track in found.items() if track is not None}
        if len(tracks) < len(found):
            self.warnings.append(("no_sound", f"{self._format.name} holds no sound; the video's own was left out"))
        return tracks

    def _packets(self, parts: Iterator[Part]) -> Iterator[Any]:
        """All packets of the picture, one part after the other, decoding times without a step back.

        An encoder that puts pictures out of order decodes the first of them ahead of time. In the whole, the times for
        that are those of the last pictures of the part before.
        """
        before: list[int] = []
        for number, part in enumerate(parts):
            shown = [packet.pts for packet in _read(part.path)]  # all times are needed for the first packet's
            with closing(av.open(f"file:{part.path}")) as container:
                stream = container.streams.video[0]
                if number == 0:
                    self._video = self._container.add_stream_from_template(stream)
                    self._video.time_base = self._info.time_base
                    if "alpha_mode" in stream.metadata:
                        self._video.codec_context.pix_fmt = "yuva420p"
                    if stream.container.format.name == "nut":  # it holds no colours, and VP9 but half of them
                        tag_bt709(self._video.codec_context)
                shift = self._shift(part, min(shown), stream.time_base or self._info.time_base)
                decoded, before = _decoding_times(shown, before, shift)
                for packet, dts in zip(_packets_of(container), decoded, strict=True):
                    packet.pts, packet.dts = packet.pts + shift, dts
                    yield packet

    def _shift(self, part: Part, first: int, clock: Fraction) -> int:
        """MOV keeps the time before a first picture in milliseconds only, and NUT moves what would be decoded before
        time 0; Matroska does neither, and has rounded each time."""
        exact = waits_in(self._format, self._info.has_alpha) != "matroska"
        return round(part.first * self._info.time_base / clock) - first if exact else 0

    def abort(self) -> None:
        self._container.close()
        self._partial.discard()


def _read(path: Path) -> Iterator[Any]:
    with closing(av.open(f"file:{path}")) as container:
        yield from _packets_of(container)


def _packets_of(container: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _decoding_times(shown: Sequence[int], before: Sequence[int], shift: int) -> tuple[list[int], list[int]]:
    """When each packet of a part is decoded in the whole, and the part's times of presentation in order, to be `before`
    for the next. shown: the packets' times of presentation, as they are stored."""
    times = sorted(pts + shift for pts in shown)
    delay = _delay(shown)
    ahead = [*before[len(before) - delay :]] if before else _extrapolated(times, delay)
    return [*ahead, *times][: len(times)], times


def _delay(shown: Sequence[int]) -> int:
    """By how many pictures decoding runs ahead, so that none is shown before it is decoded."""
    place = {pts: n for n, pts in enumerate(sorted(shown))}
    return max(n - place[pts] for n, pts in enumerate(shown))


def _extrapolated(times: Sequence[int], delay: int) -> list[int]:
    step = times[1] - times[0] if len(times) > 1 else 1
    return [times[0] - step * n for n in range(delay, 0, -1)]


def _time_s(packet: Any) -> float:
    at = packet.pts if packet.dts is None else packet.dts
    return float(at * packet.time_base)


def _join_zips(parts: Iterable[Part], info: VideoInfo, final: Path) -> Warnings:
    partial, times, count = Partial(final), ["# timestamp format v2"], 0
    try:
        with zipfile.ZipFile(partial.path, "w") as whole:
            for part in parts:
                with zipfile.ZipFile(part.path) as packed:
                    for name in sorted(n for n in packed.namelist() if n != TIMES):
                        count += 1
                        whole.writestr(f"{count:05d}.png", packed.read(name))
                    times += packed.read(TIMES).decode().split("\n")[1:-1]
            whole.writestr(TIMES, "\n".join([*times, ""]))
    except OSError as exc:
        partial.discard()
        raise disk_error(exc, final) from exc
    except BaseException:
        partial.discard()
        raise
    partial.publish()
    return [NO_SOUND] if info.sound else []


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
