"""Parts of one output put together packet by packet, without encoding anew: a muxer fed with all of them in turn."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from stream.picture.frames import Sound, VideoInfo, tag_bt709
from stream.pump import Warnings
from stream.sinks.formats import Format
from stream.sinks.sound import CopiedTrack, EncodedTrack, add_sound

_PYRAMID = 2  # pictures that x264 decodes ahead at most; it says so of every stream


def waits_in(chosen: Format, transparent: bool) -> str:
    """The container for the parts of an output. transparent: do its pictures carry alpha?"""
    if chosen.container == "mov":  # NUT holds no ProRes
        return "mov"
    return "matroska" if chosen.container == "matroska" or (chosen.container == "webm" and transparent) else "nut"


@dataclass(frozen=True)
class Part:
    """A finished part. first: ticks of its first picture, on the whole's clock."""

    path: Path
    first: int


class Joined:
    """A container that is made of parts, and of the packets of a sound.

    out: "file:PATH", or a file that PyAV can write to. Raises what FFmpeg raises.
    """

    def __init__(self, out: Any, chosen: Format, info: VideoInfo, options: dict[str, str]) -> None:
        self.warnings: Warnings = []
        self._format, self._info = chosen, info
        self._container = av.open(out, "w", format=chosen.container, options=options)

    def steps(self, parts: Iterable[Part], sound: Iterable[Sound]) -> Iterator[None]:
        """Do all but the end, packet by packet."""
        packets = self._packets(iter(parts))
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
            yield
        for track in tracks.values():
            track.close()

    def close(self) -> None:
        self._container.close()

    def abort(self) -> None:
        with suppress(av.error.FFmpegError, ValueError):  # it is thrown away anyway
            self._container.close()

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
                ahead = _PYRAMID if stream.codec_context.has_b_frames else 0
                decoded, before = _decoding_times(shown, before, shift, ahead)
                for packet, dts in zip(_packets_of(container), decoded, strict=True):
                    packet.pts, packet.dts = packet.pts + shift, dts
                    yield packet

    def _shift(self, part: Part, first: int, clock: Fraction) -> int:
        """MOV keeps the time before a first picture in milliseconds only, and NUT moves what would be decoded before
        time 0; Matroska does neither, and has rounded each time."""
        exact = waits_in(self._format, self._info.has_alpha) != "matroska"
        return round(part.first * self._info.time_base / clock) - first if exact else 0


def _read(path: Path) -> Iterator[Any]:
    with closing(av.open(f"file:{path}")) as container:
        yield from _packets_of(container)


def _packets_of(container: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _decoding_times(shown: Sequence[int], before: Sequence[int], shift: int, least: int) -> tuple[list[int], list[int]]:
    """When each packet of a part is decoded in the whole, and the part's times of presentation in order, to be `before`
    for the next. shown: the packets' times of presentation, as they are stored. least: pictures that decoding runs
    ahead, though this part may need fewer: where a later one needs more, times would step back."""
    times = sorted(pts + shift for pts in shown)
    delay = max(least, _delay(shown))
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
