"""The subject's own colours: what stands in the pixels that mix it with the old background, hair above all.

Blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021). Around each pixel the colours are
averaged, weighted by alpha for the subject and by its rest for the background; then the subject's average is moved by
what those two and alpha leave unexplained. Twice: over a wide window, and over a narrow one.

The method is linear in each channel, so it runs on the planes of I420 as they are: half the work of RGB, no
conversions, and errors of the same size. Here with OpenCV, for the CPU; `refine_torch` is for a GPU.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane, split_i420
from stream.records.options import Options, View

Floats = npt.NDArray[np.float32]

# The paper's windows of 90 and 6 pixels, as shares of a short side of 720: a head is as many windows wide at any size.
WIDE, NARROW = 1 / 8, 1 / 120
LITTLE = 1e-4  # weight that a pixel's own colour has in an average: it tells where no other weighs at all
_GRID_PX = 180  # short side, at least, of the grid for a large picture's wide averages; it costs a level or two
_LEVEL = 1 / 512  # half of what alpha can be told by in 8 bits


def wanted(options: Options, soft: bool) -> bool:
    """Should the colours be estimated, and will they be seen? soft: the engine gives a soft alpha and no colours."""
    untouched = options.view is View.COMPOSITE and options.background.kind == "none"
    unseen = untouched or options.view in (View.MATTE, View.OVERLAY)
    return not unseen and (options.foreground == "estimate" or (options.foreground == "auto" and soft))


def estimate(pixels: Plane, alpha: Alpha) -> Plane:
    """`foreground` for an alpha of any size."""
    return foreground(pixels, _grown(alpha, (pixels.shape[0] * 2 // 3, pixels.shape[1])))


def foreground(pixels: Plane, alpha: Alpha) -> Plane:
    """The subject's colours as a new I420 picture; the picture's own where alpha is 1, or 0 all around.

    pixels: I420 uint8 (H*3/2, W). alpha: float32 (H, W), 0-1.
    """
    out = pixels.copy()
    region = _mixed(alpha)
    if region is None:
        return out
    height, width = alpha.shape
    half = _shrunk(alpha, (height // 2, width // 2))
    for target, weight, step in zip(split_i420(out), (alpha, half, half), (1, 2, 2), strict=True):
        picture = target.astype(np.float32)
        around = _wide(picture, weight, grid(height, width))
        cut = tuple(slice(side.start // step, side.stop // step) for side in region)
        colours = _narrowed(picture[cut], weight[cut], around[0][cut], around[1][cut], window(NARROW, *target.shape))
        target[cut] = cv2.convertScaleAbs(np.maximum(colours, 0.0))  # rounds; what is over 255 becomes 255
    return out


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns at which a picture of this size has its wide averages taken; no more than chroma has."""
    step = max(2, min(height, width) // _GRID_PX)
    return -(-height // step), -(-width // step)


def window(share: float, rows: int, columns: int) -> int:
    """Side of a window on a plane of this size, in its pixels; odd, at least 3."""
    return max(3, round(share * min(rows, columns)) // 2 * 2 + 1)


def _mixed(alpha: Alpha) -> tuple[slice, slice] | None:
    """Rows and columns, even at both ends, of a box around all pixels that are partly subject, and a margin."""
    left, top, width, height = cv2.boundingRect(cv2.inRange(alpha, _LEVEL, 1 - _LEVEL))
    if not width:
        return None
    margin = 2 * window(NARROW, *alpha.shape)
    rows = slice(max(0, top - margin) // 2 * 2, (top + height + margin + 1) // 2 * 2)
    return rows, slice(max(0, left - margin) // 2 * 2, (left + width + margin + 1) // 2 * 2)


def _wide(picture: Floats, alpha: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The subject's and the background's average colours around each pixel, both of the picture's size."""
    small, share, weighed = (_shrunk(plane, size) for plane in (picture, alpha, picture * alpha))
    weights = np.dstack([share, 1 - share, weighed, small - weighed])
    here, there, subject, behind = cv2.split(_sums(weights, window(WIDE, *size)))
    averages = (subject + LITTLE * small) / (here + LITTLE), (behind + LITTLE * small) / (there + LITTLE)
    return _grown(averages[0], picture.shape), _grown(averages[1], picture.shape)


def _narrowed(picture: Floats, alpha: Floats, subject: Floats, behind: Floats, side: int) -> Floats:
    """The two steps that need every pixel, in levels that may leave 0-255.

    The paper blurs the background again too; over a few pixels that changes nothing in what is already so smooth.
    """
    moved = _moved(picture, alpha, subject, behind)
    sums = _sums(moved * alpha, side) + LITTLE * moved
    return _moved(picture, alpha, sums / (_sums(alpha, side) + LITTLE), behind)


def _moved(picture: Floats, alpha: Floats, subject: Floats, behind: Floats) -> Floats:
    """The subject's average, and what it and the background's leave unexplained, by alpha."""
    return subject + alpha * (picture - behind - alpha * (subject - behind))


def _sums(plane: Floats, side: int) -> Floats:
    """Over a window around each pixel, as much of it as lies in the picture. Costs the same for every side."""
    box = cv2.boxFilter(plane, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(box, np.float32)


def _shrunk(plane: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _grown(plane: Floats, size: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
