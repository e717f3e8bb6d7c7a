"""Divides a matte among several subjects: whose each pixel is. Pure functions.

Alpha is computed, steadied and shaped once, for all subjects together, and then divided by their regions: the mattes of
the subjects add up to the matte of all of them, wherever they touch, and smoothing cannot make their edges differ. In
its own edge a subject has the alpha of the common matte. Between two that touch, the common matte has no edge; there it
is divided in the ratio of their regions, fitted to the picture's edges.
"""

import functools
from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from stream.picture.frames import Alpha, Plane
from workers.edges import guided

Shares = Mapping[str, Alpha]
"""By the names of subjects: float32 (h, w), 0-1, the part of a pixel's alpha that is the subject's. All have the same
size. Their sum is at most 1; it is 0 far from all regions."""

_GRID_PX = 180  # largest side of the shares: a quarter of a 720p picture, which makes fitting cheap
_FAINT = 0.1  # sum of the regions below which a pixel is that of the nearest subject
_REACH = 0.06  # of the larger side: how far from a region hair, hats and edges that the user widens are still its own
# Of a share about one half. Two that touch do not mix, but their regions' pixels are large. On two drawn discs that
# overlap, in front of a screen, with masks of 108x60 for 640x360, sum of both MADs with 1, 2, 4 and 8: 10.9, 5.4, 4.3
# and 4.0; not fitted to the picture, with 4: 4.2. With colours of more contrast 3.9 and 4.0, with masks of 54x30 3.9
# and 4.8.
_STEEPNESS = 4.0
_CONTESTED_PX = 3  # around pixels of two regions, in which shares are fitted to the picture


def shares(regions: Mapping[str, Alpha]) -> Shares:
    """The shares of the subjects with these regions, float32 of any sizes, 0 elsewhere to 1 subject.

    A pixel in several regions is shared in their ratio, one in none is the nearest subject's. Without a region nothing
    is anybody's.
    """
    if not regions:
        return {}
    planes = np.stack([_on_grid(region, next(iter(regions.values())).shape) for region in regions.values()])
    total = planes.sum(axis=0)
    missing = np.maximum(np.float32(_FAINT) - total, 0)
    distances = np.stack([_distance(plane) for plane in planes])
    nearest = distances.argmin(axis=0)
    near = distances.min(axis=0) <= _REACH * max(total.shape)
    for number, plane in enumerate(planes):
        plane += missing * (near & (nearest == number))
    return dict(zip(regions, planes / (total + missing), strict=True))


def split(alpha: Plane, parts: Shares, luma: Plane) -> dict[str, Plane]:
    """The alpha of each subject, uint8 (H, W), which together are at most `alpha`, and exactly that where the shares
    add up to 1.

    alpha: uint8 (H, W), of all subjects together. luma: uint8 (H, W), of the picture.
    """
    if not parts:
        return {}
    found, before = dict[str, Plane](), np.zeros_like(alpha)
    for name, share in zip(parts, _cumulated(parts, luma), strict=True):
        upto = _u8(cv2.multiply(alpha, share, scale=1 / 255))  # differences of rounded sums add up without an error
        found[name], before = _u8(cv2.subtract(upto, before)), upto
    return found


def _cumulated(parts: Shares, luma: Plane) -> Iterator[Plane]:
    """The sum of each share and those before it, uint8 (H, W), 255 for 1."""
    *earlier, last = np.cumsum(list(parts.values()), axis=0, dtype=np.float32)
    contested = _contested(parts, luma.shape) if earlier else None
    least = np.zeros(luma.shape, np.uint8)
    for total in earlier:
        least = _u8(cv2.max(least, _enlarged(total, luma, contested)))  # fitted shares may overshoot
        yield least
    yield _u8(cv2.max(least, _enlarged(last, luma, None)))  # where subjects touch, all together are 1


def _enlarged(share: Alpha, luma: Plane, contested: Plane | None) -> Plane:
    plain = _u8(cv2.resize(_u8(cv2.convertScaleAbs(share, alpha=255.0)), luma.shape[::-1]))
    if contested is not None:
        cv2.copyTo(guided.upsample(share, luma), contested, plain)
    return _u8(cv2.LUT(plain, _steep_table()))


@functools.cache
def _steep_table() -> Plane:
    """uint8 (256,): shares with more contrast about one half, 0 and 1 unchanged."""
    return _u8(np.clip(np.rint((np.arange(256) - 127.5) * _STEEPNESS + 127.5), 0, 255).astype(np.uint8))


def _contested(parts: Shares, shape: tuple[int, ...]) -> Plane | None:
    """Where two subjects touch: uint8 (H, W), 255 there and around it. None if they do not.

    Elsewhere shares change only between subjects, where alpha is 0; fitting would move that into their edges.
    """
    both = np.sum([share > _FAINT for share in parts.values()], axis=0) > 1
    if not both.any():
        return None
    side = 2 * _CONTESTED_PX + 1
    around = cv2.dilate(_u8(both * np.uint8(255)), np.ones((side, side), np.uint8))
    return _u8(cv2.resize(around, shape[::-1], interpolation=cv2.INTER_NEAREST))


def _on_grid(region: Alpha, like: tuple[int, ...]) -> Alpha:
    height, width = (min(side, _GRID_PX) for side in like)
    if region.shape == (height, width):
        return np.asarray(region, np.float32)
    return np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _distance(region: Alpha) -> Alpha:
    """From each pixel to the region, float32, in pixels; infinite if it is empty."""
    outside = _u8(region < _FAINT)
    if outside.all():
        return np.full(region.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 3), np.float32)


def _u8(image: object) -> Plane:
    """OpenCV's result with its actual type; nothing is copied."""
    return np.asarray(image, np.uint8)
