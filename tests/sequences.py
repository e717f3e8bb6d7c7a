"""Generated picture sequences: 16 bits per channel, linear light, and their readers, which are independent of ours."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stream.picture.frames import Frame
from stream.picture.photo import Photo
from tests.media import Image as Pixels

CLOCK = Fraction(1, 24)


def gradient(width: int = 1200, height: int = 16) -> Any:
    """uint16 (H, W, 3): every column has its own level, red and green rise, blue falls."""
    levels = np.linspace(2_000, 60_000, width).astype(np.uint16)
    return np.ascontiguousarray(np.broadcast_to(np.stack([levels, levels, levels[::-1]], 1), (height, width, 3)))


def write_png(folder: Path, numbers: Any, pixels: Any, name: str = "shot.%04d.png") -> Path:
    """Write the same RGB picture, uint8 or uint16, under several numbers, with OpenCV. Returns the pattern's path."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / (name % number)), np.ascontiguousarray(pixels[..., ::-1]))
    return folder / name


def read(path: Path) -> Any:
    """The values of a PNG or TIFF, RGB(A) or grey, by OpenCV."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    return found if found.ndim == 2 else found[..., order[found.shape[2]]]


def frame_of(photo: Any, alpha: Pixels | None = None, gray: bool = False) -> Frame:
    """A frame with this picture and alpha. Its own pixels are of no use."""
    height, width = photo.shape[:2]
    size = (height + height % 2, width + width % 2)
    if alpha is not None:
        alpha = np.pad(alpha, [(0, size[0] - height), (0, size[1] - width)])
    pixels = np.zeros(size if gray else (size[0] * 3 // 2, size[1]), np.uint8)
    return Frame(pixels, 0, CLOCK, alpha, gray=gray, photo=Photo(photo))
