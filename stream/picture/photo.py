"""A still picture in full quality, carried beside its I420 frame: engines and edges use the frame, results are drawn
from the picture (`workers/scene/full_quality.py`)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
    """pixels: uint8, upright, RGB (H, W, 3) or grey (H, W); without the row and column that make a frame's sides even.

    profile: ICC profile of the pixels; empty means sRGB. exif: the source's EXIF data, for an upright picture. dpi:
    dots per inch, horizontal and vertical; None if unknown.
    """

    pixels: npt.NDArray[np.uint8]
    profile: bytes = field(default=b"", repr=False)
    exif: bytes = field(default=b"", repr=False)
    dpi: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])
