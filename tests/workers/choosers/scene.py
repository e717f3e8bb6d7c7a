"""A drawn scene of two moving subjects in front of a green screen, and a chooser that knows them: a small real one.

`Scene` answers points, boxes, classes and words (the names `red` and `blue`) with the true regions, at a quarter of the
picture's size. It knows the scene by the time, whatever the size of the picture; the prompts are looked up where the
subjects are at that time, and then followed. `registered` makes it known: `tests.workers.choosers.scene:Scene`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import cv2
import numpy as np

from stream.picture.frames import Alpha, Frame
from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import Rank
from stream.records.options import Options
from stream.records.subjects import Prompt, PromptKind, Subject
from stream.settings import Settings
from tests.media import Image, write_video
from workers.choosers.base import Choice, Chooser, Question
from workers.weights.known import Say, silent

WIDTH, HEIGHT = 320, 180
RADIUS = 0.2  # of the height
SCREEN = (0, 200, 60)
COLOURS = {"red": (200, 60, 50), "blue": (60, 70, 190)}
_FINER = 4
_EPSILON_S = 1e-4

KINDS: tuple[PromptKind, ...] = ("point", "box", "class", "words")
RECORD = ChooserRecord(
    "scene", "tests.workers.choosers.scene:Scene", "Drawn scene (scene)", "Knows the drawn scene.",
    prompts=KINDS, recurrent=True, live=Rank(100, "it knows the scene"), files=Rank(100, "it knows the scene"),
)  # fmt: skip


def centre(name: str, time_s: float) -> tuple[float, float]:
    """Of a subject, relative to the picture's size. They move towards each other, and never touch."""
    way = 0.06 * math.sin(2 * time_s)
    return (0.3 + way if name == "red" else 0.7 - way), 0.5


def alpha(name: str, time_s: float, width: int = WIDTH, height: int = HEIGHT) -> Alpha:
    """The true alpha of a subject: a disc."""
    canvas = np.zeros((height * _FINER, width * _FINER), np.uint8)
    x, y = centre(name, time_s)
    at = round(x * width * _FINER), round(y * height * _FINER)
    cv2.circle(canvas, at, round(RADIUS * height * _FINER), 255, -1)
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / 255, np.float32)


def picture(time_s: float, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """RGB (height, width, 3)."""
    image = np.full((height, width, 3), SCREEN, np.float32)
    for name, colour in COLOURS.items():
        weight = alpha(name, time_s, width, height)[..., None]
        image += weight * (np.array(colour, np.float32) - image)
    return np.rint(image).astype(np.uint8)


def clip(path: Path, frames: int = 30, rate: int = 10, keyframes: int = 250) -> Path:
    """A video of the scene, from its time 0, with a keyframe every so many frames."""
    pictures, chosen = (picture(n / rate) for n in range(frames)), {"crf": "6", "g": str(keyframes)}
    return write_video(path, pictures, rate=Fraction(rate), options=chosen, colour=(1, 1, 1, 1))


@contextmanager
def registered(record: ChooserRecord = RECORD) -> Iterator[None]:
    """The chooser is known besides the product's own, in this process."""
    with patch.dict(CHOOSERS, {record.name: record}):
        yield


@dataclass(frozen=True)
class Memory:
    """What each prompt of a subject found when it began to apply. Withdrawn prompts are forgotten."""

    found: Mapping[tuple[str, Prompt], frozenset[str]] = field(default_factory=dict)


class Scene(Chooser):
    """The subjects in `hidden` are not found between these times, in seconds."""

    name, device, recurrent = "scene", "test", True
    hidden: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self.calls: list[int] = []

    def prepare(self, frame: Frame) -> None:
        return None

    def choose(self, questions: Sequence[Question], states: Sequence[Memory | None]) -> list[Choice]:
        self.calls.append(len(questions))
        return [self._answer(question, state or Memory()) for question, state in zip(questions, states, strict=True)]

    def _answer(self, question: Question, memory: Memory) -> Choice:
        now_s = question.time_s
        applying = {
            (subject.name, prompt): prompt
            for subject in question.subjects
            for prompt in subject.prompts
            if prompt.at_s <= now_s + _EPSILON_S
        }
        found = {key: memory.found.get(key, _named_by(prompt, question)) for key, prompt in applying.items()}
        members = {subject.name: _members(subject, found) for subject in question.subjects}
        regions = {name: self._region(each, question) for name, each in members.items()}
        sure = {
            name: 0.0 if any(self._is_hidden(one, now_s) for one in each) else 1.0 for name, each in members.items()
        }
        return Choice(regions, Memory(found), sure)

    def _is_hidden(self, name: str, time_s: float) -> bool:
        begin_s, end_s = self.hidden.get(name, (math.inf, math.inf))
        return begin_s <= time_s + _EPSILON_S < end_s

    def _region(self, names: frozenset[str], question: Question) -> Alpha:
        size = max(1, question.width // 4), max(1, question.height // 4)
        region = np.zeros(size[::-1], np.float32)
        for name in names:
            if not self._is_hidden(name, question.time_s):
                region = np.maximum(region, alpha(name, question.time_s, *size))
        return region


def _members(subject: Subject, found: Mapping[tuple[str, Prompt], frozenset[str]]) -> frozenset[str]:
    members = frozenset[str]()
    for prompt in subject.prompts:  # in order: a later one corrects the earlier ones
        names = found.get((subject.name, prompt), frozenset())
        members = members | names if prompt.inside else members - names
    return members


def _named_by(prompt: Prompt, question: Question) -> frozenset[str]:
    if prompt.kind in ("class", "words"):
        return frozenset(name for name in COLOURS if name in (*prompt.names, *prompt.text.split()))
    width, height = question.width, question.height
    place = prompt.in_pixels(width, height)
    centres = {name: centre(name, question.time_s) for name in COLOURS}
    pixels = {name: (x * width, y * height) for name, (x, y) in centres.items()}
    if prompt.kind == "box":
        left, top, wide, high = place
        return frozenset(n for n, (x, y) in pixels.items() if left <= x <= left + wide and top <= y <= top + high)
    return frozenset(n for n, at in pixels.items() if math.dist(at, place) <= RADIUS * height)
