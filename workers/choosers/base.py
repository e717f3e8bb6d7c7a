"""Interface of choosers. A chooser finds the regions of the subjects that prompts describe; an engine draws the edge.

All videos of a process share one chooser. As an engine, it stores nothing about a video: each call gets the video's
state and returns the new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream import limits
from stream.picture.frames import Alpha, Frame
from stream.records.subjects import Prompt, Subject

ChooserState = Any
"""A chooser's memory of one video; None before its first frame. Opaque to everything but that chooser."""

Seen = Any
"""A preprocessed frame. Opaque to everything but the chooser that made it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a chooser is asked about one frame.

    seen: from `Chooser.prepare`. subjects: those with prompts that this chooser understands, as the user wants them
    now. Prompts whose `at_s` is later than `time_s` do not apply yet. Those that were added since the last call apply
    to this frame, whatever their `at_s`; subjects and prompts that are missing were withdrawn. width, height: of the
    upright picture in pixels, for `Prompt.in_pixels`. time_s: of the frame, from the start of the video.
    """

    seen: Seen
    subjects: Sequence[Subject]
    width: int
    height: int
    time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A chooser's answer for one frame.

    regions: by the names of all subjects asked for; float32 (h, w), 0.0 elsewhere to 1.0 subject, in the chooser's own
    size, soft where it is unsure; all zeros before a subject's first prompt applies. confidence: by name, 0.0 to 1.0,
    that the subject was found; 1.0 for rules that cannot fail.
    """

    regions: Mapping[str, Alpha]
    state: ChooserState = None
    confidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """Which candidates are listed. side: points along each side of the grid at which a network is asked; None: as many
    as suit its device. smallest: share of the picture's area; smaller regions, parts and holes are left out. most: the
    largest so many are listed."""

    side: int | None = None
    smallest: float = limits.CANDIDATE_SHARE
    most: int = limits.CANDIDATES


@dataclass(frozen=True, slots=True)
class Region:
    """One thing that could be a subject. mask: bool (h, w), the whole picture in the chooser's own size; not empty.
    score: 0.0 to 1.0. prompt: what makes the same chooser find it in this frame."""

    mask: npt.NDArray[np.bool_]
    score: float
    prompt: Prompt


class Chooser(Protocol):
    """name: its key in `CHOOSERS`. device: its name, to be displayed, as `Engine.device`. recurrent: its state changes
    with every frame, so the frames of a video must be processed one by one and in order.

    A new chooser is a file beside this one and a record in `stream/records/choosers.py`, which names the class; no
    other code changes. The class is created as `Class(options, settings, say)`, as an engine.
    """

    name: str
    device: str = "cpu"
    recurrent: bool = False

    def check(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        """Raise UsageError or InputError for a prompt that cannot be answered, such as an unknown class or a mask that
        cannot be read. size: width and height of the upright picture in pixels.

        Called for each frame before `choose`, which gets frames of several videos and would fail for all of them; from
        any thread. By default nothing is checked."""
        return

    def prepare(self, frame: Frame) -> Seen:
        """Preprocessing that does not depend on earlier frames. May run in another thread, while `choose` processes
        earlier frames. Raises EngineError."""
        ...

    def choose(self, questions: Sequence[Question], states: Sequence[ChooserState]) -> list[Choice]:
        """One answer per question, each of another video or, if the chooser is not recurrent, of any frame. Raises
        EngineError, and UsageError for a prompt that cannot be answered, such as an unknown class."""
        ...


class Lister(Chooser, Protocol):
    """A chooser that can also list what could be a subject. Its record says `lists`."""

    def candidates(self, frame: Frame, search: Search) -> list[Region]:
        """What could be a subject in this frame, in any order. Raises EngineError."""
        ...
