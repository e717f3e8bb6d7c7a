"""`colour_guided` for pictures that are already on a device, many at once, in few and wide steps.

The same filter (He et al., ECCV 2010). At the border a window's mean is over what lies inside the picture.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.steady.motion_torch import mean


def lines(values: Tensor, radii: Sequence[int], epsilon: float) -> Tensor:
    """float32 (B, 4, h, w): the slopes over the picture's channels, and the offset, that alpha has around each pixel:
    the mean of those over windows of several radii.

    values: float32 (B, 4, h, w), 0-1, the picture and its alpha. radii: in pixels. epsilon: how much variance of the
    picture, 0-1 squared, counts as none.
    """
    sides = [2 * radius + 1 for radius in radii]
    products = values[:, :3, None] * values[:, None]
    both = torch.cat([values, products.flatten(1, 2)], 1)
    means = torch.cat([mean(both, side) for side in sides])
    centre, level = means[:, :3], means[:, 3:4]
    shared = means[:, 4:].reshape(-1, *products.shape[1:]) - centre[:, :, None] * means[:, None, :4]
    slope = _solve(shared[:, :, :3] + _diagonal(epsilon, values.device), shared[:, :, 3])
    found = torch.cat([slope, level - (slope * centre).sum(1, keepdim=True)], 1)
    smooth = [mean(one, side) for one, side in zip(found.chunk(len(sides)), sides, strict=True)]
    return torch.stack(smooth).mean(0) if len(smooth) > 1 else smooth[0]


def drawn(picture: Tensor, found: Tensor) -> Tensor:
    """alpha drawn anew from the picture, float32 (B, 1, h, w), 0-1. picture: (B, 3, h, w), 0-1. found: from `lines`."""
    return ((found[:, :3] * picture).sum(1, keepdim=True) + found[:, 3:]).clamp(0, 1)


def _solve(left: Tensor, right: Tensor) -> Tensor:
    """x of S x = right at every pixel: (B, 3, h, w). left: (B, 3, 3, h, w), symmetric: so is its adjugate, whose rows
    are then the products of S's other two."""
    adjugate: Tensor = torch.linalg.cross(left.roll(-1, 1), left.roll(-2, 1), dim=2)
    determinant = (left[:, 0] * adjugate[:, 0]).sum(1, keepdim=True)
    return (adjugate * right[:, None]).sum(2) / determinant


@functools.cache
def _diagonal(value: float, device: torch.device) -> Tensor:
    return (value * torch.eye(3))[:, :, None, None].to(device)
