"""The plan of a job: where its video is cut into segments, which frames each segment decodes, and what they share.

Cuts are at keyframes, and only as many that at most a twentieth of the frames is decoded twice.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Warnings
from stream.records.jobs import Job, Media, segment_name
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.scan import Scan, scan
from workers.edges.shape import find_tint
from workers.engines.base import Engine
from workers.scene.composite import shape
from workers.steady.tuning import choose, history

_COST = 0.05  # maximum share of frames that are matted twice
_SHORTEST = 240  # frames of a segment: opening files and transferring them has a cost too
_AROUND = 2  # frames beyond a segment that deinterlacing uses
_SPECKS = 30  # frames for which a part of a matte may be kept because it was there before

Span = tuple[int | None, int | None]
"""From a time to before another, in ticks of the plan's clock; None: from the beginning, to the end."""


class Plan(BaseModel):
    """How a job is cut, and what all segments share.

    clock: numerator and denominator of a tick in seconds; tick 0 is the job's start. offset: from the file's own ticks
    to these. size: width and height of the picture in pixels. spans: the times that each segment outputs; reads: those
    that it decodes for that; frames: number of frames that it outputs. first: tick of the first frame. engine: its
    name. threads: of encoders. measured, tint: measured by the engine and the edges on the first frame.
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
    threads: int
    measured: str = ""
    tint: tuple[float, float, float] | None = None

    @property
    def time_base(self) -> Fraction:
        return Fraction(*self.clock)

    @property
    def whole(self) -> bool:
        """Whether there is only one segment, which then is the result, with its audio."""
        return len(self.spans) == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the segments' tasks: "0000", "0001", …"""
        return tuple(segment_name(number) for number in range(len(self.spans)))


def make_plan(
    job: Job, path: Path, engine: Engine, settings: Settings, beat: Callable[[], None] = lambda: None
) -> tuple[Plan, Media, Warnings]:
    """Cut the job's video at keyframes. Decodes one frame. beat: called as a heartbeat. Raises InputError."""
    found = scan(path, settings, job.start_s, job.end_s, beat)
    with closing(FileSource(path, settings, job.start_s, job.end_s, (job.width, job.height))) as source:
        info, offset, warnings = source.info, source.offset, list(source.warnings)
        first = next((item for item in source if isinstance(item, Frame)), None)
    if first is None:
        raise UnreadableMedia("not a single frame could be decoded")
    past = _measured(job, engine, first)
    warm, ahead = _around(job, engine)
    cuts = _cuts(found, warm + ahead) if past is not None and warm >= 0 else []
    total = len(found.times) or info.frames or 0
    plan = Plan(
        clock=(info.time_base.numerator, info.time_base.denominator),
        offset=offset,
        size=(info.width, info.height),
        spans=_spans(found, cuts),
        reads=_reads(found, cuts, warm, ahead),
        frames=tuple(b - a for a, b in pairwise([0, *cuts, total])),
        first=round(first.pts * first.time_base / info.time_base),
        engine=engine.name,
        threads=settings.cores(),
        measured=(past or ("", None))[0],
        tint=(past or ("", None))[1],
    )
    return plan, _media(path, info, job, total), warnings


def _media(path: Path, info: VideoInfo, job: Job, frames: int) -> Media:
    out = shape(info, job.outputs[0].options(job.options))
    duration_s = info.duration_s if info.duration_s is not None else float(frames / info.rate)
    return Media(
        duration_s=duration_s,
        fps=round(frames / duration_s, 3) if duration_s > 0 else 0.0,
        width=out.width,
        height=out.height,
        sound=bool(info.sound),
        bytes=path.stat().st_size,
    )


def _measured(job: Job, engine: Engine, first: Frame) -> tuple[str, tuple[float, float, float] | None] | None:
    """The measurements of the first frame; None if that fails: then the video must not be cut."""
    measured = engine.measure(first)
    tint = find_tint(first) if job.options.edges.spill > 0 and not first.gray else None
    if measured is None or (tint is None and job.options.edges.spill > 0):
        return None
    return measured, tint


def _around(job: Job, engine: Engine) -> tuple[int, int]:
    """Frames to decode before and after a segment. The first is negative if no number is enough."""
    if engine.recurrent and not engine.warmup_frames:  # it is unknown how long its state depends on the start
        return -1, 0
    options = job.options
    tuning = choose(options.temporal, options.temporal_strength, engine.name, live=False)
    past, ahead = (0, 0) if tuning is None else (history(tuning), tuning.look_ahead)
    specks = _SPECKS if options.edges.specks or options.edges.holes else 0
    return engine.warmup_frames + past + specks + _AROUND, ahead + _AROUND


def overlap(job: Job, engine: Engine) -> int:
    """Frames that are decoded twice, and mostly matted twice, at each cut."""
    return sum(_around(job, engine))


def _cuts(found: Scan, twice: int) -> list[int]:
    """Where to cut: indices of frames that are keyframes. Empty if the file should not be cut."""
    total = len(found.times)
    count = min(total // _SHORTEST, 1 + int(_COST * total / twice))
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


def _reads(found: Scan, cuts: Sequence[int], warm: int, ahead: int) -> tuple[Span, ...]:
    total = len(found.times)
    begins = [None, *(found.times[n - warm] if n > warm else None for n in cuts)]
    ends = [*(found.times[n + ahead] if n + ahead < total else None for n in cuts), None]
    return tuple(zip(begins, ends, strict=True))
