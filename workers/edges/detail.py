"""Refines a matte in the unknown band of its trimap, by a network that reads the picture and the trimap.

The network runs at the picture's full resolution, on tiles along the band. Their results are blended over a margin in
which tiles overlap, so that there are no seams, and are used only inside the band. Knows no particular network.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame, Plane, to_av
from workers.edges import trimap

Network = Callable[[Plane, Plane], Alpha]
"""Pictures, uint8 (B, h, w, 3) RGB, and their trimaps, uint8 (B, h, w), to alphas, float32 (B, h, w), 0-1."""

SIDE_PX = 512  # of a tile, as in the training of ViTMatte
_MARGIN_PX = 64  # of a tile, on each side: context for the network, and the width of the blend

_Slices = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture. rows, columns: in pixels, with even starts and ends, for chroma."""

    rows: slice
    columns: slice

    @property
    def slices(self) -> _Slices:
        return self.rows, self.columns


def refine(frame: Frame, alpha: Alpha, network: Network, batch: int) -> Alpha:
    """Alpha at the frame's size, float32 (H, W), 0-1: the network's inside the band, elsewhere that of the engine.

    alpha: float32 (h, w), 0-1, of any size. batch: number of tiles per call of the network.
    """
    width, height = frame.width, frame.height
    full = alpha if alpha.shape == (height, width) else _f32(cv2.resize(alpha, (width, height)))
    known = trimap.draw(alpha, width, height, frame.pixels[:height])
    band = known == trimap.UNKNOWN
    total, weights = np.zeros((2, height, width), np.float32)
    remaining = tiles(band)
    while chosen := list(islice(remaining, batch)):
        pictures = np.stack([_rgb(frame, tile) for tile in chosen])
        alphas = network(pictures, np.stack([known[tile.slices] for tile in chosen]))
        for tile, part in zip(chosen, alphas, strict=True):
            weight = _window(tile, height, width)
            total[tile.slices] += weight * part
            weights[tile.slices] += weight
    return np.where(band, np.clip(total / np.maximum(weights, 1e-6), 0.0, 1.0), full)


def tiles(band: npt.NDArray[np.bool_]) -> Iterator[Tile]:
    """Tiles that cover the band, (H, W), row by row. All have the same size.

    Every pixel of the band is in the core of a tile: at least the margin away from its sides that are not sides of the
    picture.
    """
    height, width = band.shape
    for top, bottom in _cores(np.asarray(band.any(axis=1))):
        rows = _around(top, height)
        for left, _ in _cores(np.asarray(band[top:bottom].any(axis=0))):
            yield Tile(rows, _around(left, width))


def _cores(used: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end of the cores of tiles along one side of the picture. used: (n,), which pixels must be in a core."""
    length = SIDE_PX - 2 * _MARGIN_PX
    end = 0
    for start in np.flatnonzero(used).tolist():
        if start >= end:
            end = start + length
            yield start, min(end, len(used))


def _around(core: int, length: int) -> slice:
    """The tile around a core, moved inside the picture's side of this length."""
    side = min(SIDE_PX, length)
    start = min(max(0, core - _MARGIN_PX), length - side) // 2 * 2
    return slice(start, start + side)


def _window(tile: Tile, height: int, width: int) -> Alpha:
    """Weights of a tile in the blend, float32, falling to nearly 0 at its sides that are not sides of the picture."""
    down, across = _ramp(tile.rows, height), _ramp(tile.columns, width)
    return _f32(down[:, None] * across[None, :])


def _ramp(part: slice, length: int) -> Alpha:
    places = np.arange(part.start, part.stop) + 0.5
    before = places - part.start if part.start > 0 else np.inf
    after = part.stop - places if part.stop < length else np.inf
    return _f32(np.minimum(1.0, np.minimum(before, after) / _MARGIN_PX) * np.ones(len(places)))


def _rgb(frame: Frame, tile: Tile) -> Plane:
    """uint8 (h, w, 3): the picture's part in RGB."""
    if frame.gray:
        return np.repeat(frame.pixels[tile.slices][..., None], 3, axis=2)
    parts = []
    for plane, step in zip(frame.planes(), (1, 2, 2), strict=True):
        rows, columns = (slice(side.start // step, side.stop // step) for side in tile.slices)
        parts.append(plane[rows, columns].reshape(-1))
    pixels = np.concatenate(parts).reshape(-1, tile.columns.stop - tile.columns.start)
    return np.asarray(to_av(Frame(pixels, 0, frame.time_base), "rgb24").to_ndarray(), np.uint8)


def _f32(image: object) -> Alpha:
    return np.asarray(image, np.float32)
