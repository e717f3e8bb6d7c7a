"""A picture of three things, and a small real model with the parts of `Sam2VideoModel` that knows them.

Each point gets three masks: the part under it, the thing, and everything that is not background. Only what is there is
confident. On the background nothing is.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SIDE = 64  # of the network's masks; its input has four times it
INPUT = 4 * SIDE
THINGS = {"left": (4, 8, 24, 40), "right": (32, 20, 58, 60), "small": (40, 4, 46, 10)}
"""Left, top, right and bottom in pixels of the masks."""
PART = (38, 24, 54, 36)  # of "right"
_SURE, _UNSURE = 0.95, 0.3


def mask(box: tuple[int, int, int, int]) -> Tensor:
    """bool (SIDE, SIDE)."""
    drawn = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    left, top, right, bottom = box
    drawn[top:bottom, left:right] = True
    return drawn


@dataclass
class _Config:
    multimask_output_in_sam: bool = True
    multimask_max_pt_num: int = 1


class DrawnModel:
    """part_first: a point in the part finds it, and not the whole thing. batches: numbers of points asked at once."""

    def __init__(self, part_first: bool = False) -> None:
        self.config, self.batches = _Config(), list[int]()
        self._part_first = part_first

    def get_image_embeddings(self, pixels: Tensor) -> list[Tensor]:
        assert pixels.shape == (1, 3, INPUT, INPUT)
        return [torch.zeros(1)] * 3

    def get_image_wide_positional_embeddings(self) -> Tensor:
        return torch.zeros(1)

    def get_prompt_embeddings(self, coordinates: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """coordinates: (1, n, P, 2). labels: (1, n, P)."""
        assert coordinates.shape[:-1] == labels.shape
        return coordinates, labels

    def mask_decoder(self, sparse_prompt_embeddings: Tensor, multimask_output: bool, **_: Any) -> tuple[Tensor, Tensor]:
        (coordinates,) = sparse_prompt_embeddings
        self.batches.append(len(coordinates))
        answers = [self._answer(prompt / 4, multimask_output) for prompt in coordinates]
        masks, overlaps = zip(*answers, strict=True)
        return torch.stack(masks)[None], torch.stack(overlaps)[None]

    def _answer(self, prompt: Tensor, several: bool) -> tuple[Tensor, Tensor]:
        """Logits (M, SIDE, SIDE) and overlaps (M,). prompt: (P, 2), a point or two corners, in pixels of the masks."""
        if not several:
            left, top, right, bottom = prompt.flatten().round().int().tolist()
            return _logits(mask((left, top, right, bottom)))[None], torch.tensor([_SURE])
        x, y = prompt[0].tolist()
        thing = next((box for box in THINGS.values() if _within(box, x, y)), None)
        if thing is None:
            return torch.full((3, SIDE, SIDE), -8.0), torch.full((3,), _UNSURE)
        part = PART if thing == THINGS["right"] and _within(PART, x, y) else thing
        everything = torch.stack([mask(box) for box in THINGS.values()]).any(0)
        first, second = (0.0, 0.01) if self._part_first else (0.01, 0.0)
        masks = [_logits(mask(part)), _logits(mask(thing)), _logits(everything)]
        return torch.stack(masks), torch.tensor([_SURE - first, _SURE - second, _UNSURE])


def _logits(inside: Tensor) -> Tensor:
    return torch.where(inside, 8.0, -8.0)


def _within(box: tuple[int, int, int, int], x: float, y: float) -> bool:
    left, top, right, bottom = box
    return left <= x < right and top <= y < bottom
