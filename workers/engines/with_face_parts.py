"""Adds to an engine's matte what it has lost of hair, hats, glasses and the like: the option `keep`.

The network of `workers/choosers/faces.py` looks at the heads of each matte, and `workers/edges/face_parts.py` adds what
touches it. Knows nothing about the engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from stream.picture.frames import Alpha, Frame
from stream.records.options import FacePart
from stream.records.subjects import Subject
from workers.choosers.faces import FaceMaps
from workers.device.tensors import Area, Bytes
from workers.edges import face_parts
from workers.engines.base import Engine, EngineState, Prepared, Result
from workers.engines.with_subjects import own_colours
from workers.steady.tuning import Tuning


class FaceNetwork(Protocol):
    """What finds the parts of faces; `workers/choosers/faces.py` describes the methods."""

    def prepare(self, frame: Frame, area: Area) -> Bytes: ...

    def find(self, heads: Sequence[Bytes], keep: Sequence[FacePart]) -> list[FaceMaps]: ...


@dataclass(frozen=True, slots=True)
class Input:
    frame: Frame
    prepared: Prepared


class WithFaceParts:
    """Wraps `engine` and keeps its name. keep: the parts that are added."""

    def __init__(self, engine: Engine, network: FaceNetwork, keep: Sequence[FacePart]) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent
        self.warmup_frames, self.device = engine.warmup_frames, engine.device
        self.measure, self.recall, self.chooser = engine.measure, engine.recall, engine.chooser
        self.refined = engine.refined
        self._engine, self._network, self._keep = engine, network, tuple(keep)

    def prepare(self, frame: Frame) -> Input:
        return Input(frame, self._engine.prepare(frame))

    def prompted(self, prepared: Input, frame: Frame, subjects: Sequence[Subject]) -> Input:
        return replace(prepared, prepared=self._engine.prompted(prepared.prepared, frame, subjects))

    def steadied(self, prepared: Input, frame: Frame, tuning: Tuning) -> Input:
        """Unchanged: alpha is smoothed after parts are added to it, by the caller."""
        return prepared

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        results = self._engine.infer([item.prepared for item in prepared], states)
        boxes = [face_parts.heads(result.alpha) for result in results]
        pictures = [
            self._network.prepare(item.frame, box.relative(result.alpha))
            for item, result, found in zip(prepared, results, boxes, strict=True)
            for box in found
        ]
        maps = iter(self._network.find(pictures, self._keep) if pictures else [])
        return [
            _united(item.frame, result, [(box, next(maps)) for box in found])
            for item, result, found in zip(prepared, results, boxes, strict=True)
        ]


def _united(frame: Frame, result: Result, heads: Sequence[tuple[face_parts.Box, FaceMaps]]) -> Result:
    alpha = result.alpha.copy()
    for box, maps in heads:
        part = alpha[box.slices]
        part[...] = face_parts.united(part, _resized(maps.parts, part), _resized(maps.face, part))
    colours = result.foreground
    if colours is not None:
        colours = own_colours(frame, colours, result.alpha, alpha)
    return replace(result, alpha=alpha, foreground=colours)


def _resized(probability: Alpha, like: Alpha) -> Alpha:
    return np.asarray(cv2.resize(probability, like.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
