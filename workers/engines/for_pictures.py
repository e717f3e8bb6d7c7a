"""Adapts an engine to still pictures: a recurrent one gets the picture several times, and none gets a huge one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stream.picture.frames import Frame, Plane, split_i420
from stream.records.engines import ENGINES
from stream.records.options import Options, Refine, Temporal
from stream.records.subjects import Subject
from workers.edges import foreground
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.steady.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Input:
    """frame: the whole picture. reduced: whether the engine got a smaller one."""

    frame: Frame
    prepared: Prepared
    reduced: bool


class ForPictures:
    """Wraps `engine` for one picture and keeps its name. Results have the size of the picture that the engine got;
    a foreground has always the full size."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent
        self.warmup_frames, self.device = engine.warmup_frames, engine.device
        self.measure, self.recall, self.chooser = engine.measure, engine.recall, engine.chooser
        self.refined = engine.refined
        self._engine, record = engine, ENGINES.get(engine.name)
        self._largest_px = record.still_px if record else 0
        self._passes = record.still_passes if record else 1

    def prepare(self, frame: Frame) -> Input:
        small = reduced(frame, self._largest_px or frame.width * frame.height)
        return Input(frame, self._engine.prepare(small), small is not frame)

    def prompted(self, prepared: Input, frame: Frame, subjects: Sequence[Subject]) -> Input:
        return replace(prepared, prepared=self._engine.prompted(prepared.prepared, frame, subjects))

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        return replace(prepared, prepared=self._engine.steadied(prepared.prepared, frame, tuning))

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        inputs = [item.prepared for item in prepared]
        for _ in range(self._passes):
            results = self._engine.infer(inputs, states)
            states = [result.state for result in results]
        return [_full(result, item) for result, item in zip(results, prepared, strict=True)]


def picture_options(options: Options, engine: str) -> Options:
    """The options for one picture: no temporal smoothing, whose guided filter `refine` replaces for coarse mattes.

    engine: its name. Measured with selfie on 20 frames of our clip: MAD 28.2 to 27.7, Grad 28.2 to 25.5.
    """
    record, refine = ENGINES.get(engine), options.edges.refine
    if refine is Refine.AUTO and record is not None and record.coarse:
        refine = Refine.ON
    edges = options.edges.model_copy(update={"refine": refine})
    return options.model_copy(update={"temporal": Temporal.OFF, "edges": edges})


def reduced(frame: Frame, largest_px: int) -> Frame:
    """The frame scaled to at most `largest_px` pixels, without its photo; the frame itself if it is small enough."""
    scale = (largest_px / (frame.width * frame.height)) ** 0.5
    if scale >= 1:
        return frame
    width, height = int(frame.width * scale) & ~1, int(frame.height * scale) & ~1
    out = np.empty((height * 3 // 2, width), np.uint8)
    for target, plane in zip(split_i420(out), frame.planes(), strict=True):
        target[...] = _resized(plane, target.shape)
    alpha = None if frame.alpha is None else _resized(frame.alpha, (height, width))
    return replace(frame, pixels=out, alpha=alpha, photo=None)


def _resized(plane: Plane, shape: tuple[int, ...]) -> Plane:
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _full(result: Result, item: Input) -> Result:
    if not item.reduced or result.foreground is None:
        return result
    return replace(result, foreground=foreground.estimate(item.frame.pixels, result.alpha))
