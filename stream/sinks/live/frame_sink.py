"""Outputs that get frames, by the sinks for addresses: virtual cameras, and files in formats with a codec of their own
(.mkv, .webm, .mov, pictures)."""

from dataclasses import replace
from typing import Self, cast

import av
from av.container import InputContainer

from stream.picture.frames import Frame, Sound, VideoInfo
from stream.pump import Item, Sink, Warnings
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sinks.live.header import templates
from stream.sinks.live.sound import sound_header
from stream.sinks.live.spec import OutputSpec


class FrameSink:
    """A `FrameWriter` for everything in `SINKS`. Its sound is a copy, because other outputs use the packets too.

    `abort` completes a file if it has a frame: a live recording is never discarded.
    """

    @classmethod
    def check(cls, spec: OutputSpec, options: Options, settings: Settings) -> None:
        open_sink(spec.address, options, settings)

    @classmethod
    def from_spec(cls, spec: OutputSpec, options: Options, settings: Settings) -> Self:
        return cls(open_sink(spec.address, options, settings), spec.audio == "copy")

    def __init__(self, sink: Sink, with_sound: bool) -> None:
        self._sink, self._with_sound = sink, with_sound
        self._source: InputContainer | None = None
        self._frames = 0

    @property
    def warnings(self) -> Warnings:
        return self._sink.warnings

    def open(self, info: VideoInfo) -> None:
        sound: tuple[av.AudioStream, ...] = ()
        if info.sound and self._with_sound:
            self._source = templates(sound_header(info.sound[0]))
            sound = (self._source.streams.audio[0],)
        self._sink.open(replace(info, sound=sound))

    def write(self, item: Item) -> None:
        if isinstance(item, Frame):
            self._sink.write(item)
            self._frames += 1
        elif self._source is not None:
            self._sink.write(self._copy(item))

    def _copy(self, packet: Sound) -> Sound:
        """The packet as one of this sink's own stream: sinks change the packets and streams that they get."""
        assert self._source is not None
        copy = cast(Sound, av.Packet(bytes(packet)))
        copy.stream, copy.time_base = self._source.streams.audio[0], packet.time_base
        copy.pts, copy.dts, copy.duration, copy.is_keyframe = packet.pts, packet.dts, packet.duration, True
        return copy

    def close(self) -> None:
        self._sink.close()

    def abort(self) -> None:
        if self._frames:
            self._frames = 0
            self._sink.close()
        else:
            self._sink.abort()
