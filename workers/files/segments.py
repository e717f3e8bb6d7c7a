"""A file cut into segments that any worker may matte by itself, in any order, and their joining.

The result is the same as from one pass: an engine's memory and the steadying's are warmed up over frames that are
thrown away, frames to come are looked at beyond a segment's end, and what is measured on a video's first frame is
measured once and carried in the plan. Nothing else passes from one segment to another, so it does not matter who does
which, or how often. Knows nothing about Redis or storage.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import av

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.pump import Item, Sink, Warnings, pump
from stream.records.jobs import Job, Output
from stream.settings import Settings
from stream.sinks import segment
from stream.sinks.file import FileSink
from stream.sinks.formats import FORMATS, Format, check_alpha
from stream.sinks.joined import Part
from stream.sinks.sequential import FirstPass
from stream.sinks.several import SeveralSink
from stream.sources import container as media
from stream.sources.file import FileSource
from stream.sources.reader import TIME_TOLERANCE_S, DecodeHealth, Reader
from workers.edges.shape import EdgeState
from workers.engines.base import Engine, Measuring
from workers.engines.estimated import Estimated
from workers.files.plan import Plan, Span
from workers.matte import Matte, Past, Rendition
from workers.scene.backgrounds import open_background
from workers.scene.composite import shape

Beat = Callable[[], None]
"""Told that the work goes on."""


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Somebody asked for the end while a segment ran."""


@dataclass(frozen=True)
class Note:
    """What a segment's worker says to whoever joins."""

    first: int
    bad: int
    total: int
    warnings: Warnings


def suffix(output: Output) -> str:
    return ".zip" if output.format == "png" else f".{output.format}"


def format_of(output: Output) -> Format:
    return FORMATS[f".{output.format}"]


def check(job: Job) -> None:
    """Raises UnsupportedOutput for an output that cannot hold what is asked of it."""
    for output in job.outputs:
        if output.options(job.options).wants_alpha:
            check_alpha(format_of(output))


class _Section:
    """A source: the frames between two times of a job's video, on the job's clock. No sound."""

    def __init__(self, job: Job, plan: Plan, number: int, path: Path, settings: Settings) -> None:
        begin, end = plan.reads[number]
        half, clock = Fraction(1, 2), plan.time_base
        start_s = job.start_s if begin is None else float(Fraction(job.start_s) + (begin - half) * clock)
        end_s = float(Fraction(job.start_s) + (end - half) * clock) if end is not None else job.end_s
        if end is None and end_s is not None:
            end_s += float(clock)  # the reader's clock is up to a tick off the job's: see `__iter__`
        settings = settings.model_copy(update={"max_decode_errors": 1.0})  # judged for the whole, when it is joined
        size = (job.width, job.height)
        self._source = FileSource(path, settings, start_s, end_s, size)
        if (self._source.info.width, self._source.info.height) != plan.size:  # the video changes size on its way
            self._source.close()
            self._source = FileSource(path, settings, start_s, end_s, plan.size)
        self._shift_s = (plan.offset - self._source.offset) * clock
        self._window_s = None if job.end_s is None else job.end_s - job.start_s
        self.info = replace(self._source.info, sound=(), frames=plan.frames[number])
        self.warnings: Warnings = [*self._source.warnings]  # those of its end are the whole's: see `judge`

    @property
    def health(self) -> DecodeHealth:
        return self._source.health

    def __iter__(self) -> Iterator[Item]:
        for item in self._source:
            if isinstance(item, Frame):
                frame = replace(item, pts=item.pts + round(self._shift_s / item.time_base))
                if self._window_s is None or frame.time_s < self._window_s - TIME_TOLERANCE_S:
                    yield frame

    def close(self) -> None:
        self._source.close()


class _Within:
    """A transform around the core that lets through what belongs to a segment, and ends when it is told to."""

    def __init__(self, matte: Matte, plan: Plan, span: Span, stop: threading.Event) -> None:
        begin, end = (None if ticks is None else ticks * plan.time_base for ticks in span)
        self._begin_s, self._end_s = begin, end
        self._matte, self._stop = matte, stop
        self.first: Frame | None = None

    def open(self, info: VideoInfo) -> VideoInfo:
        return self._matte.open(info)

    def __call__(self, frame: Frame) -> list[Frame]:
        if self._stop.is_set():
            raise Stopped
        return self._inside(self._matte(frame))

    def flush(self) -> list[Frame]:
        return self._inside(self._matte.flush())

    def close(self) -> None:
        self._matte.close()

    def _inside(self, frames: Iterable[Frame]) -> list[Frame]:
        kept = [frame for frame in frames if self._holds(frame.pts * frame.time_base)]
        if kept and self.first is None:
            self.first = kept[0]
        return kept

    def _holds(self, time_s: Fraction) -> bool:
        return (self._begin_s is None or time_s >= self._begin_s) and (self._end_s is None or time_s < self._end_s)


@dataclass(frozen=True)
class Segment:
    """One segment to be matted: what `run_segment` needs. path: the job's video."""

    job: Job
    plan: Plan
    number: int
    path: Path

    def files(self, folder: Path) -> list[Path]:
        """Where each output's part is written. Of a video in one segment it has the name of the result."""
        return [folder / f"{self.number:04d}-{output.name}{suffix(output)}" for output in self.job.outputs]


