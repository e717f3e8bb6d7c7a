"""The connected regions of each class in one picture, from the scores of a segmentation network."""

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor
from torch.nn import functional

from stream.records.subjects import Prompt
from workers.choosers.automatic_masks import Mask
from workers.choosers.base import Region, Search
from workers.models.segmentation import scores


def regions(found: Tensor, names: Sequence[str], size: tuple[int, int], search: Search) -> list[Region]:
    """The largest `search.most`. Several regions of one class have the same prompt, which finds all of them.

    found: scores of all classes, float32 (C, h, w), as `scores.class_scores` returns them. names: of the classes. size:
    (height, width) of the masks.
    """
    least = search.smallest * size[0] * size[1]
    parts = [
        Region(mask, score, Prompt(kind="class", names=(names[index],)))
        for index in sorted(set(found.argmax(0).flatten().tolist()))
        for mask, score in _parts(_resized(scores.region(found, [index]), size), least)
    ]
    return sorted(parts, key=lambda part: np.count_nonzero(part.mask), reverse=True)[: search.most]


def _resized(region: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(region[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _parts(region: Tensor, least: float) -> list[tuple[Mask, float]]:
    """The connected parts of a soft region that have at least so many pixels, each with its mean."""
    soft = region.float().numpy(force=True)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((soft > 0.5).view(np.uint8), connectivity=8)
    large = [part for part in range(1, count) if statistics[part, cv2.CC_STAT_AREA] >= least]
    return [(labels == part, float(soft[labels == part].mean())) for part in large]
