"""Writes one video to several outputs: each gets its own rendition of every frame, and all audio."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import av

from stream.picture.frames import Frame, Sound, VideoInfo
from stream.pump import Sink, Warnings


class SeveralSink:
    """Writes a frame to the first of `sinks`, and each of `Frame.others` to one of the other sinks.

    sounds: for each of the other sinks, the input's audio streams, opened again. A sink that re-encodes audio uses the
    stream's decoder, which sinks must not share.
    """

    def __init__(self, sinks: Sequence[Sink], sounds: Sequence[tuple[av.AudioStream, ...]]) -> None:
        self.warnings: Warnings = []
        self._sinks, self._sounds = sinks, sounds

    def open(self, info: VideoInfo) -> None:
        others = (replace(other, sound=sound) for other, sound in zip(info.others, self._sounds, strict=True))
        for sink, output in zip(self._sinks, (info, *others), strict=True):
            sink.open(output)

    def write(self, item: Frame | Sound) -> None:
        if isinstance(item, Frame):
            for sink, frame in zip(self._sinks, (item, *item.others), strict=True):
                sink.write(frame)
            return
        for sink, packet in zip(self._sinks, [item, *(_copy(item) for _ in self._sinks[1:])], strict=True):
            sink.write(packet)  # each needs its own packet, because writing modifies it

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
        self.warnings = list(dict.fromkeys(warning for sink in self._sinks for warning in sink.warnings))

    def abort(self) -> None:
        for sink in self._sinks:
            sink.abort()


def _copy(packet: Sound) -> Sound:
    copy = cast(Sound, av.Packet(bytes(packet)))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe, copy.stream = packet.is_keyframe, packet.stream
    for data in packet.iter_sidedata():
        copy.set_sidedata(data)
    return copy
