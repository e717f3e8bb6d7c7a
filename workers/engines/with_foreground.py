"""Adds foreground estimation to an engine that has none. Runs on the CPU; needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stream.picture.frames import Frame
from stream.records.subjects import Subject
from workers.edges import foreground
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.steady.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Input:
    frame: Frame
    prepared: Prepared


class WithForeground:
    """Wraps `engine` and keeps its name."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent
        self.warmup_frames, self.device = engine.warmup_frames, engine.device
        self.measure, self.recall, self.chooser = engine.measure, engine.recall, engine.chooser
        self.refined = engine.refined
        self._engine = engine

    def prepare(self, frame: Frame) -> Input:
        return Input(frame, self._engine.prepare(frame))

    def prompted(self, prepared: Input, frame: Frame, subjects: Sequence[Subject]) -> Input:
        return replace(prepared, prepared=self._engine.prompted(prepared.prepared, frame, subjects))

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        return replace(prepared, prepared=self._engine.steadied(prepared.prepared, frame, tuning))

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        results = self._engine.infer([item.prepared for item in prepared], states)
        return [_with_foreground(result, item.frame) for result, item in zip(results, prepared, strict=True)]


def _with_foreground(result: Result, frame: Frame) -> Result:
    if result.foreground is not None or frame.gray:
        return result
    return replace(result, foreground=foreground.estimate(frame.pixels, result.alpha))
