"""Joins the segments of a job into its outputs, packet by packet, with the audio of its video.

Knows nothing about Redis or storage.
"""

from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Self

from stream.picture.frames import Sound, VideoInfo
from stream.pump import Warnings
from stream.records.jobs import Output
from stream.sinks.parts import segment
from stream.sinks.parts.joined import Part
from stream.sinks.parts.sequential import FirstPass
from stream.sources import container
from stream.sources.extras import Request, read_extras
from stream.sources.reader import Reader
from stream.sources.sound_changes import changing_sound
from workers.files.segments import encoding_of
from workers.files.work import Work
from workers.scene.composite import shape


class Whole:
    """The job's video, opened for joining: its properties, and its audio, which can be read only once.

    Each call of `join`, `first_pass` or `second_pass` therefore needs a new instance. Raises MatteboxError.
    """

    def __init__(self, work: Work) -> None:
        self._work, job, settings = work, work.job, work.settings
        self._container = container.open_container(work.path, settings)
        stream = container.video_stream(self._container, settings, job.stream)
        self._reader = Reader(self._container, stream, settings, job.start_s, job.end_s)
        request = Request(work.path, settings, job.start_s, job.end_s, job.metadata)
        extras, _ = read_extras(self._container, stream, request)  # the plan has reported the warnings
        self._info = VideoInfo(
            *work.plan.size,
            work.plan.time_base,
            self._reader.rate,
            sound=self._reader.sound,
            changing_sound=cache(partial(changing_sound, work.path, settings, work.watcher.beat)),
            extras=extras,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def join(self, output: Output, parts: Iterable[Part], final: Path) -> Warnings:
        """Write one output from its parts, in order. Raises MatteboxError; then nothing is left of `final`."""
        info, sounds = self._shape(output), self._sounds(output)
        return segment.join(parts, info, sounds, final, encoding_of(output), self._work.settings)

    def first_pass(self, output: Output, parts: Iterable[Part]) -> FirstPass:
        """Mux without storing the output, to find out what `second_pass` needs. Not for GIF. Raises MatteboxError."""
        return segment.first_pass(parts, self._shape(output), self._sounds(output), encoding_of(output))

    def second_pass(self, first: FirstPass, output: Output, parts: Iterable[Part]) -> Iterator[bytes]:
        """Mux again: the bytes of one output, in order. Raises MatteboxError."""
        return segment.second_pass(first, parts, self._shape(output), self._sounds(output), encoding_of(output))

    def _shape(self, output: Output) -> VideoInfo:
        return shape(self._info, self._work.options(output))

    def _sounds(self, output: Output) -> Iterator[Sound]:
        for packet in self._reader.sounds() if self._info.sound and encoding_of(output).sound_codec else ():
            self._work.watcher.beat()
            yield packet
