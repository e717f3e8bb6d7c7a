"""Prompts as the inputs of SAM's family of networks: points, boxes as pairs of points, and masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from stream.errors import UsageError
from stream.records.subjects import Prompt
from stream.settings import Settings
from workers.choosers.given import first_region

_OUTSIDE, _INSIDE, _TOP_LEFT, _BOTTOM_RIGHT = range(4)  # labels of points, as the networks were trained


@dataclass(frozen=True, slots=True)
class Points:
    """coordinates: float32 (1, 1, N, 2), x and y in pixels of the network's input. labels: int32 (1, 1, N)."""

    coordinates: Tensor
    labels: Tensor


def points(prompts: Sequence[Prompt], width: int, height: int, size: int) -> Points | None:
    """The points and boxes among the prompts; None if there are none. width, height: of the frame in pixels. size: of
    the network's square input. Of several boxes, the network gets the one around all of them: it takes one only."""
    corners = [
        (x, y, x + w, y + h)
        for prompt in prompts
        if prompt.kind == "box"
        for x, y, w, h in [prompt.in_pixels(width, height)]
    ]
    placed: list[tuple[float, float, int]] = []
    if corners:
        left, top, right, bottom = zip(*corners, strict=True)
        placed += [(min(left), min(top), _TOP_LEFT), (max(right), max(bottom), _BOTTOM_RIGHT)]
    for prompt in prompts:
        if prompt.kind == "point":
            x, y = prompt.in_pixels(width, height)
            placed.append((x, y, _INSIDE if prompt.inside else _OUTSIDE))
    if not placed:
        return None
    coordinates = torch.tensor([[x * size / width, y * size / height] for x, y, _ in placed])
    labels = torch.tensor([label for _, _, label in placed], dtype=torch.int32)
    return Points(coordinates[None, None], labels[None, None])


def mask(prompts: Sequence[Prompt], size: int, settings: Settings) -> Tensor | None:
    """The union of the masks among the prompts, as `read_mask`; None if there are none. Raises InputError and
    UsageError."""
    masks = [read_mask(prompt.text, size, settings) for prompt in prompts if prompt.kind == "mask"]
    return torch.stack(masks).amax(0) if masks else None


def read_mask(text: str, size: int, settings: Settings) -> Tensor:
    """A mask as float32 (1, 1, size, size), 0 or 1; of a video its first frame. text: as in its prompt.

    Raises InputError and UsageError, which name the mask, if it cannot be read or is empty.
    """
    region = torch.from_numpy(first_region(text, settings))[None, None]
    resized = functional.interpolate(region, (size, size), mode="bilinear", align_corners=False, antialias=True)
    binary = (resized >= 0.5).float()
    if not binary.any():
        raise UsageError(f"mask: {text} is empty: nothing in it is white")
    return binary
