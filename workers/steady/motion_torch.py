"""`motion` for small pictures that are on a device, many at once: flow, and what a memory is carried along.

OpenCV's DIS flow has no twin there. Instead every place is first looked for in whole steps of four cells, as far as
`REACH` cells away, and what was found is made fine by a fixed number of Lucas-Kanade steps (1981) at that size, which
is also the finest that DIS is asked for here. Nothing is read back, and all shapes are known beforehand.

What it cannot do: follow what moves by more than `REACH` cells a frame; tell apart what moves differently within about
twenty cells, or what turns or grows fast. Where it is wrong pictures disagree, and `smooth_torch` drops history.
"""

import functools

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from workers.steady.grid import CUT, HEIGHT, LEAST, WIDTH

_CELL = 4  # cells of the grid that one pixel of the search takes, along each side
_STEPS = 5  # of the search, each way
REACH = _CELL * _STEPS
_WINDOW = 5  # in pixels of the search; of the fine steps:
_NEAR, _TURNS = 9, 3
_CLOSE = 0.15  # levels, summed over Y, U and V, that a shift must gain for every pixel that it is longer
_FLAT = 2.0  # levels squared: windows whose slopes are that small say little
_AROUND = 5


def sized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 (B, C, h, w) at another size: averaged by whole numbers where it shrinks, and interpolated from there.

    What is over at the right and below when the size is no multiple, less than a cell, is left out.
    """
    whole = (max(1, planes.shape[2] // size[0]), max(1, planes.shape[3] // size[1]))
    if whole != (1, 1):
        planes = avg_pool2d(planes, whole)
    return planes if planes.shape[2:] == size else interpolate(planes, size, mode="bilinear")


def brought(memory: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """`memory`, float32 (B, C, 144, 256), as it lies in the picture `here`, and how far the pictures are apart then,
    (B, 1, 144, 256). Its first three channels are the picture before.

    Where standing still explains the picture as well, it does stand still.
    """
    moved = carry(memory, flow(here, memory[:, :3]))
    still, unlike = (difference(here, values[:, :3]) for values in (memory, moved))
    better = mean(still - unlike, _AROUND) > 0
    return torch.where(better, moved, memory), torch.where(better, unlike, still)


def flow(here: Tensor, there: Tensor) -> Tensor:
    """float32 (B, 2, 144, 256), in cells of the grid: what lies at x in `here` lies at x + flow[x] in `there`."""
    # windows of twice the width, or fine texture would become noise that moves
    small = avg_pool2d(torch.cat([here, there]), 2 * _CELL, _CELL, _CELL // 2, count_include_pad=False)
    near, far = small.chunk(2)
    motion = _refined(near[:, :1], far[:, :1], _searched(near, far))
    return interpolate(motion * _CELL, (HEIGHT, WIDTH), mode="bilinear")


def carry(values: Tensor, motion: Tensor) -> Tensor:
    """float32 (B, C, h, w) of `there` as they lie in `here`; motion: (B, 2, h, w), in their pixels."""
    base, unit = _places(values.shape[2], values.shape[3], values.device)
    where = torch.addcmul(base, motion.permute(0, 2, 3, 1), unit)
    return grid_sample(values, where, padding_mode="border", align_corners=True)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """float32 (B, 1, h, w): the channels' absolute differences, summed."""
    apart: Tensor = torch.linalg.vector_norm(a - b, 1, dim=1, keepdim=True)
    return apart


def mean(planes: Tensor, side: int) -> Tensor:
    """float32 (B, C, h, w) averaged over a window of odd side around each pixel; at the border, over what lies inside.

    In one kernel: at such sizes, starting another would take longer than the work that it saves.
    """
    return avg_pool2d(planes, side, 1, side // 2, count_include_pad=False)


def is_cut(colour: Tensor, unlike: Tensor) -> Tensor:
    """bool (B,): is each picture of another scene than the one before? As `motion.is_cut`.

    unlike: what the motion leaves unexplained, as `brought` gives it.
    """
    contrast = colour.std((2, 3), correction=0).sum(1)
    return unlike.mean((1, 2, 3)) > (CUT * contrast).clamp(min=LEAST)


def _searched(here: Tensor, there: Tensor) -> Tensor:
    """float32 (B, 2, h, w), in whole pixels: around each, the shift at which `there` is most like `here`."""
    count, channels, height, width = here.shape
    shifts, away = _shifts(here.device)
    # every window of that size in the larger picture is one shift of it
    around = pad(there, (_STEPS,) * 4, mode="replicate")
    shifted = around.unfold(2, height, 1).unfold(3, width, 1).reshape(count, channels, len(shifts), height, width)
    unlike = difference(shifted, here[:, :, None])[:, 0]
    best = (mean(unlike, _WINDOW) + away).argmin(1)
    return shifts[best].permute(0, 3, 1, 2)


def _refined(here: Tensor, there: Tensor, motion: Tensor) -> Tensor:
    """`motion` in fractions of pixels: what is left in each window is explained by the slopes there."""
    slopes = _slopes(here)
    inverse = _inverse(slopes)
    for _ in range(_TURNS):
        motion = mean(motion, _NEAR)  # one step speaks for a window: its pixels must be moved alike
        pull = mean(slopes * (carry(there, motion) - here), _NEAR)
        motion = motion - (inverse * pull[:, None]).sum(2).clamp(-1, 1)
    return motion


def _slopes(plane: Tensor) -> Tensor:
    """float32 (B, 2, h, w): along x and y, of (B, 1, h, w)."""
    wide = pad(plane, (1, 1, 1, 1), mode="replicate")
    x = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
    y = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    return torch.cat([x, y], 1) * 0.5


def _inverse(slopes: Tensor) -> Tensor:
    """float32 (B, 2, 2, h, w): of the matrix of products of slopes, averaged over windows."""
    products = slopes[:, :, None] * slopes[:, None]
    flat, signs = _squares(slopes.device)
    matrix = mean(products.flatten(1, 2), _NEAR).reshape(products.shape) + flat
    adjugate = matrix.flip(1, 2) * signs
    determinant = (matrix[:, 0] * adjugate[:, 0]).sum(1)
    return adjugate / determinant[:, None, None]


@functools.cache
def _places(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where `grid_sample` finds each pixel, (h, w, 2), and how far a pixel is, (2,)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    unit = torch.tensor([2 / (width - 1), 2 / (height - 1)])
    return torch.stack([x, y], -1).to(device), unit.to(device)


@functools.cache
def _squares(device: torch.device) -> tuple[Tensor, Tensor]:
    """What says little, along both axes, and the signs of an adjugate: both (2, 2, 1, 1)."""
    diagonal = torch.eye(2)[:, :, None, None]
    return (_FLAT * diagonal).to(device), (2 * diagonal - 1).to(device)


@functools.cache
def _shifts(device: torch.device) -> tuple[Tensor, Tensor]:
    """Each shift of the search, (n, 2), and what its length costs, (n, 1, 1)."""
    steps = torch.arange(-_STEPS, _STEPS + 1, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    shifts = torch.stack([x, y], -1).flatten(0, 1)
    return shifts.to(device), (_CLOSE * shifts.norm(dim=1))[:, None, None].to(device)
