"""From the outputs of a segmentation network to scores of classes and soft regions.

The steps up to the scores are those of the library's `post_process_semantic_segmentation`, without its argmax.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Size = tuple[int, int]
"""(height, width) in pixels."""

_EVIDENCE = 0.05  # where all classes have lower scores, none was recognised


def class_scores(class_logits: Tensor, mask_logits: Tensor, size: Size) -> Tensor:
    """Scores of the classes, float32 (C, *size), at least 0. Not normalised: those of a pixel do not add up to 1.

    class_logits: float32 (Q, C + 1) of Q queries; the last class is "nothing". mask_logits: float32 (Q, h, w).
    """
    masks = torch.nn.functional.interpolate(mask_logits[None], size, mode="bilinear", align_corners=False)[0]
    return torch.einsum("qc,qhw->chw", class_logits.softmax(-1)[:, :-1], masks.sigmoid())


def merged(scores: Sequence[Tensor], starts: Sequence[int], size: Size) -> Tensor:
    """The scores (C, *size) of a picture from those of its windows, each (C, h, w): where windows overlap, their mean.

    starts: of the windows along the longer side. What windows have beyond the picture is dropped.
    """
    total = scores[0].new_zeros(len(scores[0]), *size)
    count = total.new_zeros(size)
    height, width = size
    for window, start in zip(scores, starts, strict=True):
        top, left = (start, 0) if height > width else (0, start)
        rows, columns = min(window.shape[1], height - top), min(window.shape[2], width - left)
        total[:, top : top + rows, left : left + columns] += window[:, :rows, :columns]
        count[top : top + rows, left : left + columns] += 1
    return total / count.clamp(min=1)


def region(scores: Tensor, classes: Sequence[int]) -> Tensor:
    """Where these classes are, float32 (h, w), 0 to 1; above one half exactly where one of them has the highest score.

    scores: (C, h, w), at least 0. The region is the share of the best of these classes in its sum with the best of the
    others; 0 where no class was recognised.
    """
    chosen = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    chosen[list(classes)] = True
    best, other = (_highest(scores[members]) for members in (chosen, ~chosen))
    share = best / (best + other).clamp(min=_EVIDENCE)
    return torch.where(torch.maximum(best, other) >= _EVIDENCE, share, 0.0)


def confidence(region: Tensor) -> float:
    """How clearly the classes of a region were found, 0 to 1: the mean of the region where it is above one half; 0 if
    it is nowhere."""
    inside = region[region > 0.5]
    return float(inside.mean()) if len(inside) else 0.0


def _highest(scores: Tensor) -> Tensor:
    return scores.amax(0) if len(scores) else scores.new_zeros(scores.shape[1:])
