"""What an engine is: a network (or a rule) that finds the subject in a picture.

An engine is shared by all videos of a process and remembers nothing about any of them: what it must know of a
video's past goes in and comes out as that video's state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stream.picture.frames import Alpha, Frame, Plane
from workers.steady.tuning import Tuning

EngineState = Any
"""An engine's memory of one video; None before its first frame. Only the engine that made it looks inside."""

Prepared = Any
"""A frame made ready for the network. Only the engine that made it looks inside."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an engine says of one frame.

    foreground: I420 of the frame's size with the subject's colours freed from the old background, or None to keep
    the frame's own. steady: alpha was steadied over time already, as `Engine.steadied` asked.
    """

    alpha: Alpha
    state: EngineState = None
    foreground: Plane | None = None
    steady: bool = False


class Engine(Protocol):
    """name: its key in `ENGINES`. batch: most frames worth giving to one call on this device. recurrent: it carries
    memory from frame to frame, so frames of one video must come one by one and in order. warmup_frames: frames
    after which its memory no longer depends on where it started. device: for people, such as "cpu".

    An engine derives from this class and has `measure`, `recall` and `steadied` from it, unless it can do better. What
    wraps an engine does not derive from it: it passes every one of them on, and mypy sees to that.
    """

    name: str
    batch: int = 1
    recurrent: bool = False
    warmup_frames: int = 0
    device: str = "cpu"

    def prepare(self, frame: Frame) -> Prepared:
        """All that can be done for a frame without its video's past. May run in another thread, while `infer` is at
        work on earlier frames. Raises EngineError."""
        ...

    def infer(self, prepared: Sequence[Prepared], states: Sequence[EngineState]) -> list[Result]:
        """One result for each frame, as if it had been alone. Frames may differ in size. Raises EngineError."""
        ...

    def measure(self, frame: Frame) -> str | None:
        """What it learns from a video's first frame and keeps, as text: to work on a later part of that video by
        itself, it must be told. "" for an engine that keeps nothing; None where this frame does not tell."""
        return ""

    def recall(self, measured: str) -> EngineState:
        """The state of a video of which that was learnt."""
        return None

    def steadied(self, prepared: Prepared, frame: Frame, tuning: Tuning) -> Prepared:
        """`prepared` of this frame of a live video, asking for an alpha that is steadied where it is made, before it
        leaves the device; as it was if that cannot be had here. `Result.steady` says whether it was done."""
        return prepared
