"""Chooser for `class:` prompts: Mask2Former, by default with the classes of ADE20K."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from workers.choosers.class_segmenter import ClassSegmenter, Outputs, Windows
from workers.models.segmentation import scores
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.preprocessing import Preprocessing

_SCORES = (384, 384)  # at which the library computes them
_SIDE_PX = 384  # of the pictures for the published checkpoints


class Mask2former(ClassSegmenter):
    name = "mask2former"

    def figures(self, network: Any) -> Preprocessing:
        return Preprocessing(MEAN, DEVIATION, width=_SIDE_PX, height=_SIDE_PX, divisor=32)

    def joined(self, outputs: Sequence[Outputs], seen: Windows) -> Tensor:
        ((classes, masks),) = outputs
        return scores.class_scores(classes, masks, _SCORES)
