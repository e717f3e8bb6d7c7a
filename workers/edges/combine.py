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
_WINDOW_PX = 9  # of the region, in which the engine and the region are compared
_AGREE, _DISAGREE = 0.15, 0.4  # mean difference in a window at which only the engine, and only the region counts
_DOUBTED = 0.1  # weight of differences inside the band: there they are expected
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
    grid = _on_grid(region, size)
    if removed is not None:
        grid = np.minimum(grid, 1 - _resized(removed, grid.shape))
    inner, outer = _band(grid)
    trust = _agreement(_resized(alpha, grid.shape), grid, inner, outer)
    if removed is not None:
        trust *= 1 - _dilated(_resized(removed, grid.shape))
    return _within(_resized(alpha, size), _fitted(grid, _luma(luma, size)), inner, outer, trust)


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
        beside = 1 - _fitted(grid, _luma(luma, size))
        left += _resized(neighbours, size) * (np.minimum(left, beside) - left)
    return np.asarray(cv2.multiply(_resized(alpha, size), left), np.float32)


def _within(alpha: Alpha, fitted: Alpha, inner: Alpha, outer: Alpha, trust: Alpha) -> Alpha:
    """At full size. fitted is overwritten."""
    alpha = np.asarray(cv2.subtract(alpha, fitted), np.float32)
    cv2.multiply(alpha, _resized(trust, alpha.shape), dst=alpha)
    cv2.add(alpha, fitted, dst=alpha)
    cv2.max(alpha, _resized(inner, alpha.shape), dst=alpha)
    cv2.min(alpha, _resized(outer, alpha.shape), dst=alpha)
    return alpha


def _band(grid: Alpha) -> tuple[Alpha, Alpha]:
    """The least and the greatest alpha that the region allows."""
    kernel = _disc(_BAND_PX)
    return _f32(cv2.erode(grid, kernel)), _dilated(grid)


def _agreement(alpha: Alpha, grid: Alpha, inner: Alpha, outer: Alpha) -> Alpha:
    """1 where the engine agrees with the region around a pixel, 0 where it does not, on the region's grid."""
    weight = 1 - (1 - np.float32(_DOUBTED)) * (outer - inner)
    side = (_WINDOW_PX, _WINDOW_PX)
    difference = cv2.blur(cv2.absdiff(alpha, grid) * weight, side) / cv2.blur(weight, side)
    return 1 - _smoothstep(_f32(difference), _AGREE, _DISAGREE)


def _fitted(grid: Alpha, luma: Plane) -> Alpha:
    """The region at the picture's size, float32: fitted to its edges, unless it has nearly its resolution."""
    if 2 * grid.shape[1] > luma.shape[1]:
        return _resized(grid, luma.shape).copy()
    return _f32(cv2.multiply(guided.upsample(grid, luma), float(_UNIT), dtype=cv2.CV_32F))


def _size(alpha: Alpha, region: Alpha, luma: Plane) -> tuple[int, int]:
    """Height and width of the result."""
    (high, wide), (height, width) = luma.shape, alpha.shape
    return max(height, min(high, region.shape[0])), max(width, min(wide, region.shape[1]))


def _on_grid(region: Alpha, size: tuple[int, int]) -> Alpha:
    """The region, reduced to at most half the size of the result in each direction, to save time."""
    height, width = (min(side, max(1, full // 2)) for side, full in zip(region.shape, size, strict=True))
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
