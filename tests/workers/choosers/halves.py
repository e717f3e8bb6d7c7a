"""A chooser that lists two things in every frame of a numbered clip: a small real one, of which all is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from stream.picture.frames import Frame
from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import Rank
from stream.records.options import Options
from stream.records.subjects import Prompt
from stream.settings import Settings
from tests.media import number_of
from workers.choosers.base import Lister, Region, Search
from workers.weights.known import Say, silent

RECORD = ChooserRecord(
    "halves", "tests.workers.choosers.halves:Halves", "Halves (halves)", "Lists the halves of a picture.",
    prompts=("point", "box"), lists=True, files=Rank(100, "it knows halves"),
)  # fmt: skip


class Halves(Lister):
    """Lists the left half of each frame, and a smaller thing on the right whose score is the frame's number."""

    name, device = "halves", "test"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        pass

    def candidates(self, frame: Frame, search: Search) -> list[Region]:
        left, right = np.zeros((2, frame.height, frame.width), np.bool_)
        left[:, : frame.width // 2] = True
        right[10:20, -20:-8] = True
        found = [
            Region(right, number_of(frame) / 100, Prompt(kind="box", place=(0.7, 0.2, 0.2, 0.2))),
            Region(left, 0.9, Prompt(kind="point", place=(0.25, 0.5))),
        ]
        return [region for region in found if region.mask.mean() >= search.smallest][: search.most]


@contextmanager
def registered() -> Iterator[None]:
    """The chooser is known besides the product's own, in this process."""
    with patch.dict(CHOOSERS, {RECORD.name: RECORD}):
        yield
