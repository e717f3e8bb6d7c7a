"""Removes specks and fills holes of a matte: connected parts smaller than a share of the picture.

Not "only the largest part", which would jump between two people. A part that was kept stays until it is half as large
as the limit, so that a part near the limit does not blink. Parts are found at reduced size; the soft edges of kept
parts are preserved.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane

Mask = npt.NDArray[np.bool_]

_LONG_SIDE_PX = 256  # of the matte in which parts are found
_FAINT = 0.1  # alpha that connects two parts; if it were higher, people would lose limbs where the engine is unsure
_EDGE_PX = 4.0  # how far the rest of a soft edge extends
_HYSTERESIS = 0.5  # of the limit: a kept part smaller than this is dropped


@dataclass(frozen=True, slots=True)
class Kept:
    """The parts kept in the previous frame, as small masks: solid pixels of the subject, and of the background."""

    subject: Mask
    room: Mask


def clean(kept: Kept | None, alpha: Alpha, specks: float, holes: float) -> tuple[Kept | None, Alpha]:
    """Alpha, float32 (h, w) 0-1, without specks and holes, and the state for the next frame.

    specks, holes: limits as shares of the picture's area, 0 to disable. kept: the previous state, None at the start of
    a video; one of another size is ignored. Holes are enclosed: background that touches the picture's border is not
    filled.
    """
    if specks == 0.0 and holes == 0.0:
        return None, alpha
    small = _small(alpha)
    if kept is not None and kept.subject.shape != small.shape:
        kept = None
    subject, small_parts = _split(small, specks, 8, None if kept is None else kept.subject)
    room, small_holes = _split(1 - small, holes, 4, None if kept is None else kept.room, keep_border=True)
    alpha = _without(alpha, subject, small_parts)
    if small_holes.any():
        alpha = 1 - _without(1 - alpha, room, small_holes)
    return Kept(subject & (small > 0.5), room & (small <= 0.5)), alpha


def _small(alpha: Alpha) -> Alpha:
    height, width = alpha.shape
    scale = _LONG_SIDE_PX / max(height, width)
    if scale >= 1.0:
        return alpha
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _f32(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))


def _split(
    level: Alpha, share: float, connectivity: int, previous: Mask | None, keep_border: bool = False
) -> tuple[Mask, Mask]:
    """The parts that are large enough to be kept, and the others.

    A part includes its faint edge, so that nothing of it remains; its size is the number of its solid pixels.
    """
    mask = level > _FAINT
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=connectivity)
    min_pixels = np.full(count, share * mask.size)
    if previous is not None:
        min_pixels[labels[previous]] *= _HYSTERESIS
    keep = np.bincount(labels[level > 0.5], minlength=count) >= min_pixels
    if keep_border:
        keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    kept = np.asarray(keep[labels]) & mask
    return kept, mask & ~kept


def _without(alpha: Alpha, kept: Mask, dropped: Mask) -> Alpha:
    """Alpha without the dropped parts and their soft edges: each pixel belongs to the nearest part."""
    if not dropped.any():
        return alpha
    to_kept, to_dropped = _distance(kept), _distance(dropped)
    gain = np.clip(0.5 + (to_dropped - to_kept) / 2, 0.0, 1.0)
    gain = np.maximum(gain, np.clip((to_dropped - _EDGE_PX) / 2, 0.0, 1.0))
    return alpha * _f32(cv2.resize(gain, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _distance(mask: Mask) -> Alpha:
    """From each pixel to the mask, float32, in pixels; 1e6 if the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    outside: Plane = (~mask).view(np.uint8)
    return _f32(cv2.distanceTransform(outside, cv2.DIST_L2, 3))


def _f32(image: object) -> Alpha:
    return np.asarray(image, np.float32)
