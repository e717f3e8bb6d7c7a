"""Where the parts of one picture lie in another, and how well the two pictures agree there.

All on one small grid, whatever the picture's size and shape: masks are steadied there, and a flow at this size costs
little. The flow is DIS (Kroeger et al., ECCV 2016), on a luma of twice the grid where there is time for it: edges of
motion then lie where they should. Knows nothing about mattes.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Frame, Plane
from workers.steady.grid import CUT, HEIGHT, LEAST, WIDTH

Grid = npt.NDArray[np.float32]

_FINE = 2
_AROUND = (5, 5)
# DIS's own choice ends two levels below the luma, with patches every 4 pixels. One level below is the better flow, and
# with patches every 6 not much dearer: 1.1 ms more on the fine luma. Measured with selfie, dtSSD falls by 0.005 of the
# raw alphas' live and by 0.004 in files. The fine luma's own level would give 0.004 more, and take four times as long.
_FINEST, _STRIDE = 1, 6
_CELLS = np.dstack(np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)))
_SUM = np.ones((1, 3), np.float32)
_ONE_MAP: Any = None  # OpenCV takes x and y in one array, but its types know only two


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """A picture made small. colour: float32 (144, 256, 3), Y, U and V of 0-255. luma: uint8 (288, 512)."""

    colour: Grid
    luma: Plane


def look(frame: Frame) -> SmallPicture:
    if frame.gray:
        luma = _small(frame.pixels, _FINE)
        return SmallPicture(cv2.merge([_small(frame.pixels, 1)] * 3).astype(np.float32), luma)
    y, u, v = frame.planes()
    luma = _small(y, _FINE)
    return SmallPicture(cv2.merge([_small(luma, 1), _small(u, 1), _small(v, 1)]).astype(np.float32), luma)


def flow(here: SmallPicture, there: SmallPicture, fine: bool = True) -> Grid:
    """float32 (144, 256, 2), in cells of the grid: what lies at x in `here` lies at x + flow[x] in `there`.

    fine: from the larger lumas. Where standing still explains the picture as well it does stand still: a flow is never
    quite zero, and edges carried along its noise tremble.
    """
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(_FINEST)
    dis.setPatchStride(_STRIDE)
    lumas = [look.luma if fine else _small(look.luma, 1) for look in (here, there)]
    motion = dis.calc(*lumas, None)  # zeros to begin with, instead of None, were measured: twice as long
    if fine:
        motion = cv2.resize(motion, (WIDTH, HEIGHT)) * np.float32(1 / _FINE)
    unmoved = cv2.blur(difference(here.colour, there.colour), _AROUND)
    moved = cv2.blur(difference(here.colour, carry(there.colour, motion)), _AROUND)
    return np.asarray(cv2.copyTo(motion, cv2.compare(moved, unmoved, cv2.CMP_LT)), np.float32)


def carry(values: Grid, motion: Grid) -> Grid:
    """`values` of `there` as they lie in `here`. float32 (144, 256) or (144, 256, up to 4); motion: from `flow`."""
    where = _CELLS + motion
    return np.asarray(cv2.remap(values, where, _ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def difference(a: Grid, b: Grid) -> Grid:
    """float32 (144, 256): the three channels' absolute differences, summed; of two (144, 256, 3)."""
    return np.asarray(cv2.transform(cv2.absdiff(a, b), _SUM), np.float32)


def is_cut(colour: Grid, carried: Grid) -> bool:
    """Is this another scene than the one before, of which `carried` is the picture brought along the motion?

    It is where what the motion leaves unexplained is as large as the picture's own contrast.
    """
    unexplained = cv2.mean(difference(colour, carried))[0]
    contrast = float(cv2.meanStdDev(colour)[1].sum())
    return unexplained > max(LEAST, CUT * contrast)


def _small(plane: Plane, times: int) -> Plane:
    """Averaged by a whole number, which is four times as fast as by any other, and interpolated from there."""
    width, height = WIDTH * times, HEIGHT * times
    whole = min(plane.shape[1] // width, plane.shape[0] // height)
    if whole > 1:
        part = (plane.shape[1] // whole, plane.shape[0] // whole)
        plane = np.asarray(cv2.resize(plane, part, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
