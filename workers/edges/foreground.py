"""Foreground estimation: the subject's own colours in pixels that mix it with the old background, such as hair.

Blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021). Around each pixel the picture is
averaged twice, weighted by alpha for the foreground and by 1 - alpha for the background. The foreground's average is
then corrected by the residual of the compositing equation. This is done over a wide window, then over a narrow one.

The method is linear in each channel, so it runs directly on I420 planes: half the work of RGB, no conversions, and
errors of the same size. This module uses OpenCV, on the CPU; `foreground_torch` is for a GPU.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane, split_i420
from stream.records.options import Options, View

Floats = npt.NDArray[np.float32]

# The paper's windows of 90 and 6 pixels, as shares of a short side of 720, so that they scale with the picture.
WIDE, NARROW = 1 / 8, 1 / 120
EPSILON = 1e-4  # weight of a pixel's own colour in an average: it decides where no other pixel has weight
_GRID_PX = 180  # least short side of the grid for wide averages of a large picture; the error is a level or two
_HALF_LEVEL = 1 / 512  # half an 8-bit level of alpha


def should_estimate(options: Options, soft: bool) -> bool:
    """Whether to estimate the foreground: it is requested and visible. soft: the engine's alpha is soft, and it returns
    no foreground of its own."""
    untouched = options.view is View.COMPOSITE and options.background.kind == "none"
    invisible = untouched or options.view in (View.MATTE, View.OVERLAY)
    return not invisible and (options.foreground == "estimate" or (options.foreground == "auto" and soft))


def estimate(pixels: Plane, alpha: Alpha) -> Plane:
    """`foreground` for an alpha of any size."""
    return foreground(pixels, _enlarged(alpha, (pixels.shape[0] * 2 // 3, pixels.shape[1])))


def foreground(pixels: Plane, alpha: Alpha) -> Plane:
    """The foreground as a new I420 picture; unchanged where alpha is 1, and far from pixels of partial alpha.

    pixels: I420 uint8 (H*3/2, W). alpha: float32 (H, W), 0-1.
    """
    out = pixels.copy()
    region = _mixed_region(alpha)
    if region is None:
        return out
    height, width = alpha.shape
    half = _reduced(alpha, (height // 2, width // 2))
    for target, weight, step in zip(split_i420(out), (alpha, half, half), (1, 2, 2), strict=True):
        picture = target.astype(np.float32)
        wide = _wide(picture, weight, grid(height, width))
        crop = tuple(slice(side.start // step, side.stop // step) for side in region)
        side = window(NARROW, *target.shape)
        colours = _narrow(picture[crop], weight[crop], wide[0][crop], wide[1][crop], side)
        target[crop] = cv2.convertScaleAbs(np.maximum(colours, 0.0))  # rounds, and saturates at 255
    return out


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid for wide averages of a picture of this size; at most those of chroma."""
    step = max(2, min(height, width) // _GRID_PX)
    return -(-height // step), -(-width // step)


def window(share: float, rows: int, columns: int) -> int:
    """Side of a window on a plane of this size, in pixels; odd, at least 3."""
    return max(3, round(share * min(rows, columns)) // 2 * 2 + 1)


def _mixed_region(alpha: Alpha) -> tuple[slice, slice] | None:
    """Rows and columns of a box around all pixels of partial alpha, with a margin; even at both ends."""
    left, top, width, height = cv2.boundingRect(cv2.inRange(alpha, _HALF_LEVEL, 1 - _HALF_LEVEL))
    if not width:
        return None
    margin = 2 * window(NARROW, *alpha.shape)
    rows = slice(max(0, top - margin) // 2 * 2, (top + height + margin + 1) // 2 * 2)
    return rows, slice(max(0, left - margin) // 2 * 2, (left + width + margin + 1) // 2 * 2)


def _wide(picture: Floats, alpha: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The average colours of foreground and background around each pixel, both of the picture's size."""
    small, weight, weighted = (_reduced(plane, size) for plane in (picture, alpha, picture * alpha))
    planes = np.dstack([weight, 1 - weight, weighted, small - weighted])
    fore_weight, back_weight, fore, back = cv2.split(_sums(planes, window(WIDE, *size)))
    averages = (fore + EPSILON * small) / (fore_weight + EPSILON), (back + EPSILON * small) / (back_weight + EPSILON)
    return _enlarged(averages[0], picture.shape), _enlarged(averages[1], picture.shape)


def _narrow(picture: Floats, alpha: Floats, fore: Floats, back: Floats, side: int) -> Floats:
    """The correction, the average over a narrow window, and another correction; values may exceed 0-255.

    The paper averages the background again too; it is already so smooth that a narrow window changes nothing.
    """
    corrected = _corrected(picture, alpha, fore, back)
    sums = _sums(corrected * alpha, side) + EPSILON * corrected
    return _corrected(picture, alpha, sums / (_sums(alpha, side) + EPSILON), back)


def _corrected(picture: Floats, alpha: Floats, fore: Floats, back: Floats) -> Floats:
    """The foreground plus alpha times the residual of the compositing equation."""
    return fore + alpha * (picture - back - alpha * (fore - back))


def _sums(plane: Floats, side: int) -> Floats:
    """Sums over a window around each pixel, of the pixels inside the picture. The cost does not depend on the side."""
    box = cv2.boxFilter(plane, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(box, np.float32)


def _reduced(plane: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(plane: Floats, size: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
