"""Joins the encoded parts of one output by remuxing their packets, without encoding again."""

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
from stream.sinks.encodings import Encoding
from stream.sinks.parts.extras import ExtrasWriter
from stream.sinks.parts.sound import SoundTracks

_B_PYRAMID = 2  # x264's largest reorder delay in frames, which it signals for every stream


def part_container(chosen: Encoding, transparent: bool) -> str:
    """The container format for the parts of an output. transparent: whether its frames have alpha."""
    if chosen.container == "mov":  # NUT does not support ProRes
        return "mov"
    return "matroska" if chosen.container == "matroska" or (chosen.container == "webm" and transparent) else "nut"


@dataclass(frozen=True)
class Part:
    """An encoded part of an output: what one segment wrote. first: time of its first frame, in ticks of the output's
    clock."""

    path: Path
    first: int


class JoinedOutput:
    """An output file made from parts and audio packets.

    out: "file:PATH", or a file object to which PyAV can write. Raises FFmpeg's errors.
    """

    def __init__(self, out: Any, chosen: Encoding, info: VideoInfo, options: dict[str, str]) -> None:
        self.warnings: Warnings = []
        self._format, self._info = chosen, info
        self._container = av.open(out, "w", format=chosen.container, options=options)
        self._extras: ExtrasWriter | None = None

    def steps(self, parts: Iterable[Part], sound: Iterable[Sound]) -> Iterator[None]:
        """Mux everything except the trailer; yields after each packet."""
        packets = self._packets(iter(parts))
        first = next(packets)  # the first part defines the stream's parameters
        tracks = SoundTracks(self._container, self._format, self._info)
        self._extras = extras = ExtrasWriter(self._container, self._format, self._info, tracks)
        self.warnings += extras.warnings
        self._container.start_encoding()
        merged = heapq.merge(
            ((_time_s(p), 0, p) for p in chain([first], packets)),
            ((_time_s(p), 1, p) for p in sound),
            key=lambda entry: entry[:2],
        )
        for time_s, is_sound, packet in merged:
            extras.write_until(time_s)
            if not is_sound:
                packet.stream = self._video
                self._container.mux(packet)
            else:
                tracks.write(packet)
            yield
        tracks.close()
        self.warnings += tracks.warnings
        extras.close()

    def close(self) -> None:
        self._container.close()

    def abort(self) -> None:
        if self._extras is not None:
            self._extras.abort()
        with suppress(av.error.FFmpegError, ValueError):  # the file is discarded anyway
            self._container.close()

    def _packets(self, parts: Iterator[Part]) -> Iterator[Any]:
        """All video packets, part by part, with increasing decoding times.

        If the codec reorders frames, the first packets of a part must be decoded before the part's first presentation
        time. As decoding times they get the presentation times of the previous part's last frames.
        """
        previous: list[int] = []
        for number, part in enumerate(parts):
            pts = [packet.pts for packet in _read(part.path)]  # the first packet's dts depends on all of them
            with closing(av.open(f"file:{part.path}")) as container:
                stream = container.streams.video[0]
                if number == 0:
                    self._video = self._container.add_stream_from_template(stream)
                    self._video.time_base = self._info.time_base
                    if "alpha_mode" in stream.metadata:
                        self._video.codec_context.pix_fmt = "yuva420p"
                    if stream.container.format.name == "nut":  # NUT stores no colour tags, and VP9 only some
                        tag_bt709(self._video.codec_context)
                shift = self._shift(part, min(pts), stream.time_base or self._info.time_base)
                min_delay = _B_PYRAMID if stream.codec_context.has_b_frames else 0
                decoding, previous = _decoding_times(pts, previous, shift, min_delay)
                for packet, dts in zip(_packets_of(container), decoding, strict=True):
                    packet.pts, packet.dts = packet.pts + shift, dts
                    yield packet

    def _shift(self, part: Part, first: int, clock: Fraction) -> int:
        """Ticks to add to a part's times, so that its first frame is at `part.first`.

        Needed for MOV, which rounds the start time to milliseconds, and for NUT, which shifts packets with negative
        decoding times. Matroska keeps the times (rounded), so the shift is 0.
        """
        exact = part_container(self._format, self._info.has_alpha) != "matroska"
        return round(part.first * self._info.time_base / clock) - first if exact else 0


def _read(path: Path) -> Iterator[Any]:
    with closing(av.open(f"file:{path}")) as container:
        yield from _packets_of(container)


def _packets_of(container: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _decoding_times(
    pts: Sequence[int], previous: Sequence[int], shift: int, min_delay: int
) -> tuple[list[int], list[int]]:
    """The decoding times of a part's packets in the output, and the part's sorted presentation times, to be passed as
    `previous` for the next part.

    pts: presentation times in stored order. min_delay: least reorder delay to use, in frames, even if this part needs
    less: if a later part needed more, the decoding times would decrease there.
    """
    times = sorted(time + shift for time in pts)
    delay = max(min_delay, _reorder_delay(pts))
    earlier = [*previous[len(previous) - delay :]] if previous else _extrapolated(times, delay)
    return [*earlier, *times][: len(times)], times


def _reorder_delay(pts: Sequence[int]) -> int:
    """Number of frames by which decoding must run ahead, so that each frame is decoded before its presentation time."""
    position = {time: n for n, time in enumerate(sorted(pts))}
    return max(n - position[time] for n, time in enumerate(pts))


def _extrapolated(times: Sequence[int], delay: int) -> list[int]:
    step = times[1] - times[0] if len(times) > 1 else 1
    return [times[0] - step * n for n in range(delay, 0, -1)]


def _time_s(packet: Any) -> float:
    time = packet.pts if packet.dts is None else packet.dts
    return float(time * packet.time_base)
