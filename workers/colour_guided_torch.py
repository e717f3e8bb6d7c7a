"""`colour_guided` for pictures that are already on a device, many at once, in few and wide steps.

The same filter (He et al., ECCV 2010). At the border a window's mean is over what lies inside the picture.
"""

import functools

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def guided(picture: Tensor, alpha: Tensor, radius: int, epsilon: float) -> Tensor:
    """alpha drawn anew from the picture.

    picture: float32 (B, 3, h, w), 0-1. alpha: float32 (B, 1, h, w), 0-1; so is the result. radius: of the window, in
    pixels. epsilon: how much variance of the picture, 0-1 squared, counts as none.
    """
    side = 2 * radius + 1
    values = torch.cat([picture, alpha], 1)
    products = picture[:, :, None] * values[:, None]
    means = _mean(torch.cat([values, products.flatten(1, 2)], 1), side)
    centre, level = means[:, :3], means[:, 3:4]
    shared = means[:, 4:].reshape(products.shape) - centre[:, :, None] * means[:, None, :4]
    slope = _solve(shared[:, :, :3] + _diagonal(epsilon, picture.device), shared[:, :, 3])
    offset = level - (slope * centre).sum(1, keepdim=True)
    lines = _mean(torch.cat([slope, offset], 1), side)
    return ((lines[:, :3] * picture).sum(1, keepdim=True) + lines[:, 3:]).clamp(0, 1)


def _mean(planes: Tensor, side: int) -> Tensor:
    """Over windows, rows and columns in turn: they are so large here that this is worth a second kernel."""
    half = side // 2
    rows = avg_pool2d(planes, (side, 1), 1, (half, 0), count_include_pad=False)
    return avg_pool2d(rows, (1, side), 1, (0, half), count_include_pad=False)


def _solve(left: Tensor, right: Tensor) -> Tensor:
    """x of S x = right at every pixel: (B, 3, h, w). left: (B, 3, 3, h, w), symmetric: so is its adjugate, whose rows
    are then the products of S's other two."""
    adjugate: Tensor = torch.linalg.cross(left.roll(-1, 1), left.roll(-2, 1), dim=2)
    determinant = (left[:, 0] * adjugate[:, 0]).sum(1, keepdim=True)
    return (adjugate * right[:, None]).sum(2) / determinant


@functools.cache
def _diagonal(value: float, device: torch.device) -> Tensor:
    return (value * torch.eye(3))[:, :, None, None].to(device)
