"""A still picture in full quality, carried beside its I420 frame: engines and edges use the frame, results are drawn
from the picture (`workers/scene/full_quality.py`)."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


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
