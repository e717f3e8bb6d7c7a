"""The region of interest: a box around a video's subject, tracked from frame to frame by its alpha.

Pure functions of a small record. The picture is not rescaled, so a smaller box is a smaller network input. The box
grows at once and shrinks late. It has few possible sizes, because the device prepares for each size. Every half second
the whole picture is processed, in case someone enters elsewhere. Knows nothing about networks except their stride.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from stream.picture.frames import Alpha

WHOLE_EVERY = 15  # frames between passes over the whole picture: half a second
_SHRINK_AFTER = 30  # frames for which a smaller box would have sufficed
_MIN_ALPHA = 0.1  # of a pixel of the subject; thinner parts are in the margin
_MARGIN = 1 / 8  # of the subject's longer side
_STRIDE = 32
_STEPS = 4  # possible lengths of a side, in equal steps up to the picture's

Size = tuple[int, int]
"""(height, width), multiples of 32."""


@dataclass(frozen=True, slots=True)
class Box:
    """In pixels of the network's input; bottom and right are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> Size:
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        return self.shape[0] * self.shape[1]

    def contains(self, other: Self) -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )


@dataclass(frozen=True, slots=True)
class Track:
    """box: around the subject, None if there was none. size: of the whole picture.

    age: frames since the whole picture was processed. loose: frames for which a smaller box would have sufficed.
    """

    box: Box | None
    size: Size
    age: int = 0
    loose: int = 0


def whole(size: Size) -> Box:
    return Box(0, 0, *size)


def next_box(track: Track | None, size: Size) -> Box:
    """The box to process in the next frame, whose picture has this size; both sides are multiples of 32."""
    if track is None or track.box is None or track.size != size or track.age >= WHOLE_EVERY:
        return whole(size)
    return track.box


def lost(box: Box, alpha: Alpha, size: Size) -> bool:
    """Whether the subject has left the box or reaches beyond it. Then the whole picture must be processed.

    alpha: float32 (h, w) of the box alone.
    """
    subject = bounds(alpha)
    if subject is None:
        return box != whole(size)
    height, width = box.shape
    beyond = subject.top == 0 < box.top or subject.left == 0 < box.left
    beyond = beyond or (subject.bottom == height and box.bottom < size[0])
    return beyond or (subject.right == width and box.right < size[1])


def follow(track: Track | None, processed: Box, alpha: Alpha) -> Track:
    """The track after a frame. processed: the box that was processed. alpha: float32 (H, W) of the whole picture."""
    size = (alpha.shape[0], alpha.shape[1])
    known = track if track is not None and track.size == size else Track(None, size)
    age = 1 if processed == whole(size) else known.age + 1
    subject = bounds(alpha)
    if subject is None:
        return Track(None, size, age)
    box, loose = _updated(known, subject, max(_STRIDE, round(_MARGIN * max(subject.shape))))
    return Track(box, size, age, loose)


def bounds(alpha: Alpha) -> Box | None:
    """The bounding box of the subject, or None."""
    left, top, width, height = cv2.boundingRect(np.asarray(alpha > _MIN_ALPHA, np.uint8))
    return Box(top, left, top + height, left + width) if width else None


def _updated(known: Track, subject: Box, margin: int) -> tuple[Box, int]:
    """The box for the next frame, and the number of frames for which it has been too large."""
    needed = _around(subject, margin, known.size)
    current = known.box
    if current is None:
        return needed, 0
    if not current.contains(_padded(subject, margin // 2, known.size)):
        return _around(subject, margin, known.size, min_size=current.shape), 0
    loose = known.loose + 1 if needed.area < current.area else 0
    return (needed, 0) if loose >= _SHRINK_AFTER else (current, loose)


def _padded(subject: Box, margin: int, size: Size) -> Box:
    top, left = max(0, subject.top - margin), max(0, subject.left - margin)
    return Box(top, left, min(size[0], subject.bottom + margin), min(size[1], subject.right + margin))


def _around(subject: Box, margin: int, size: Size, min_size: Size = (0, 0)) -> Box:
    """A box of an allowed size, at least `min_size`, whose position is a multiple of 32 too."""
    inner = _padded(subject, margin, size)
    top, bottom = _fitted(inner.top, inner.bottom, size[0], min_size[0])
    left, right = _fitted(inner.left, inner.right, size[1], min_size[1])
    return Box(top, left, bottom, right)


def _fitted(start: int, stop: int, full: int, min_length: int) -> tuple[int, int]:
    """A range of an allowed length that contains start to stop, roughly centred on them."""
    start -= start % _STRIDE
    step = -(-full // (_STEPS * _STRIDE)) * _STRIDE
    length = min(full, -(-max(stop - start, min_length) // step) * step)
    spare = (length - (stop - start)) // (2 * _STRIDE) * _STRIDE
    first = min(max(0, start - spare), full - length)
    return first, first + length
