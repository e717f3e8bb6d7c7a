"""A picture in full quality, carried beside its I420 frame: engines and edges use the frame, results are drawn from the
picture (`workers/scene/full_quality.py`)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.picture.transfer import Floats, from_linear, to_linear

Pixels = npt.NDArray[Any]
"""uint8, uint16, float16 or float32; see `Photo`."""

_BAND = 2**21  # pixels


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """First row and end of the bands in which a picture is computed. First rows are even.

    A band has about two million pixels, so that neither memory for intermediate values nor the number of bands grows
    with the picture's width or height.
    """
    rows = max(2, _BAND // max(1, width) // 2 * 2)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


@dataclass(frozen=True, slots=True)
class Photo:
    """pixels: upright, RGB (H, W, 3) or grey (H, W); without the row and column that make a frame's sides even.
    uint8 or uint16: full range, as displayed. float16 or float32: scene-linear light, which may exceed 0 to 1.

    profile: ICC profile of uint8 pixels; empty means sRGB. exif: the source's EXIF data, for an upright picture. dpi:
    dots per inch, horizontal and vertical; None if unknown. chromaticities: x and y of red, green, blue and white;
    empty means those of BT.709.
    """

    pixels: Pixels
    profile: bytes = field(default=b"", repr=False)
    exif: bytes = field(default=b"", repr=False)
    dpi: tuple[float, float] | None = None
    chromaticities: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def as_displayed(pixels: Pixels) -> Floats:
    """Pixels of a `Photo` as display-referred levels, float32: 0 to 255 for the range of uint8."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        return pixels.astype(np.float32) / np.float32(257)
    return from_linear(pixels.astype(np.float32)) * np.float32(255)


def from_displayed(levels: Floats, dtype: npt.DTypeLike) -> Pixels:
    """The inverse of `as_displayed`: pixels of this type, integers rounded and limited to their range."""
    if dtype == np.uint8:
        return np.asarray(np.rint(np.clip(levels, 0, 255)), np.uint8)
    if dtype == np.uint16:
        return np.asarray(np.rint(np.clip(levels * np.float32(257), 0, 65_535)), np.uint16)
    return np.asarray(to_linear(levels / np.float32(255)), dtype)


def from_matte(alpha: npt.NDArray[np.uint8], dtype: npt.DTypeLike) -> Pixels:
    """A matte, uint8, as pixels of this type. In linear pictures too, it is data: 255 is 1.0, without a curve."""
    if dtype == np.uint8:
        return alpha
    if dtype == np.uint16:
        return alpha.astype(np.uint16) * np.uint16(257)
    return np.asarray(alpha.astype(np.float32) / np.float32(255), dtype)
