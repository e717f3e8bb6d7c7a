"""Interface of engines. An engine is a network, or a rule, that computes the alpha of a frame, not a runtime.

All videos of a process share one engine. An engine stores nothing about a video: each call gets the video's state and
returns the new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stream.picture.frames import Alpha, Frame, Plane
from stream.records.subjects import Subject
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import Tuning

EngineState = Any
"""An engine's memory of one video; None before its first frame. Opaque to everything but that engine."""

Prepared = Any
"""A preprocessed frame. Opaque to everything but the engine that made it."""


@dataclass(frozen=True, slots=True)
class Result:
    """An engine's result for one frame.

    alpha: may be smaller than the frame. foreground: I420 of the frame's size, the subject's colours without the old
    background; None to keep the frame's colours. steady: alpha is already smoothed over time, as `Engine.steadied`
    requested. unsure: names of the subjects that were not found in this frame. regions: those of the kept subjects, by
    name, as `Choice.regions`, fading as alpha does; {} from an engine without a chooser.
    """

    alpha: Alpha
    state: EngineState = None
    foreground: Plane | None = None
    steady: bool = False
    unsure: tuple[str, ...] = ()
    regions: Mapping[str, Alpha] = field(default_factory=dict)


class Engine(Protocol):
    """name: its key in `ENGINES`. batch: largest useful number of frames per call on this device. recurrent: its state
    changes with every frame, so the frames of a video must be processed one by one and in order. warmup_frames: number
    of frames after which the state no longer depends on the first one. device: name of the device, to be displayed; it
    begins with "cpu" if the engine runs on the CPU, whose time it then shares with decoding and encoding. chooser: name
    of the chooser that finds the subjects of `prompted` frames; "" for an engine alone, which cannot find them.

    A new engine is a file beside this one and a record in `stream/records/engines.py`, which names the class; no other
    code changes. The class is created as `Class(options, settings, say)`. Its file imports optional packages at the
    top; the record lists them in `modules`, and an extra in pyproject.toml installs them.
    `tests/workers/engines/test_contract.py` tests every engine whose modules are installed.

    An engine derives from this class, and overrides `measure`, `recall`, `prompted`, `steadied` and `refined` if it
    needs to. A wrapper does not derive from this class, so that mypy reports a method that it does not delegate.
    """

    name: str
    batch: int = 1
    recurrent: bool = False
    warmup_frames: int = 0
    device: str = "cpu"
    chooser: str = ""

    def prepare(self, frame: Frame) -> Prepared:
        """Preprocessing that does not depend on earlier frames. May run in another thread, while `infer` processes
        earlier frames. Raises EngineError."""
        ...

    def infer(self, prepared: Sequence[Prepared], states: Sequence[EngineState]) -> list[Result]:
        """One result per frame, independent of the other frames. Frames may differ in size. Raises EngineError."""
        ...

    def measure(self, frame: Frame) -> str | None:
        """Measure a property of the whole video, such as a screen's colour, on its first frame.

        Returns it as text, which is passed to `recall` for every segment: "" if the engine measures nothing, None if
        the measurement fails.
        """
        return ""

    def recall(self, measured: str) -> EngineState:
        """The state with which a segment of a video starts. measured: what `measure` returned for the video."""
        return None

    def prompted(self, prepared: Prepared, frame: Frame, subjects: Sequence[Subject]) -> Prepared:
        """Return the prepared frame with the subjects that the user wants in it; called before `steadied`, and only if
        there are any. An engine without a chooser returns `prepared` unchanged. Raises EngineError."""
        return prepared

    def steadied(self, prepared: Prepared, frame: Frame, tuning: Tuning) -> Prepared:
        """Return the prepared frame of a live video with a request to smooth its alpha on the device, before alpha is
        downloaded. An engine without such smoothing returns `prepared` unchanged. `Result.steady` reports whether alpha
        was smoothed."""
        return prepared

    def refined(self, matted: MattedFrame) -> MattedFrame:
        """Refine a matte after temporal smoothing, with the whole frame. Called in the thread of the last step, at the
        same time as `infer` for later frames. Most engines return it unchanged. Raises EngineError."""
        return matted
