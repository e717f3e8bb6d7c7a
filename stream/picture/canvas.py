"""Pictures of changing size and shape, brought to one: for live sources whose outputs cannot change theirs."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from stream.picture.frames import Frame, Plane, split_i420
from stream.picture.ingest import Ingest, Shape
from stream.settings import Settings

_GREY = 128
_SAME_SHAPE = 0.04


def fitted(seen: tuple[int, int], wanted: tuple[int, int], most_pixels: int) -> tuple[int, int]:
    """Even sides in pixels: those wanted, what is left open by the shape that was seen, and not too large."""
    (width, height), (wanted_w, wanted_h) = seen, wanted
    scale = wanted_w / width if wanted_w else wanted_h / height if wanted_h else 1.0
    width, height = wanted_w or round(width * scale), wanted_h or round(height * scale)
    scale = min(1.0, (most_pixels / (width * height)) ** 0.5)
    return max(2, int(width * scale) & ~1), max(2, int(height * scale) & ~1)


def grey(size: tuple[int, int]) -> Plane:
    """I420, all of one grey, of a width and height in pixels."""
    width, height = size
    return np.full((height * 3 // 2, width), _GREY, np.uint8)


class Canvas:
    """Brings pictures to one size: scaled, their shape kept, in the middle; what is beside them is transparent."""

    def __init__(self, size: tuple[int, int], settings: Settings) -> None:
        self.size = size
        self._settings = settings
        self._inner: tuple[int, int] | None = None

    def __call__(self, picture: av.VideoFrame, sar: Fraction | None) -> Iterator[Frame]:
        inner = self._inside(Shape.of(picture, sar or Fraction(1)).upright_size())
        if inner != self._inner:
            self._ingest = Ingest(picture, sar, *inner, max_pixels=self._settings.max_pixels)
            self._inner = inner
        for frame in self._ingest.push(picture):
            yield frame if inner == self.size else self._centred(frame)

    def _inside(self, upright: tuple[int, int]) -> tuple[int, int]:
        """Even sides that fit; all of the canvas where the shape is about the same."""
        scale_w, scale_h = (mine / its for mine, its in zip(self.size, upright, strict=True))
        if abs(scale_w / scale_h - 1) < _SAME_SHAPE:
            return self.size
        scale = min(scale_w, scale_h)
        return max(2, round(upright[0] * scale) & ~1), max(2, round(upright[1] * scale) & ~1)

    def _centred(self, frame: Frame) -> Frame:
        width, height = self.size
        left, top = (width - frame.width) // 2 & ~1, (height - frame.height) // 2 & ~1
        pixels, alpha = grey(self.size), np.zeros((height, width), np.uint8)
        for to, plane, half in zip(split_i420(pixels), frame.planes(), (1, 2, 2), strict=True):
            rows, columns = plane.shape
            to[top // half : top // half + rows, left // half : left // half + columns] = plane
        alpha[top : top + frame.height, left : left + frame.width] = 255
        return frame.with_pixels(pixels, alpha)
