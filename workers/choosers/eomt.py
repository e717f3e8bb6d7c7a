"""Chooser for `class:` prompts: EoMT, a plain vision transformer, which sees large pictures in overlapping windows."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from workers.choosers.class_segmenter import ClassSegmenter, Outputs, Windows
from workers.models.segmentation import scores
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.preprocessing import Preprocessing


class Eomt(ClassSegmenter):
    name = "eomt"

    def figures(self, network: Any) -> Preprocessing:
        side = int(network.config.image_size)
        return Preprocessing(MEAN, DEVIATION, width=side, height=side)

    def joined(self, outputs: Sequence[Outputs], seen: Windows) -> Tensor:
        height, width, _ = seen.pictures[0].shape
        parts = [scores.class_scores(classes, masks, (height, width)) for classes, masks in outputs]
        return scores.merged(parts, seen.starts, seen.size)
