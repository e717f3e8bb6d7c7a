"""Combines the region of a subject, soft and small, with an engine's alpha, which has the edge. Pure functions.

Deep inside the region alpha is 1, far outside 0. In the band between, whose width is that of the region's uncertainty
(its pixels are large, and it may be soft), alpha is the engine's where it agrees with the region on both sides of the
band. Where it does not, as for an object that it does not know or next to a person that is removed, alpha is the region
itself, fitted to the picture's edges by the guided filter.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from stream.picture.frames import Alpha, Plane
from workers.edges import guided

_BAND_PX = 2  # of the region, on either side of its border: where the true border may be
# Mean differences of the engine's alpha and the region, at which only the engine, and only the region counts: beside
# the band, in the larger window, and inside it. Windows in pixels of the region.
_BESIDE, _WINDOW_PX = (0.15, 0.4), 9
_INSIDE, _EDGE_WINDOW_PX = (0.05, 0.2), 5
_EXPECTED = 0.1  # weight of differences inside the band for those beside it
_REMOVED = (0.2, 0.8)  # values of a region to be removed that count as 0 and 1
_GRID_PX = 320  # largest side of the grid for everything but the result
_UNIT = np.float32(1 / 255)


def union(regions: Sequence[Alpha]) -> Alpha:
    """The largest value of several regions, float32 of the first one's size."""
    total, *others = regions
    for region in others:
        total = np.maximum(total, _resized(region, total.shape))
    return total


def within(alpha: Alpha, region: Alpha, luma: Plane, removed: Alpha | None = None) -> Alpha:
    """The alpha of the subject in a region, float32, of the larger one of both sizes, at most that of the picture.

    alpha: float32 (h, w), 0-1, of the engine. region: float32 of any size, 0 elsewhere to 1 subject. luma: uint8
    (H, W), of the picture. removed: the region of what is not to be seen, of any size; it wins where both are 1.
    """
    size = _size(alpha, region, luma)
    kept = region if removed is None else _minus(region, removed)
    grid = _on_grid(kept, size)
    inner, outer = _f32(cv2.erode(grid, _disc(_BAND_PX))), _dilated(grid)
    trust = _trust(alpha, grid, inner, outer)
    if removed is not None:
        trust *= 1 - _dilated(_resized(removed, grid.shape))
    return _within(_resized(alpha, size), _fitted(kept, _luma(luma, size)), inner, outer, trust)


def without(alpha: Alpha, removed: Alpha, luma: Plane) -> Alpha:
    """The engine's alpha without what is in the region `removed`: all of its edge, if nothing else is next to it.

    Arguments and result as for `within`.
    """
    size = _size(alpha, removed, luma)
    grid = _on_grid(removed, size)
    others = _resized(alpha, grid.shape) * (1 - _dilated(grid))
    neighbours = _smoothstep(_dilated(others, 3), 0.3, 0.7)
    gone = _dilated(grid) + neighbours * (grid - _dilated(grid))
    left = 1 - _resized(gone, size)
    if neighbours.any():
        beside = 1 - _fitted(removed, _luma(luma, size))
        left += _resized(neighbours, size) * (np.minimum(left, beside) - left)
    return _f32(cv2.multiply(_resized(alpha, size), np.clip(left, 0, 1)))


def _minus(region: Alpha, removed: Alpha) -> Alpha:
    """The region without what is removed; half of a pixel at the border of both is in neither."""
    return _f32(np.maximum(region - _smoothstep(_resized(removed, region.shape), *_REMOVED), 0))


def _within(alpha: Alpha, fitted: Alpha, inner: Alpha, outer: Alpha, trust: Alpha) -> Alpha:
    """At full size: between the region's limits, the engine's alpha or the fitted region."""
    alpha = _f32(cv2.subtract(alpha, fitted))
    cv2.multiply(alpha, _resized(trust, alpha.shape), dst=alpha)
    cv2.add(alpha, fitted, dst=alpha)
    cv2.max(alpha, _resized(inner, alpha.shape), dst=alpha)
    cv2.min(alpha, _resized(outer, alpha.shape), dst=alpha)
    return alpha


def _trust(alpha: Alpha, grid: Alpha, inner: Alpha, outer: Alpha) -> Alpha:
    """1 where the engine's edge counts, 0 where the region's does, on the region's grid.

    It counts less where both differ on the sides of the band, which is another object, or inside it, which is a
    displaced edge, and if the engine's alpha has hardly more pixels than the region.
    """
    band, difference = outer - inner, _f32(cv2.absdiff(_resized(alpha, grid.shape), grid))
    beside = _mean(difference, 1 - (1 - np.float32(_EXPECTED)) * band, _WINDOW_PX)
    inside = _mean(difference, band + np.float32(1e-3), _EDGE_WINDOW_PX)
    finer = np.clip(0.5 * (alpha.shape[1] / grid.shape[1] - 1), 0.0, 1.0)
    return np.float32(finer) * (1 - _smoothstep(beside, *_BESIDE)) * (1 - _smoothstep(inside, *_INSIDE))


def _mean(values: Alpha, weight: Alpha, side: int) -> Alpha:
    return _f32(cv2.blur(values * weight, (side, side)) / cv2.blur(weight, (side, side)))


def _fitted(region: Alpha, luma: Plane) -> Alpha:
    """The region at the picture's size, float32: fitted to its edges, unless it has nearly its resolution."""
    if 2 * region.shape[1] >= luma.shape[1]:
        return _resized(region, luma.shape).copy()
    return guided.upsample(region, luma) * _UNIT


def _size(alpha: Alpha, region: Alpha, luma: Plane) -> tuple[int, int]:
    """Height and width of the result."""
    (high, wide), (height, width) = luma.shape, alpha.shape
    return max(height, min(high, region.shape[0])), max(width, min(wide, region.shape[1]))


def _on_grid(region: Alpha, size: tuple[int, int]) -> Alpha:
    """The region, reduced to at most `_GRID_PX` and half the size of the result in each direction, to save time."""
    height, width = (min(side, _GRID_PX, max(1, full // 2)) for side, full in zip(region.shape, size, strict=True))
    return _resized(region, (height, width))


def _luma(luma: Plane, size: tuple[int, int]) -> Plane:
    if luma.shape == size:
        return luma
    return np.asarray(cv2.resize(luma, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _dilated(grid: Alpha, times: int = 1) -> Alpha:
    return _f32(cv2.dilate(grid, _disc(_BAND_PX), iterations=times))


def _smoothstep(values: Alpha, low: float, high: float) -> Alpha:
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return _f32(x * x * (3 - 2 * x))


def _disc(radius: int) -> Plane:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _resized(plane: Alpha, shape: tuple[int, ...]) -> Alpha:
    """Downscaled by area averaging, upscaled bilinearly; the plane itself if it has this shape."""
    if plane.shape == shape:
        return plane
    shrinks = plane.shape[0] > shape[0] or plane.shape[1] > shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _f32(cv2.resize(plane, (shape[1], shape[0]), interpolation=interpolation))


def _f32(image: object) -> Alpha:
    return np.asarray(image, np.float32)
