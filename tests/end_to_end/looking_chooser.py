"""Runs `mattebox` with a chooser that sees the drawn subjects of `tests/workers/choosers/scene.py` by their colours.

The double there knows the scene by the time, which says nothing about a camera. `python -m
tests.end_to_end.looking_chooser serve …`
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from stream.picture.frames import Alpha, Frame
from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import Rank
from stream.records.options import Options
from stream.records.subjects import Prompt
from stream.settings import Settings
from tests.end_to_end import as_mattebox
from tests.workers.choosers.scene import Memory, _members, picture
from workers.choosers.base import Choice, Chooser, Question
from workers.weights.known import Say

_STRONG = 150  # of U and V: no other colour of the scene reaches it
_LOOP = 94  # pictures at 30 per second: the subjects are back where they began

RECORD = ChooserRecord(
    "looking", "tests.end_to_end.looking_chooser:Looking", "Colours (looking)", "Finds what is red or blue.",
    prompts=("point", "box"), recurrent=True, live=Rank(200, "it sees the scene"), files=Rank(200, "it sees the scene"),
)  # fmt: skip


def write_scene(path: Path) -> Path:
    """Write the scene of two moving subjects in the format of Chromium's fake camera (.mjpeg)."""
    with path.open("wb") as file:
        for n in range(_LOOP):
            file.write(cv2.imencode(".jpg", picture(n / 30)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    return path


class Looking(Chooser):
    name, device, recurrent = "looking", "test", True

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        """Loads nothing."""

    def prepare(self, frame: Frame) -> Mapping[str, Alpha]:
        """The regions by colour, at half the picture's size."""
        _, u, v = frame.planes()
        return {"red": (v > _STRONG).astype(np.float32), "blue": (u > _STRONG).astype(np.float32)}

    def choose(self, questions: Sequence[Question], states: Sequence[Memory | None]) -> list[Choice]:
        return [_answer(question, state or Memory()) for question, state in zip(questions, states, strict=True)]


def _answer(question: Question, memory: Memory) -> Choice:
    prompts = [(subject.name, prompt) for subject in question.subjects for prompt in subject.prompts]
    found = {key: memory.found.get(key) or _found(key[1], question.seen) for key in prompts}
    regions = {}
    for subject in question.subjects:
        parts = [question.seen[name] for name in _members(subject, found)]
        regions[subject.name] = np.maximum.reduce([np.zeros_like(question.seen["red"]), *parts])
    return Choice(regions, Memory(found), dict.fromkeys(regions, 1.0))


def _found(prompt: Prompt, regions: Mapping[str, Alpha]) -> frozenset[str]:
    height, width = regions["red"].shape
    left, top, *size = (round(number) for number in prompt.in_pixels(width, height))
    if not size:
        return frozenset(name for name, region in regions.items() if region[top, left])
    inside = np.s_[top : top + size[1], left : left + size[0]]
    return frozenset(name for name, region in regions.items() if 2 * region[inside].sum() > region.sum() > 0)


if __name__ == "__main__":
    CHOOSERS[RECORD.name] = RECORD
    as_mattebox.run("tests.end_to_end.looking_chooser")
