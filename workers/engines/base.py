"""Interface of engines. An engine is a network, or a rule, that computes the alpha of a frame.

All videos of a process share an engine, and it keeps no data about any of them: what it has to remember of a video is
passed in and returned as that video's state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stream.picture.frames import Alpha, Frame, Plane
from workers.steady.tuning import Tuning

EngineState = Any
"""An engine's memory of one video; None before its first frame. Opaque to everything but that engine."""

Prepared = Any
"""A preprocessed frame. Opaque to everything but the engine that made it."""


@dataclass(frozen=True, slots=True)
class Result:
    """An engine's result for one frame.

    foreground: I420 of the frame's size, with the subject's colours without the old background; None to keep the
    frame's colours. steady: temporal smoothing was already applied to alpha, as `Engine.steadied` requested.
    """

    alpha: Alpha
    state: EngineState = None
    foreground: Plane | None = None
    steady: bool = False


class Engine(Protocol):
    """name: its key in `ENGINES`. batch: largest useful number of frames per call on this device. recurrent: its state
    changes with every frame, so the frames of a video must be processed one by one and in order. warmup_frames: frames
    after which its state no longer depends on where it started. device: what computes, for people; it begins with "cpu"
    if that is the processor, whose time live video shares.

    The class is named by a record in `stream/records/engines.py`, which is all that has to be added for a new engine,
    and is created with (options, settings, say). Packages that not every installation has are imported in that module,
    and listed in the record and in an extra of pyproject.toml.

    An engine derives from this class, and overrides `measure`, `recall` and `steadied` if it needs to. A wrapper of an
    engine does not derive from it: it has to delegate all of them, which mypy checks.
    """

    name: str
    batch: int = 1
    recurrent: bool = False
    warmup_frames: int = 0
    device: str = "cpu"

    def prepare(self, frame: Frame) -> Prepared:
        """Preprocessing that does not depend on earlier frames. May run in another thread, while `infer` processes
        earlier frames. Raises EngineError."""
        ...

    def infer(self, prepared: Sequence[Prepared], states: Sequence[EngineState]) -> list[Result]:
        """One result per frame, independent of the other frames. Frames may differ in size. Raises EngineError."""
        ...

    def measure(self, frame: Frame) -> str | None:
        """What it measures on a video's first frame and needs for every later part of the video, as text. "" for an
        engine that measures nothing; None if this frame does not allow it."""
        return ""

    def recall(self, measured: str) -> EngineState:
        """The state of a video for which `measure` gave this text."""
        return None

    def steadied(self, prepared: Prepared, frame: Frame, tuning: Tuning) -> Prepared:
        """Request temporal smoothing on the device for a prepared frame of a live video, before its alpha is
        downloaded. Unchanged if the engine does not support that. `Result.steady` tells whether it was done."""
        return prepared
