"""Where to look: the box around a video's subject, followed from frame to frame by the alpha that was found.

Pure functions of a small record. The picture's scale stays, so a smaller box is a smaller input of the network. The
box grows at once and shrinks late; its sides are few, for a device keeps something ready for each size; and all of the
picture is looked at now and then, for whoever came in elsewhere. Knows nothing about networks but their stride.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from stream.picture.frames import Alpha

EVERY = 15  # frames from one look at all of the picture to the next: half a second
_PATIENCE = 30  # frames for which a smaller box would have done before it is taken
_SEEN = 0.1  # alpha that makes a pixel a part of the subject; what is thinner lies in the margin
_MARGIN = 1 / 8  # of the subject's longer side
_STRIDE = 32
_STEPS = 4  # lengths of a side: so many parts of the picture's

Size = tuple[int, int]
"""(height, width), multiples of 32."""


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the network's picture: from top and left, to before bottom and right."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def cut(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> Size:
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        return self.shape[0] * self.shape[1]

    def holds(self, other: Self) -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )


@dataclass(frozen=True, slots=True)
class Track:
    """box: held around the subject, None if there was none. size: of the picture that it lies in.

    age: frames since all of the picture was looked at. loose: frames for which a smaller box would have done.
    """

    box: Box | None
    size: Size
    age: int = 0
    loose: int = 0


def whole(size: Size) -> Box:
    return Box(0, 0, *size)


def where(track: Track | None, size: Size) -> Box:
    """What to look at in the next frame, its picture being of this size; both sides multiples of 32."""
    if track is None or track.box is None or track.size != size or track.age >= EVERY:
        return whole(size)
    return track.box


def lost(box: Box, alpha: Alpha, size: Size) -> bool:
    """Is the subject gone from the box, or does it reach out of it? Then the frame wants a look at all of it.

    alpha: float32 (h, w) of the box alone.
    """
    seen = bounds(alpha)
    if seen is None:
        return box != whole(size)
    height, width = box.shape
    out = seen.top == 0 < box.top or seen.left == 0 < box.left
    return out or (seen.bottom == height and box.bottom < size[0]) or (seen.right == width and box.right < size[1])


def follow(track: Track | None, looked: Box, alpha: Alpha) -> Track:
    """The record after a frame. looked: the box that was looked at. alpha: float32 (H, W) of all of the picture."""
    size = (alpha.shape[0], alpha.shape[1])
    known = track if track is not None and track.size == size else Track(None, size)
    age = 1 if looked == whole(size) else known.age + 1
    seen = bounds(alpha)
    if seen is None:
        return Track(None, size, age)
    box, loose = _next(known, seen, max(_STRIDE, round(_MARGIN * max(seen.shape))))
    return Track(box, size, age, loose)


def bounds(alpha: Alpha) -> Box | None:
    """The box around all that is subject, or None."""
    left, top, width, height = cv2.boundingRect(np.asarray(alpha > _SEEN, np.uint8))
    return Box(top, left, top + height, left + width) if width else None


def _next(known: Track, seen: Box, margin: int) -> tuple[Box, int]:
    """The box for the next frame, and for how many it has been too large."""
    needed = _around(seen, margin, known.size)
    held = known.box
    if held is None:
        return needed, 0
    if not held.holds(_padded(seen, margin // 2, known.size)):
        return _around(seen, margin, known.size, least=held.shape), 0
    loose = known.loose + 1 if needed.area < held.area else 0
    return (needed, 0) if loose >= _PATIENCE else (held, loose)


def _padded(seen: Box, margin: int, size: Size) -> Box:
    top, left = max(0, seen.top - margin), max(0, seen.left - margin)
    return Box(top, left, min(size[0], seen.bottom + margin), min(size[1], seen.right + margin))


def _around(seen: Box, margin: int, size: Size, least: Size = (0, 0)) -> Box:
    """A box of allowed sides, at least `least`, at places that are multiples of 32 too."""
    inner = _padded(seen, margin, size)
    top, bottom = _fitted(inner.top, inner.bottom, size[0], least[0])
    left, right = _fitted(inner.left, inner.right, size[1], least[1])
    return Box(top, left, bottom, right)


def _fitted(start: int, stop: int, full: int, least: int) -> tuple[int, int]:
    """An allowed length that holds start to stop, and lies about their middle."""
    start -= start % _STRIDE
    step = -(-full // (_STEPS * _STRIDE)) * _STRIDE
    length = min(full, -(-max(stop - start, least) // step) * step)
    spare = (length - (stop - start)) // (2 * _STRIDE) * _STRIDE
    first = min(max(0, start - spare), full - length)
    return first, first + length
