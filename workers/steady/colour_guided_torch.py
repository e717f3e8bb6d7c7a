"""`colour_guided` for batches of pictures that are already on a device, in few kernels.

The same filter (He et al., ECCV 2010). At the border a window's mean is over its pixels inside the picture.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.steady.motion_torch import box_mean


def fit_coefficients(values: Tensor, radii: Sequence[int], epsilon: float) -> Tensor:
    """float32 (B, 4, h, w): per pixel, the slope of alpha over each of the picture's channels, and the offset, averaged
    over windows of several radii.

    values: float32 (B, 4, h, w), 0-1, the picture and its alpha. radii: in pixels. epsilon: regularisation, a variance
    of the picture (0-1, squared).
    """
    sides = [2 * radius + 1 for radius in radii]
    products = values[:, :3, None] * values[:, None]
    moments = torch.cat([values, products.flatten(1, 2)], 1)
    means = torch.cat([box_mean(moments, side) for side in sides])
    mean_colour, mean_alpha = means[:, :3], means[:, 3:4]
    covariance = means[:, 4:].reshape(-1, *products.shape[1:]) - mean_colour[:, :, None] * means[:, None, :4]
    slope = _solve(covariance[:, :, :3] + _diagonal(epsilon, values.device), covariance[:, :, 3])
    windows = torch.cat([slope, mean_alpha - (slope * mean_colour).sum(1, keepdim=True)], 1)
    smooth = [box_mean(window, side) for window, side in zip(windows.chunk(len(sides)), sides, strict=True)]
    return torch.stack(smooth).mean(0) if len(smooth) > 1 else smooth[0]


def apply_coefficients(picture: Tensor, coefficients: Tensor) -> Tensor:
    """The filtered alpha, float32 (B, 1, h, w), 0-1.

    picture: float32 (B, 3, h, w), 0-1. coefficients: float32 (B, 4, h, w), from `fit_coefficients`.
    """
    return ((coefficients[:, :3] * picture).sum(1, keepdim=True) + coefficients[:, 3:]).clamp(0, 1)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """x of S x = right at every pixel, (B, 3, h, w). matrix: S, (B, 3, 3, h, w), symmetric. Its adjugate is symmetric
    too, so each of its rows is the cross product of S's other two rows."""
    adjugate: Tensor = torch.linalg.cross(matrix.roll(-1, 1), matrix.roll(-2, 1), dim=2)
    determinant = (matrix[:, 0] * adjugate[:, 0]).sum(1, keepdim=True)
    return (adjugate * right[:, None]).sum(2) / determinant


@functools.cache
def _diagonal(value: float, device: torch.device) -> Tensor:
    return (value * torch.eye(3))[:, :, None, None].to(device)
