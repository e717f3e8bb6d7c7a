"""Scaling of frames of changing size to one fixed size, for live outputs, whose size cannot change."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from stream.picture.frames import Frame, Plane, split_i420
from stream.picture.ingest import Ingest, Shape
from stream.settings import Settings

_GREY = 128
_SAME_ASPECT = 0.04  # relative difference up to which a frame is stretched to fill the canvas


def fitted(source: tuple[int, int], target: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Output (width, height) in pixels, even, at least 2, of at most `max_pixels` in all.

    source: (width, height) of the input. target: the requested size; a side that is 0 follows from the aspect ratio.
    """
    (width, height), (target_w, target_h) = source, target
    scale = target_w / width if target_w else target_h / height if target_h else 1.0
    width, height = target_w or round(width * scale), target_h or round(height * scale)
    scale = min(1.0, (max_pixels / (width * height)) ** 0.5)
    return max(2, int(width * scale) & ~1), max(2, int(height * scale) & ~1)


def grey(size: tuple[int, int]) -> Plane:
    """A mid-grey I420 image, uint8 (H*3/2, W), of a (width, height) in pixels."""
    width, height = size
    return np.full((height * 3 // 2, width), _GREY, np.uint8)


class Canvas:
    """Scales frames to one size, aspect ratio kept, and centres them; the padding is grey with alpha 0."""

    def __init__(self, size: tuple[int, int], settings: Settings) -> None:
        self.size = size
        self._settings = settings
        self._inner: tuple[int, int] | None = None

    def __call__(self, picture: av.VideoFrame, sar: Fraction | None) -> Iterator[Frame]:
        inner = self._inner_size(Shape.of(picture, sar or Fraction(1)).upright_size())
        if inner != self._inner:
            self._ingest = Ingest(picture, sar, *inner, max_pixels=self._settings.max_pixels)
            self._inner = inner
        for frame in self._ingest.push(picture):
            yield frame if inner == self.size else self._centred(frame)

    def _inner_size(self, upright: tuple[int, int]) -> tuple[int, int]:
        """Even (width, height) that fits the canvas; all of it where the aspect ratio is about the same."""
        scale_w, scale_h = (canvas / side for canvas, side in zip(self.size, upright, strict=True))
        if abs(scale_w / scale_h - 1) < _SAME_ASPECT:
            return self.size
        scale = min(scale_w, scale_h)
        return max(2, round(upright[0] * scale) & ~1), max(2, round(upright[1] * scale) & ~1)

    def _centred(self, frame: Frame) -> Frame:
        width, height = self.size
        left, top = (width - frame.width) // 2 & ~1, (height - frame.height) // 2 & ~1
        pixels, alpha = grey(self.size), np.zeros((height, width), np.uint8)
        for target, plane, half in zip(split_i420(pixels), frame.planes(), (1, 2, 2), strict=True):
            rows, columns = plane.shape
            target[top // half : top // half + rows, left // half : left // half + columns] = plane
        alpha[top : top + frame.height, left : left + frame.width] = 255
        return frame.with_pixels(pixels, alpha)
