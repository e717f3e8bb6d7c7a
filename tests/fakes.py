"""Small real doubles: they do the smallest thing that the real part would do."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from stream.picture.frames import Frame, Plane, VideoInfo
from stream.pump import Item, Warnings
from stream.sources.pattern import PatternSource
from workers.engines.base import Engine, EngineState, Result


class ListSource:
    """Hands out given items; raises `error` after the last, if there is one."""

    def __init__(self, items: Sequence[Item], error: Exception | None = None) -> None:
        self.items, self.error, self.closed = items, error, False
        self.warnings: Warnings = []
        self.info = VideoInfo(16, 16, Fraction(1, 30), Fraction(30))

    def __iter__(self) -> Iterator[Item]:
        yield from self.items
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


class ListSink:
    """Keeps what it is given; raises `error` at the write with number `fails_at`."""

    def __init__(self, fails_at: int = -1, error: Exception | None = None, pause_s: float = 0.0) -> None:
        self.items: list[Item] = []
        self.warnings: Warnings = []
        self.state = "new"
        self._fails_at, self._error, self._pause_s = fails_at, error, pause_s

    def open(self, info: VideoInfo) -> None:
        self.state = "open"

    def write(self, item: Item) -> None:
        time.sleep(self._pause_s)
        if self._error is not None and len(self.items) == self._fails_at:
            raise self._error
        self.items.append(item)

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"


class Unchanged:
    """A transform that hands on what it gets, `delay` frames late."""

    def __init__(self, delay: int = 0, fails_at: int = -1, alpha: Plane | None = None) -> None:
        self._held: list[Frame] = []
        self._delay, self._fails_at, self._seen, self._alpha = delay, fails_at, 0, alpha
        self.closed = False

    def open(self, info: VideoInfo) -> VideoInfo:
        return replace(info, has_alpha=self._alpha is not None or info.has_alpha)

    def __call__(self, frame: Frame) -> list[Frame]:
        if self._seen == self._fails_at:
            raise ValueError("transform broke")
        self._seen += 1
        self._held.append(frame if self._alpha is None else frame.with_pixels(frame.pixels, self._alpha))
        return [self._held.pop(0)] if len(self._held) > self._delay else []

    def flush(self) -> list[Frame]:
        held, self._held = self._held, []
        return held

    def close(self) -> None:
        self.closed = True


class TruthEngine(Engine):
    """Knows the pattern's matte: its alpha is the truth for the frame's number. Raises on numbers in `fails_on`."""

    name, device = "truth", "test"

    def __init__(self, pattern: PatternSource, batch: int = 1, fails_on: frozenset[int] = frozenset()) -> None:
        self.pattern, self.batch, self.fails_on = pattern, batch, fails_on
        self.recurrent = False
        self.calls: list[int] = []

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        assert len(prepared) == len(states)
        self.calls.append(len(prepared))
        if any(frame.pts in self.fails_on for frame in prepared):
            raise RuntimeError("the model broke")
        return [Result((self.pattern.alpha(f.pts) / 255).astype(np.float32)) for f in prepared]
