"""Mattes one segment of a file independently of the others: on any worker, in any order, and repeatedly.

The joined result is the same as from one pass. The engine and the smoothing are warmed up on frames before the segment,
whose mattes are discarded. If the smoothing looks ahead, frames after the segment are decoded too. Measurements of the
video's first frame are made once and stored in the plan. Segments share nothing else. Knows nothing about Redis or
storage.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from stream.errors import UsageError
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Item, Sink, Source, Warnings, pump
from stream.records import selection
from stream.records.formats import check_alpha
from stream.records.jobs import Job, Output, segment_name
from stream.records.metadata import Metadata
from stream.sinks.encodings import ENCODINGS, Encoding
from stream.sinks.file import FileSink
from stream.sinks.parts import segment as parts
from stream.sinks.parts.several import SeveralSink
from stream.sinks.picture import PictureSink
from stream.sources import open_source
from stream.sources.base import SourceOptions
from stream.sources.container import reopened_sound
from stream.sources.decode_health import DecodeHealth
from stream.sources.file import FileSource
from stream.sources.reader import TIME_TOLERANCE_S
from workers.edges.shape import EdgeState
from workers.engines.base import Engine
from workers.engines.for_pictures import ForPictures, picture_options
from workers.files.note import Note
from workers.files.plan import Plan, Span
from workers.files.work import Work
from workers.matte import Matte, Past
from workers.rendition import Rendition
from workers.scene.backgrounds import open_background


def encoding_of(output: Output) -> Encoding:
    """The encoding of an output's format."""
    return ENCODINGS[output.kind.suffix]


def check(job: Job) -> None:
    """Raise UnsupportedOutput if an output's format does not support its options, UsageError if it shows a subject that
    the job does not have."""
    for output in job.outputs:
        options = output.options(job.options)
        if options.wants_alpha:
            check_alpha(output.kind)
        if fault := selection.fault(output.subject, options):
            raise UsageError(f"{output.name}: {fault}")


@dataclass(frozen=True)
class Segment:
    """One segment of a planned job. number: its index in the plan."""

    work: Work
    number: int

    @property
    def span(self) -> Span:
        return self.work.plan.spans[self.number]

    def files(self, folder: Path) -> list[Path]:
        """The files to which the segment is written, one per output."""
        return [
            folder / f"{segment_name(self.number)}-{output.name}{output.kind.result_suffix}"
            for output in self.work.job.outputs
        ]


def run_segment(segment: Segment, folder: Path, engine: Engine) -> Note:
    """Matte one segment into `segment.files(folder)`. Raises MatteboxError, Stopped; then none of the files is left."""
    work, plan = segment.work, segment.work.plan
    with ExitStack() as opened:
        source = _open_source(segment)
        opened.callback(source.close)
        first, *others = _open_renditions(work, source.info, opened)
        sinks = _sinks(segment, folder)
        sound = source.info.sound
        sink = SeveralSink(sinks, [reopened_sound(work.path, sound, work.settings, opened) for _ in sinks[1:]])
        past = _past(plan, segment.number, engine)
        options = first.options
        if source.info.still is not None:
            options, engine = picture_options(options, engine.name), ForPictures(engine)
        start_s, subject = work.job.start_s, first.subject
        matte = Matte(options, engine, first.backdrop, others=others, past=past, start_s=start_s, subject=subject)
        trimmed = _Trimmed(matte, segment)
        pump(source, trimmed, sink, work.watcher.tick)
    warnings = list(dict.fromkeys([*source.warnings, *sink.warnings]))
    # A source of a whole file judges the damage itself.
    health = source.health if isinstance(source, _SegmentSource) else DecodeHealth()
    return Note(trimmed.first_ticks(plan.time_base), health.bad, health.total, warnings, tuple(matte.unsure))


def _open_source(segment: Segment) -> "Source | _SegmentSource":
    work, job = segment.work, segment.work.job
    if not work.plan.whole:
        return _SegmentSource(segment)
    requested = SourceOptions(job.start_s, job.end_s, (job.width, job.height), stream=job.stream, metadata=job.metadata)
    return open_source(work.path, requested, work.settings)


