"""Drawn pictures of known classes, and a chooser that knows which colour each class has."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame
from stream.records.options import Rgb
from stream.records.subjects import Subject
from tests.workers.engines.engine_runs import i420
from workers.choosers.base import Choice, Chooser, ChooserState, Question
from workers.device.tensors import rgb_bytes
from workers.weights.class_names import ClassNames

COLOURS: Mapping[int, Rgb] = {0: (60, 60, 60), 1: (220, 40, 40), 2: (40, 60, 220)}
NAMES = ClassNames({0: "wall", 1: "person, individual", 2: "dog"}, "drawn")
WIDTH, HEIGHT = 96, 64
PERSON, DOG = (slice(8, 56), slice(8, 40)), (slice(24, 56), slice(56, 88))


def drawn(pts: int = 0, *, dog: bool = True) -> Frame:
    """A person on the left, a dog on the right, in front of a wall."""
    classes = np.zeros((HEIGHT, WIDTH), np.int64)
    classes[PERSON] = 1
    if dog:
        classes[DOG] = 2
    colours = np.array([COLOURS[index] for index in range(3)], np.float64)
    return Frame(i420(colours[classes]), pts, Fraction(1, 25))


def mask(*rectangles: tuple[slice, slice]) -> npt.NDArray[np.bool_]:
    out = np.zeros((HEIGHT, WIDTH), np.bool_)
    for rectangle in rectangles:
        out[rectangle] = True
    return out


class DrawnClasses(Chooser):
    """Knows the class of every pixel by its colour. Counts the frames that it was asked about."""

    name = "drawn"

    def __init__(self) -> None:
        self.asked = 0

    def check(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        for subject in subjects:
            NAMES.find(_names(subject))

    def prepare(self, frame: Frame) -> npt.NDArray[np.int64]:
        """int64 (h, w): the class of each pixel."""
        pixels = rgb_bytes(frame, frame.width, frame.height).astype(np.int64)
        distances = [np.abs(pixels - np.array(colour)).sum(-1) for colour in COLOURS.values()]
        return np.asarray(np.argmin(distances, axis=0), np.int64)

    def choose(self, questions: Sequence[Question], states: Sequence[ChooserState]) -> list[Choice]:
        self.asked += len(questions)
        return [self._choice(question) for question in questions]

    def _choice(self, question: Question) -> Choice:
        regions = {subject.name: _region(question.seen, subject) for subject in question.subjects}
        return Choice(regions, None, {name: float(region.any()) for name, region in regions.items()})


def _region(classes: npt.NDArray[np.int64], subject: Subject) -> Alpha:
    return np.isin(classes, list(NAMES.find(_names(subject)))).astype(np.float32)


def _names(subject: Subject) -> list[str]:
    return [name for prompt in subject.prompts for name in prompt.names]
