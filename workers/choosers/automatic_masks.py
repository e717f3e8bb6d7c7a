"""The steps that turn a network's masks for a grid of points into a list of things: SAM's automatic mask generator.

They are those of A. Kirillov et al., "Segment Anything" (2023), section 4 and appendix B: a regular grid of points, of
whose masks the confident and stable ones are kept, without duplicates, small parts and small holes. Crops are not used.
Knows nothing about networks and frames.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Mask = npt.NDArray[np.bool_]

_LONG_SIDE_PX = 1024  # of masks; those that the networks compute have a quarter of it


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Which masks are kept: by default, those that the authors of SAM 2 published for its generator.

    overlap: least overlap with the true mask, as the network predicts it. stability: least `stability` with `offset`.
    duplicate: boxes with a larger overlap are of the same thing. whole: larger shares of the picture are left out.
    """

    overlap: float = 0.8
    stability: float = 0.95
    offset: float = 1.0
    duplicate: float = 0.7
    whole: float = 0.95


def size_for(width: int, height: int) -> tuple[int, int]:
    """(height, width) of the masks of a picture of this size."""
    scale = min(1.0, _LONG_SIDE_PX / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def grid(side: int) -> Tensor:
    """float32 (side * side, 2): the centres x, y, 0 to 1, of equal cells of a picture, row by row."""
    centres = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def stability(logits: Tensor, offset: float) -> Tensor:
    """float32 (N,), 0 to 1: the overlap of each mask at the threshold `offset` with itself at `-offset`; 0 for masks
    that are empty at both. logits: (N, h, w), above 0 inside."""
    inner, outer = ((logits > threshold).sum((-2, -1)).float() for threshold in (offset, -offset))
    return inner / outer.clamp(min=1)


def boxes(masks: Tensor) -> Tensor:
    """int64 (N, 4): left, top, right and bottom of each mask in pixels; right and bottom are the first pixels outside.
    All 0 for an empty mask. masks: bool (N, h, w)."""
    (left, right), (top, bottom) = (_extent(masks.any(dim)) for dim in (-2, -1))
    return torch.stack([left, top, right, bottom], dim=-1)


def _extent(hit: Tensor) -> tuple[Tensor, Tensor]:
    """The first true place, and the one after the last, in each row of (N, length); both 0 if there is none."""
    length, found = hit.shape[-1], hit.any(-1)
    first, last = hit.int().argmax(-1), length - hit.flip(-1).int().argmax(-1)
    return first * found, last * found


def overlaps(one: Tensor, others: Tensor) -> Tensor:
    """float32 (M, N): intersection over union of each of M boxes with each of N, as `boxes` returns them."""
    one, others = one.float(), others.float()
    start, end = (
        torch.maximum(one[:, None, :2], others[None, :, :2]),
        torch.minimum(one[:, None, 2:], others[None, :, 2:]),
    )
    shared = (end - start).clamp(min=0).prod(-1)
    union = _areas(one)[:, None] + _areas(others)[None] - shared
    return shared / union.clamp(min=1)


def _areas(found: Tensor) -> Tensor:
    return (found[:, 2:] - found[:, :2]).prod(-1)


def distinct(found: Tensor, scores: Tensor, limit: float) -> list[int]:
    """Non-maximum suppression: the indices of the boxes that remain, the highest score first, when each one removes all
    of a lower score whose overlap with it is above the limit. Of equal scores, the first counts as higher."""
    order = scores.argsort(descending=True, stable=True).tolist()
    same = (overlaps(found, found) > limit).numpy(force=True)
    remaining: list[int] = []
    removed = np.zeros(len(order), bool)
    for index in order:
        if not removed[index]:
            remaining.append(index)
            removed |= same[index]
    return remaining


def mask_overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks of one size; 0 if both are empty."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 0.0


def without_small_parts(mask: Mask, pixels: float) -> Mask:
    """The mask without holes and separate parts of fewer pixels. Its largest part is kept, whatever its size."""
    filled = mask | _small(~mask, pixels)
    dropped = _small(filled, pixels, spare_largest=True)
    return filled & ~dropped


def _small(mask: Mask, pixels: float, spare_largest: bool = False) -> Mask:
    """The connected parts of fewer pixels, diagonals included."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    small = areas < pixels
    small[0] = False  # what is not in the mask
    if spare_largest and count > 1:
        small[1 + int(areas[1:].argmax())] = False
    return np.asarray(small[labels], np.bool_)


def inner_point(mask: Mask) -> tuple[float, float]:
    """x, y, 0 to 1, of the place that is farthest from the mask's border; the picture's border counts as one. The mask
    is not empty."""
    framed = np.pad(mask.view(np.uint8), 1)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    return (float(column) + 0.5) / mask.shape[1], (float(row) + 0.5) / mask.shape[0]
