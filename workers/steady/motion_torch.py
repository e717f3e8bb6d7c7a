"""`motion` for batches of thumbnails on a device.

There is no DIS flow in torch. Instead, block matching in steps of four cells, up to `MAX_MOTION` cells away, is refined
by a fixed number of Lucas-Kanade iterations (1981) at the same resolution, which is also the finest that `motion` uses.
Nothing is read back from the device, and all shapes are static.

Limits: motion of more than `MAX_MOTION` cells a frame; different motions within about twenty cells; fast rotation and
scaling. Where the flow is wrong the pictures disagree, and `smooth_torch` discards history there.
"""

import functools

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from workers.steady.grid import CUT_LEVELS, CUT_RATIO, HEIGHT, WIDTH

_SEARCH_CELLS = 4  # cells of the grid per pixel of the search, along each axis
_SEARCH_STEPS = 5  # in each direction
MAX_MOTION = _SEARCH_CELLS * _SEARCH_STEPS
_SEARCH_WINDOW = 5  # in pixels of the search
_LK_WINDOW, _LK_ITERATIONS = 9, 3
_SHIFT_COST = 0.15  # levels, summed over Y, U and V, that a shift must gain for each pixel of its length
_REGULARISATION = 2.0  # levels squared: windows with gradients as small as this determine little
_STILL_WINDOW = 5


def resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 (B, C, h, w) at another size: averaged by integer factors when it shrinks, then interpolated.

    A remainder at the right and at the bottom, less than a cell, is left out.
    """
    factors = (max(1, planes.shape[2] // size[0]), max(1, planes.shape[3] // size[1]))
    if factors != (1, 1):
        planes = avg_pool2d(planes, factors)
    return planes if planes.shape[2:] == size else interpolate(planes, size, mode="bilinear")


def motion_compensated(memory: Tensor, current: Tensor) -> tuple[Tensor, Tensor]:
    """`memory`, float32 (B, C, 144, 256), warped to the picture `current`, and the residual, (B, 1, 144, 256).

    The first three channels of memory are the previous picture. Where zero motion explains the picture as well, memory
    is not moved.
    """
    moved = warp(memory, flow(current, memory[:, :3]))
    residual_still, residual_moved = (difference(current, values[:, :3]) for values in (memory, moved))
    better = box_mean(residual_still - residual_moved, _STILL_WINDOW) > 0
    return torch.where(better, moved, memory), torch.where(better, residual_moved, residual_still)


def flow(current: Tensor, reference: Tensor) -> Tensor:
    """float32 (B, 2, 144, 256), in cells of the grid: what is at x in `current` is at x + flow[x] in `reference`."""
    side = 2 * _SEARCH_CELLS  # windows of twice the step, against aliasing
    small = avg_pool2d(
        torch.cat([current, reference]), side, _SEARCH_CELLS, _SEARCH_CELLS // 2, count_include_pad=False
    )
    small_current, small_reference = small.chunk(2)
    shifts = _block_matching(small_current, small_reference)
    motion = _lucas_kanade(small_current[:, :1], small_reference[:, :1], shifts)
    return interpolate(motion * _SEARCH_CELLS, (HEIGHT, WIDTH), mode="bilinear")


def warp(values: Tensor, motion: Tensor) -> Tensor:
    """`values` of the reference picture, float32 (B, C, h, w), warped to the current one.

    motion: (B, 2, h, w), in pixels of `values`.
    """
    base, unit = _sampling_grid(values.shape[2], values.shape[3], values.device)
    positions = torch.addcmul(base, motion.permute(0, 2, 3, 1), unit)
    return grid_sample(values, positions, padding_mode="border", align_corners=True)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """float32 (B, 1, h, w): the sum over channels of the absolute differences."""
    total: Tensor = torch.linalg.vector_norm(a - b, 1, dim=1, keepdim=True)
    return total


def box_mean(planes: Tensor, side: int) -> Tensor:
    """float32 (B, C, h, w) averaged over a window of odd side around each pixel; at the border, over the pixels inside.

    In one kernel: at such sizes, launching a second one would take longer than the work that it saves.
    """
    return avg_pool2d(planes, side, 1, side // 2, count_include_pad=False)


def is_cut(colour: Tensor, residual: Tensor) -> Tensor:
    """bool (B,): whether a new scene begins with each picture, as `motion.is_cut`.

    residual: after motion compensation, as `motion_compensated` returns it.
    """
    contrast = colour.std((2, 3), correction=0).sum(1)
    return residual.mean((1, 2, 3)) > (CUT_RATIO * contrast).clamp(min=CUT_LEVELS)


def _block_matching(current: Tensor, reference: Tensor) -> Tensor:
    """float32 (B, 2, h, w), in whole pixels: the shift that best matches `reference` to `current` around each pixel."""
    count, channels, height, width = current.shape
    shifts, cost = _shifts(current.device)
    # every window of the picture's size in the padded picture is one shift of it
    padded = pad(reference, (_SEARCH_STEPS,) * 4, mode="replicate")
    shifted = padded.unfold(2, height, 1).unfold(3, width, 1).reshape(count, channels, len(shifts), height, width)
    error = difference(shifted, current[:, :, None])[:, 0]
    best = (box_mean(error, _SEARCH_WINDOW) + cost).argmin(1)
    return shifts[best].permute(0, 3, 1, 2)


def _lucas_kanade(current: Tensor, reference: Tensor, motion: Tensor) -> Tensor:
    """`motion` refined to fractions of pixels. current, reference: (B, 1, h, w)."""
    gradient = _gradient(current)
    inverse = _inverse_structure_tensor(gradient)
    for _ in range(_LK_ITERATIONS):
        motion = box_mean(motion, _LK_WINDOW)  # each update assumes one motion for the whole window
        mismatch = box_mean(gradient * (warp(reference, motion) - current), _LK_WINDOW)
        motion = motion - (inverse * mismatch[:, None]).sum(2).clamp(-1, 1)
    return motion


def _gradient(plane: Tensor) -> Tensor:
    """float32 (B, 2, h, w): central differences along x and y, of (B, 1, h, w)."""
    padded = pad(plane, (1, 1, 1, 1), mode="replicate")
    x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat([x, y], 1) * 0.5


def _inverse_structure_tensor(gradient: Tensor) -> Tensor:
    """float32 (B, 2, 2, h, w): the inverse of the regularised structure tensor, averaged over windows."""
    products = gradient[:, :, None] * gradient[:, None]
    regularisation, signs = _constants(gradient.device)
    matrix = box_mean(products.flatten(1, 2), _LK_WINDOW).reshape(products.shape) + regularisation
    adjugate = matrix.flip(1, 2) * signs
    determinant = (matrix[:, 0] * adjugate[:, 0]).sum(1)
    return adjugate / determinant[:, None, None]


@functools.cache
def _sampling_grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The coordinates of each pixel for `grid_sample`, (h, w, 2), and the size of a pixel in them, (2,)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    unit = torch.tensor([2 / (width - 1), 2 / (height - 1)])
    return torch.stack([x, y], -1).to(device), unit.to(device)


@functools.cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """The regularisation of the structure tensor, and the signs of an adjugate: both (2, 2, 1, 1)."""
    diagonal = torch.eye(2)[:, :, None, None]
    return (_REGULARISATION * diagonal).to(device), (2 * diagonal - 1).to(device)


@functools.cache
def _shifts(device: torch.device) -> tuple[Tensor, Tensor]:
    """Each shift of the search, (n, 2), and the cost of its length, (n, 1, 1)."""
    steps = torch.arange(-_SEARCH_STEPS, _SEARCH_STEPS + 1, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    shifts = torch.stack([x, y], -1).flatten(0, 1)
    return shifts.to(device), (_SHIFT_COST * shifts.norm(dim=1))[:, None, None].to(device)
