"""Converts a connection's sound to the format of its source: decodes, resamples, encodes."""

from collections.abc import Iterator
from typing import Any, cast

import av

from stream.picture.frames import Sound
from stream.sources.live.format import LiveFormat

_JUMP_S = 0.03  # a larger difference between a packet's time and the end of the one before is a hole or an overlap


class SoundConverter:
    """Packets of one connection in, packets in the format `chosen` out. Damaged packets are skipped."""

    def __init__(self, chosen: LiveFormat) -> None:
        self._format = chosen
        self._restart()

    def __call__(self, packet: Sound, time_s: float) -> Iterator[tuple[bytes, float]]:
        """(bytes, time in seconds) of the packets that are complete. time_s: when this one begins."""
        try:
            frames: list[Any] = packet.stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            yield from self._encoded(frame, time_s)
            time_s += frame.samples / frame.sample_rate

    def _restart(self) -> None:
        self._encoder, self._resampler = self._format.encoder(), self._format.resampler()
        self._input: object = None
        self._expected_s = self._begun_s = 0.0
        self._count = 0

    def _encoded(self, frame: Any, time_s: float) -> Iterator[tuple[bytes, float]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._input or abs(time_s - self._expected_s) > _JUMP_S:
            self._restart()
            self._input, self._begun_s = kind, time_s
        self._expected_s = (self._expected_s if self._count else time_s) + frame.samples / frame.sample_rate
        frame.pts = None
        for converted in self._resampler.resample(frame):
            converted.pts, converted.time_base = self._count, self._format.time_base
            self._count += converted.samples
            for packet in cast(Any, self._encoder).encode(converted):
                yield bytes(packet), self._begun_s + float((packet.pts or 0) * self._format.time_base)
