"""Specks and holes of a matte: parts smaller than a share of the picture are dropped, or filled.

Never "the largest part only": that jumps between two people. A part that was kept stays until it is half as large as
the limit, so that one near the limit does not blink. Found at small size; the soft edges of what is kept stay.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane

Mask = npt.NDArray[np.bool_]

_LONG_SIDE_PX = 256  # at which parts are told apart
_FAINT = 0.1  # what joins two parts to one: less, and people lose limbs that an engine was unsure of
_REACH_PX = 4.0  # how far the rest of a soft edge extends
_LEAVE = 0.5  # of the limit: below this, what was kept is dropped


@dataclass(frozen=True, slots=True)
class Kept:
    """What stood in the frame before, as small masks: the solid pixels of the subject, and those of the room."""

    subject: Mask
    room: Mask


def clean(kept: Kept | None, alpha: Alpha, specks: float, holes: float) -> tuple[Kept | None, Alpha]:
    """Alpha, float32 (h, w) 0-1, without specks and holes, and what to hand in with the next frame.

    specks, holes: shares of the picture's area, 0 to leave them. kept: None at a video's start; that of another size
    is as good as None. A hole is enclosed: room that touches the border of the picture is never filled.
    """
    if specks == 0.0 and holes == 0.0:
        return None, alpha
    small = _small(alpha)
    if kept is not None and kept.subject.shape != small.shape:
        kept = None
    subject, specks_found = _sorted(small, specks, 8, None if kept is None else kept.subject)
    room, holes_found = _sorted(1 - small, holes, 4, None if kept is None else kept.room, border_stays=True)
    alpha = _faded(alpha, subject, specks_found)
    if holes_found.any():
        alpha = 1 - _faded(1 - alpha, room, holes_found)
    return Kept(subject & (small > 0.5), room & (small <= 0.5)), alpha


def _small(alpha: Alpha) -> Alpha:
    height, width = alpha.shape
    scale = _LONG_SIDE_PX / max(height, width)
    if scale >= 1.0:
        return alpha
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _f32(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))


def _sorted(
    level: Alpha, share: float, connectivity: int, before: Mask | None, border_stays: bool = False
) -> tuple[Mask, Mask]:
    """The parts that are large enough, or large enough to stay, and the others.

    A part goes as far as its faint edge, so that nothing of it is left over; its solid pixels are its size.
    """
    mask = level > _FAINT
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=connectivity)
    enter = np.full(count, share * mask.size)
    if before is not None:
        enter[labels[before]] *= _LEAVE
    keep = np.bincount(labels[level > 0.5], minlength=count) >= enter
    if border_stays:
        keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    kept = np.asarray(keep[labels]) & mask
    return kept, mask & ~kept


def _faded(alpha: Alpha, kept: Mask, dropped: Mask) -> Alpha:
    """Alpha without the dropped parts and their soft edges: each pixel goes with the part that is nearer to it."""
    if not dropped.any():
        return alpha
    to_kept, to_dropped = _distance(kept), _distance(dropped)
    gain = np.clip(0.5 + (to_dropped - to_kept) / 2, 0.0, 1.0)
    gain = np.maximum(gain, np.clip((to_dropped - _REACH_PX) / 2, 0.0, 1.0))
    return alpha * _f32(cv2.resize(gain, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _distance(mask: Mask) -> Alpha:
    """From each pixel to the mask, in pixels; far where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    outside: Plane = (~mask).view(np.uint8)
    return _f32(cv2.distanceTransform(outside, cv2.DIST_L2, 3))


def _f32(image: object) -> Alpha:
    return np.asarray(image, np.float32)