class Watcher:
    """Hears of each frame that was written, and by `beat` of whatever else shows that the work goes on; `stop`, set by
    anybody, ends the segment with `Stopped`."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.frames = 0
        self.newest: Frame | None = None

    def tick(self, frame: Frame) -> None:
        self.frames += 1
        self.newest = frame
        self.beat()

    def beat(self) -> None:
        """For who watches over the work."""


def run_segment(what: Segment, folder: Path, engine: Engine, settings: Settings, watcher: Watcher) -> Note:
    """Matte one segment into `what.files(folder)`. Raises MatteboxError, Stopped; nothing is left of the files then."""
    job, plan, span = what.job, what.plan, what.plan.spans[what.number]
    pinned = settings.model_copy(update={"threads": plan.threads, "hw_encode": False})
    with ExitStack() as opened:
        source = _open(what, settings)
        opened.callback(source.close)
        looks: list[Rendition] = []
        for output in job.outputs:
            options = output.options(job.options)
            backdrop = open_background(options.background, source.info.width, source.info.height, settings)
            opened.callback(backdrop.close)
            looks.append((options, backdrop))
        sinks = _sinks(what, folder, pinned)
        sink = SeveralSink(sinks, [_opened_anew(source.info.sound, what.path, settings, opened) for _ in sinks[1:]])
        (options, backdrop), *others = looks
        matte = Matte(options, engine, backdrop, others=others, past=_past(plan, what.number, engine))
        within = _Within(matte, plan, span, watcher.stop)
        pump(source, within, sink, watcher.tick)
    first = 0 if within.first is None else round(within.first.pts * within.first.time_base / plan.time_base)
    warnings = list(dict.fromkeys([*source.warnings, *sink.warnings]))
    health = DecodeHealth() if plan.whole else source.health  # a whole file has been judged
    return Note(first, health.bad, health.total, warnings)


def _open(what: Segment, settings: Settings) -> FileSource | _Section:
    job, plan = what.job, what.plan
    if plan.whole:
        return FileSource(what.path, settings, job.start_s, job.end_s, (job.width, job.height))
    return _Section(job, plan, what.number, what.path, settings)


def _sinks(what: Segment, folder: Path, settings: Settings) -> list[Sink]:
    pairs = zip(what.files(folder), what.job.outputs, strict=True)
    return [_sink(what, path, output, settings) for path, output in pairs]


def _sink(what: Segment, path: Path, output: Output, settings: Settings) -> Sink:
    chosen = format_of(output)
    if not what.plan.whole:
        return segment.open_segment(path, chosen, output.options(what.job.options).wants_alpha, settings)
    return FileSink(path, chosen, settings) if chosen.container else segment.ZipSink(path, chosen, settings)


def _opened_anew(
    sound: Sequence[av.AudioStream], path: Path, settings: Settings, closing: ExitStack
) -> tuple[av.AudioStream, ...]:
    """The same tracks, with decoders of their own."""
    if not sound:
        return ()
    container = media.open_container(path, settings)
    closing.callback(container.close)
    return tuple(cast(av.AudioStream, container.streams[track.index]) for track in sound)


def _past(plan: Plan, number: int, engine: Engine) -> Past:
    """The first segment learns by itself what the others are told."""
    if number == 0:
        return Past()
    inner = engine.engine if isinstance(engine, Estimated) else engine
    state = inner.recall(plan.measured) if isinstance(inner, Measuring) else None
    return Past(state, EdgeState(screen=plan.tint))


def _nothing() -> None: ...


class Whole:
    """What is known of a job's video as a whole when its segments are joined: its shape, and its sound, read once."""

    def __init__(self, job: Job, plan: Plan, path: Path, settings: Settings) -> None:
        self._job, self._plan, self._settings = job, plan, settings
        self._container = media.open_container(path, settings)
        stream = media.video_stream(self._container, settings)
        self._reader = Reader(self._container, stream, settings, job.start_s, job.end_s)
        self._info = VideoInfo(*plan.size, plan.time_base, self._reader.rate, sound=self._reader.sound)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def join(self, output: Output, parts: Iterable[Part], final: Path, beat: Beat = _nothing) -> Warnings:
        """One output of its parts, in order. Raises MatteboxError; nothing is left of `final` then."""
        what = parts, self._shape(output), self._sounds(output, beat)
        return segment.join(*what, final, format_of(output), self._settings)

    def rehearse(self, output: Output, parts: Iterable[Part], beat: Beat = _nothing) -> FirstPass:
        """What `perform` must know, by another `Whole` of the same video. Not for GIF. Raises MatteboxError."""
        return segment.first_pass(parts, self._shape(output), self._sounds(output, beat), format_of(output))

    def perform(
        self, known: FirstPass, output: Output, parts: Iterable[Part], beat: Beat = _nothing
    ) -> Iterator[bytes]:
        """One output from its first byte to its last. Raises MatteboxError."""
        return segment.second_pass(known, parts, self._shape(output), self._sounds(output, beat), format_of(output))

    def _shape(self, output: Output) -> VideoInfo:
        return shape(self._info, output.options(self._job.options))

    def _sounds(self, output: Output, beat: Beat) -> Iterator[Sound]:
        for packet in self._reader.sounds() if self._info.sound and format_of(output).sound_codec else ():
            beat()
            yield packet


def judge(notes: Sequence[Note], settings: Settings) -> Warnings:
    """What is to be told of the whole. Raises UnreadableMedia when too much of it was damaged."""
    bad, total = sum(note.bad for note in notes), sum(note.total for note in notes)
    if bad > settings.max_decode_errors * total:
        raise UnreadableMedia(f"the video is damaged: {bad} of {total} frames could not be decoded")
    warnings = list(dict.fromkeys(warning for note in notes for warning in note.warnings))
    if bad:
        warnings.append(("damaged", f"{bad} of {total} frames were damaged: the last good one stayed instead"))
    return warnings
