"""The plan of a job: where its video is cut into segments, which frames each segment decodes, and what the segments
share.

A segment also decodes some frames of its neighbours, to warm up and to look ahead. The video is cut at keyframes, and
only so often that at most a twentieth of its frames is decoded twice.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame, VideoInfo
from stream.picture.gaps import GapFinder
from stream.pump import Warnings
from stream.records import formats
from stream.records.jobs import Job, Media, segment_name
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.picture import PictureSource
from stream.sources.scan import Scan, scan
from stream.sources.signatures import is_picture
from workers import choosers
from workers.edges.shape import find_tint
from workers.engines.base import Engine
from workers.engines.with_subjects import FADE_S
from workers.scene.composite import shape
from workers.steady.tuning import choose, history

_FORMAT = 1  # the newest `Plan.format` that this version knows
_MAX_OVERLAP = 0.05  # share of the video's frames that may be decoded twice
_SHORTEST = 240  # frames per segment, on average: opening and transferring the files of a segment also takes time
_DEINTERLACE = 2  # frames that deinterlacing reads before and after a frame
_SPECKS = 30  # frames: removing specks and filling holes depends on the mattes of at most this many earlier frames

Span = tuple[int | None, int | None]
"""(begin, end) in ticks of the plan's clock, without the end itself. None: the beginning or the end of the video."""


class Plan(BaseModel):
    """How a job's video is cut, and what all segments share.

    clock: length of a tick in seconds, as numerator and denominator; tick 0 is the job's start. offset: ticks
    to add to times on the file's own clock. size: width and height of the frames in pixels. engine: name of the engine.
    chooser: name of the chooser, "" for a video without subjects. threads: number of threads of each encoder.

    One entry per segment: spans, the time span of the frames that the segment outputs; reads, the longer span of the
    frames that it decodes; frames, the number of frames that it outputs.

    Measured on the video's first frame: first, its tick; measured, the text from `Engine.measure`; tint, Y, U and V
    of the screen for spill suppression, or None.

    format: raised with every change of a plan that would make an older worker cut or matte differently.
    """

    model_config = ConfigDict(frozen=True)

    clock: tuple[int, int]
    offset: int
    size: tuple[int, int]
    spans: tuple[Span, ...]
    reads: tuple[Span, ...]
    frames: tuple[int, ...]
    first: int = 0
    engine: str
    chooser: str = ""
    threads: int
    measured: str = ""
    tint: tuple[float, float, float] | None = None
    format: int = 1

    @property
    def time_base(self) -> Fraction:
        return Fraction(*self.clock)

    @property
    def whole(self) -> bool:
        """Whether the video is not cut. The only segment then is the complete result, with audio."""
        return len(self.spans) == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the segments' tasks: "0000", "0001", …"""
        return tuple(segment_name(number) for number in range(len(self.spans)))


def is_known(text: str) -> bool:
    """Whether this version can work by a plan, in JSON; "": there is none yet."""
    try:
        return not text or Plan.model_validate_json(text).format <= _FORMAT
    except ValidationError:
        return False


def make_plan(
    job: Job, path: Path, engine: Engine, settings: Settings, beat: Callable[[], None] = lambda: None
) -> tuple[Plan, Media, Warnings]:
    """Plan a job. Decodes one frame of its video. path: the video. beat: called as a heartbeat.

    Raises InputError, UsageError if no chooser finds the subjects, and UnsupportedOutput if an output is for pictures
    and the input a video, or the other way round.
    """
    chooser, _ = choosers.choose(job.options, live=False, settings=settings)
    is_still = is_picture(path)
    for output in job.outputs:
        formats.check_input(output.kind, is_still)
    if is_still:
        return _picture_plan(job, path, engine, chooser, settings)
    found = scan(path, settings, job.start_s, job.end_s, job.stream, beat)
    requested = (job.start_s, job.end_s, (job.width, job.height), job.stream, job.metadata)
    with closing(FileSource(path, settings, *requested)) as source:
        info, offset, warnings = source.info, source.offset, list(source.warnings)
        first = next((item for item in source if isinstance(item, Frame)), None)
    if first is None:
        raise UnreadableMedia("not a single frame could be decoded")
    shared = _measured(job, engine, first)
    fading = math.ceil(FADE_S * info.rate) if chooser else 0
    overlaps = None if choosers.is_recurrent(chooser) else _overlaps(job, engine, fading)
    warmup, ahead = overlaps or (0, 0)
    cuts = _cuts(found, warmup + ahead) if shared is not None and overlaps is not None else []
    if cuts:  # otherwise the source reports gaps, because it reads the whole video
        warnings += _gaps(found, info.time_base, job.start_s)
    total = len(found.times) or info.frames or 0
    plan = Plan(
        clock=(info.time_base.numerator, info.time_base.denominator),
        offset=offset,
        size=(info.width, info.height),
        spans=_spans(found, cuts),
        reads=_reads(found, cuts, warmup, ahead),
        frames=tuple(b - a for a, b in pairwise([0, *cuts, total])),
        first=round(first.pts * first.time_base / info.time_base),
        engine=engine.name,
        chooser=chooser,
        threads=settings.cores(),
        measured=(shared or ("", None))[0],
        tint=(shared or ("", None))[1],
    )
    return plan, _media(path, info, job, total), warnings