def _open_renditions(work: Work, info: VideoInfo, opened: ExitStack) -> list[Rendition]:
    """One for each output."""
    renditions = []
    for output in work.job.outputs:
        options = work.options(output)
        backdrop = open_background(options.background, info.width, info.height, work.settings)
        opened.callback(backdrop.close)
        renditions.append(Rendition(options, backdrop, output.subject))
    return renditions


def _sinks(segment: Segment, folder: Path) -> list[Sink]:
    pairs = zip(segment.files(folder), segment.work.job.outputs, strict=True)
    return [_sink(segment.work, path, output) for path, output in pairs]


def _sink(work: Work, path: Path, output: Output) -> Sink:
    if output.kind.still:
        return PictureSink(path, output.kind)
    chosen, settings = encoding_of(output), work.encoder_settings
    if not work.plan.whole:
        return parts.open_segment(path, chosen, work.options(output).wants_alpha, settings)
    return FileSink(path, chosen, settings) if chosen.container else parts.ZipSink(path, chosen, settings)


class _SegmentSource:
    """The source of the frames that a segment decodes, with times on the job's clock, and without audio."""

    def __init__(self, segment: Segment) -> None:
        work, job, plan = segment.work, segment.work.job, segment.work.plan
        begin, end = plan.reads[segment.number]
        half, clock = Fraction(1, 2), plan.time_base
        start_s = job.start_s if begin is None else float(Fraction(job.start_s) + (begin - half) * clock)
        end_s = float(Fraction(job.start_s) + (end - half) * clock) if end is not None else job.end_s
        if end is None and end_s is not None:
            end_s += float(clock)  # the reader's clock differs from the job's by up to a tick; `__iter__` is exact
        # The join judges the damage of the whole video, so no number of damaged frames is too many here.
        settings = work.settings.model_copy(update={"max_decode_errors": 1.0})
        size = (job.width, job.height)
        requested = (job.stream, Metadata.DROP)
        self._source = FileSource(work.path, settings, start_s, end_s, size, *requested)
        if (self._source.info.width, self._source.info.height) != plan.size:  # the video changes size
            self._source.close()
            self._source = FileSource(work.path, settings, start_s, end_s, plan.size, *requested)
        self._shift_s = (plan.offset - self._source.offset) * clock
        self._window_s = None if job.end_s is None else job.end_s - job.start_s
        self.info = replace(self._source.info, sound=(), extras=None, frames=plan.frames[segment.number])
        # A copy, because the source adds warnings at its end: `judge` adds those for the whole video.
        self.warnings: Warnings = list(self._source.warnings)

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


class _Trimmed:
    """A transform around `Matte` that outputs only the frames of a segment. Raises Stopped if the task is stopped."""

    def __init__(self, matte: Matte, segment: Segment) -> None:
        clock = segment.work.plan.time_base
        self._begin_s, self._end_s = (None if ticks is None else ticks * clock for ticks in segment.span)
        self._matte, self._watcher = matte, segment.work.watcher
        self._first: Frame | None = None

    def open(self, info: VideoInfo) -> VideoInfo:
        return self._matte.open(info)

    def __call__(self, frame: Frame) -> list[Frame]:
        self._watcher.check()
        return self._inside(self._matte(frame))

    def flush(self) -> list[Frame]:
        return self._inside(self._matte.flush())

    def close(self) -> None:
        self._matte.close()

    def first_ticks(self, clock: Fraction) -> int:
        """The time of the segment's first frame, in ticks of `clock`; 0 if it has none."""
        return 0 if self._first is None else round(self._first.pts * self._first.time_base / clock)

    def _inside(self, frames: Iterable[Frame]) -> list[Frame]:
        kept = [frame for frame in frames if self._holds(frame.pts * frame.time_base)]
        if kept and self._first is None:
            self._first = kept[0]
        return kept

    def _holds(self, time_s: Fraction) -> bool:
        return (self._begin_s is None or time_s >= self._begin_s) and (self._end_s is None or time_s < self._end_s)


def _past(plan: Plan, number: int, engine: Engine) -> Past:
    """The initial state of a segment's `Matte`: what the plan says was measured on the video's first frame.

    The first segment contains that frame, so its `Matte` measures the same values itself.
    """
    if number == 0:
        return Past()
    return Past(engine.recall(plan.measured), EdgeState(screen=plan.tint))
