"""`mattebox bench temporal`: temporal filters on an engine's mattes, compared with the true alpha of a clip.

Every filter gets the same mattes of one pass of the engine, at the engine's own size. The result is resized to the
frame and rounded to 8 bits as in production. Our smoothing is compared with the usual baselines: an exponential moving
average (EMA) of three strengths, and the median of three frames.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from stream.errors import InputError
from stream.picture.frames import Alpha, Frame, Plane
from stream.records.options import Options, Temporal
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from workers import engines
from workers.device import threads
from workers.edges.shape import full_size
from workers.engines.base import EngineState
from workers.measure.alpha_video import AlphaVideo
from workers.measure.evaluate import Ints, dtssd, grad, mad, mse
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import Tuning, choose

WEIGHTS = (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Row:
    """One filter's means over a clip, in the scales of `workers.measure.evaluate`. ms: CPU time per frame, including
    resizing to full size. mad_ratio, dtssd_ratio: to unfiltered mattes."""

    filter: str
    family: str
    mad: float
    mse: float
    grad: float
    dtssd: float
    ms: float
    mad_ratio: float
    dtssd_ratio: float


class Filter(Protocol):
    """push: add a frame's matte. Both return the finished frames, in order."""

    def push(self, matted: MattedFrame) -> list[MattedFrame]: ...

    def flush(self) -> list[MattedFrame]: ...


class Ema:
    """Exponential moving average. weight: of history, 0-1; 0 changes nothing."""

    def __init__(self, weight: float) -> None:
        self._weight = np.float32(weight)
        self._mean: Alpha | None = None

    def push(self, matted: MattedFrame) -> list[MattedFrame]:
        mean = matted.alpha if self._mean is None else self._mean
        self._mean = self._weight * mean + (1 - self._weight) * matted.alpha
        return [replace(matted, alpha=self._mean)]

    def flush(self) -> list[MattedFrame]:
        return []


class MedianOfThree:
    """Median over time, with a delay of one frame."""

    def __init__(self) -> None:
        self._last: list[MattedFrame] = []

    def push(self, matted: MattedFrame) -> list[MattedFrame]:
        self._last = [*self._last[-2:], matted]
        if len(self._last) == 2:
            return [self._last[0]]
        return [self._middle(self._last)] if len(self._last) == 3 else []

    def flush(self) -> list[MattedFrame]:
        return self._last[-1:]

    @staticmethod
    def _middle(three: list[MattedFrame]) -> MattedFrame:
        middle = np.median(np.stack([one.alpha for one in three]), axis=0)
        return replace(three[1], alpha=np.asarray(middle, np.float32))


class Ours:
    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._state: smooth.SmoothState | None = None

    def push(self, matted: MattedFrame) -> list[MattedFrame]:
        self._state, done = smooth.step(self._state, matted, self._tuning)
        return done

    def flush(self) -> list[MattedFrame]:
        return [] if self._state is None else smooth.flush(self._state, self._tuning)[1]


def bench_temporal(
    clip: Path,
    truth: Path,
    engine: str,
    settings: Settings,
    say: Callable[[str], None],
    strengths: Sequence[float] = (*WEIGHTS, 1.0),
) -> list[Row]:
    """Evaluate every filter on one clip. truth: the clip's alpha, as `mattebox eval` reads it. strengths: of ours.

    Raises UnreadableMedia and the other errors of reading, and InputError if the two do not match.
    """
    threads.apply(settings)
    tracks = [_Track(name, family, made) for name, family, made in _filters(engine, strengths)]
    count = 0
    with closing(AlphaVideo(truth, settings)) as planes:
        true = iter(planes)
        for matted in _mattes(clip, engine, settings, say):
            plane = next(true, None)
            if plane is None or plane.shape != (matted.frame.height, matted.frame.width):
                raise InputError(f"{truth} does not match {clip} at frame {count}")
            count += 1
            for track in tracks:
                track.push(matted, plane)
    if count < 2:
        raise InputError(f"{clip} has {count} frames; at least two are needed")
    for track in tracks:
        track.flush()
    return [track.row(count, tracks[0]) for track in tracks]


def _filters(engine: str, strengths: Sequence[float]) -> Iterator[tuple[str, str, Filter]]:
    yield "off", "off", Ema(0.0)
    for weight in WEIGHTS:
        yield f"EMA {weight}", "EMA", Ema(weight)
    yield "median of 3", "median of 3", MedianOfThree()
    for mode in (Temporal.LIVE, Temporal.LIVE_1, Temporal.OFFLINE):
        for strength in strengths:
            tuning = choose(mode, strength, engine, live=mode is not Temporal.OFFLINE)
            if tuning is not None:
                yield f"{mode} {strength}", str(mode), Ours(tuning)


def _mattes(clip: Path, name: str, settings: Settings, say: Callable[[str], None]) -> Iterator[MattedFrame]:
    engine = engines.load(name, Options(engine=name), settings, say)
    state: EngineState = None
    with closing(open_source(clip, SourceOptions(), settings)) as source:
        for frame in source:
            if isinstance(frame, Frame):
                (result,) = engine.infer([engine.prepare(frame)], [state])
                state = result.state
                yield MattedFrame(frame, result.alpha)


class _Track:
    """One filter, the true alpha of its pending frames, and the sums of its errors."""

    def __init__(self, name: str, family: str, made: Filter) -> None:
        self._name, self._family, self._filter = name, family, made
        self._true: deque[Plane] = deque()
        self._previous: Ints | None = None
        self._sums = np.zeros(4)
        self._cpu_s = 0.0

    def push(self, matted: MattedFrame, true: Plane) -> None:
        self._true.append(true)
        self._evaluate(lambda: self._filter.push(matted))

    def flush(self) -> None:
        self._evaluate(self._filter.flush)

    def _evaluate(self, work: Callable[[], list[MattedFrame]]) -> None:
        begun_s = time.thread_time()
        planes = [full_size(done.alpha, done.frame) for done in work()]
        self._cpu_s += time.thread_time() - begun_s
        for plane in planes:
            true = self._true.popleft()
            error: Ints = plane.astype(np.int16) - true
            change = 0.0 if self._previous is None else dtssd(error, self._previous)
            self._sums += (mad(error), mse(error), grad(plane, true), change)
            self._previous = error

    def row(self, count: int, off: "_Track") -> Row:
        means = self._sums / (count, count, count, count - 1)
        to_off = self._sums / np.maximum(off._sums, 1e-9)
        figures = [round(float(x), 3) for x in (*means, 1e3 * self._cpu_s / count, to_off[0], to_off[3])]
        return Row(self._name, self._family, *figures)