def _picture_plan(
    job: Job, path: Path, engine: Engine, chooser: str, settings: Settings
) -> tuple[Plan, Media, Warnings]:
    """The plan for a picture: one task that writes the results."""
    with closing(PictureSource(path, settings, (job.width, job.height), job.metadata)) as source:
        info, warnings = source.info, list(source.warnings)
    plan = Plan(
        clock=(info.time_base.numerator, info.time_base.denominator),
        offset=0,
        size=(info.width, info.height),
        spans=((None, None),),
        reads=((None, None),),
        frames=(1,),
        engine=engine.name,
        chooser=chooser,
        threads=settings.cores(),
    )
    width, height = shape(info, job.outputs[0].options(job.options)).still or (0, 0)
    return plan, Media(width=width, height=height, still=True, bytes=path.stat().st_size), warnings


def _media(path: Path, info: VideoInfo, job: Job, frames: int) -> Media:
    out = shape(info, job.outputs[0].options(job.options))
    duration_s = info.duration_s if info.duration_s is not None else float(frames / info.rate)
    return Media(
        duration_s=duration_s,
        fps=round(frames / duration_s, 3) if duration_s > 0 else 0.0,
        width=out.width,
        height=out.height,
        sound=bool(info.sound),
        video_streams=info.video_streams,
        bytes=path.stat().st_size,
    )


def _measured(job: Job, engine: Engine, first: Frame) -> tuple[str, tuple[float, float, float] | None] | None:
    """`Plan.measured` and `Plan.tint`. None if a measurement fails: later segments need both, so the video must not be
    cut."""
    measured = engine.measure(first)
    tint = find_tint(first) if job.options.edges.spill > 0 and not first.gray else None
    if measured is None or (tint is None and job.options.edges.spill > 0):
        return None
    return measured, tint


def _gaps(found: Scan, clock: Fraction, start_s: float) -> Warnings:
    """The warning about missing frames, which may span several segments."""
    finder = GapFinder(clock, start_s)
    for ticks in found.times:
        finder.take(ticks)
    missing = finder.missing()
    return [("gap", missing.sentence())] if missing.frames else []


def _overlaps(job: Job, engine: Engine, fading: int = 0) -> tuple[int, int] | None:
    """Numbers of frames to decode before and after a segment. None if no number before it is known to be enough.

    fading: number of frames in which a subject that is not found any more disappears.
    """
    if engine.recurrent and not engine.warmup_frames:
        return None
    options = job.options
    tuning = choose(options.temporal, options.temporal_strength, engine.name, live=False)
    smoothing, ahead = (0, 0) if tuning is None else (history(tuning), tuning.look_ahead)
    specks = _SPECKS if options.edges.specks or options.edges.holes else 0
    return engine.warmup_frames + smoothing + specks + fading + _DEINTERLACE, ahead + _DEINTERLACE


def overlap(job: Job, engine: Engine) -> int:
    """Number of frames at each cut that both neighbouring segments decode; most of them are also matted twice."""
    return sum(_overlaps(job, engine) or (0, 0))


def _cuts(found: Scan, overlap: int) -> list[int]:
    """Where to cut: indices of keyframes. Empty if the video should not be cut. overlap: frames that a cut decodes
    twice."""
    total = len(found.times)
    count = min(total // _SHORTEST, 1 + int(_MAX_OVERLAP * total / overlap))
    if not found.plain or count < 2:
        return []
    number = {ticks: n for n, ticks in enumerate(found.times)}
    keys = [number[ticks] for ticks in found.keys]
    cuts: list[int] = []
    for ideal in (total * n // count for n in range(1, count)):
        best = min(keys, key=lambda key, ideal=ideal: abs(key - ideal))  # type: ignore[misc]
        if best - (cuts[-1] if cuts else 0) >= _SHORTEST // 2 <= total - best:
            cuts.append(best)
    return cuts


def _spans(found: Scan, cuts: Sequence[int]) -> tuple[Span, ...]:
    return tuple(pairwise([None, *(found.times[n] for n in cuts), None]))


def _reads(found: Scan, cuts: Sequence[int], warmup: int, ahead: int) -> tuple[Span, ...]:
    total = len(found.times)
    begins = [None, *(found.times[n - warmup] if n > warmup else None for n in cuts)]
    ends = [*(found.times[n + ahead] if n + ahead < total else None for n in cuts), None]
    return tuple(zip(begins, ends, strict=True))
