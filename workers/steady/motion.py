"""Optical flow between two frames, warping along it, and detection of cuts.

Everything is computed on one small grid, whatever the frame's size and shape: mattes are smoothed there, and flow at
this size is cheap. The flow is DIS (Kroeger et al., ECCV 2016), on luma at twice the grid's size where there is time
for it, which places motion boundaries better. Knows nothing about mattes.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Frame, Plane
from workers.steady.grid import CUT_LEVELS, CUT_RATIO, HEIGHT, WIDTH

Grid = npt.NDArray[np.float32]

_FINE = 2  # size of the luma, over the grid's
_STILL_WINDOW = (5, 5)
# DIS's default ends two levels below the luma, with patches every 4 pixels. The next finer level is better, and with
# patches every 6 it costs little more: 1.1 ms on the fine luma. Measured with selfie, dtSSD falls by 0.005 of the raw
# alphas' live and by 0.004 in files. The fine luma's own level would give 0.004 more and take four times as long.
_FINEST_SCALE, _PATCH_STRIDE = 1, 6
_CELLS = np.dstack(np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)))
_SUM = np.ones((1, 3), np.float32)
_NO_SECOND_MAP: Any = None  # `cv2.remap` takes x and y in one array, but its type stubs require two


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A downscaled frame. colour: float32 (144, 256, 3), Y, U and V, 0-255. luma: uint8 (288, 512)."""

    colour: Grid
    luma: Plane


def thumbnail(frame: Frame) -> Thumbnail:
    if frame.gray:
        luma = _downscaled(frame.pixels, _FINE)
        return Thumbnail(cv2.merge([_downscaled(frame.pixels, 1)] * 3).astype(np.float32), luma)
    y, u, v = frame.planes()
    luma = _downscaled(y, _FINE)
    colour = cv2.merge([_downscaled(luma, 1), _downscaled(u, 1), _downscaled(v, 1)])
    return Thumbnail(colour.astype(np.float32), luma)


def flow(current: Thumbnail, reference: Thumbnail, fine: bool = True) -> Grid:
    """float32 (144, 256, 2), in cells of the grid: what is at x in `current` is at x + flow[x] in `reference`.

    fine: computed on the larger lumas. The flow is zero where zero motion explains the picture as well: estimated flow
    is never exactly zero, and edges warped along its noise would flicker.
    """
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(_FINEST_SCALE)
    dis.setPatchStride(_PATCH_STRIDE)
    lumas = [picture.luma if fine else _downscaled(picture.luma, 1) for picture in (current, reference)]
    motion = dis.calc(*lumas, None)  # an initial flow of zeros instead of None took twice as long
    if fine:
        motion = cv2.resize(motion, (WIDTH, HEIGHT)) * np.float32(1 / _FINE)
    still = cv2.blur(difference(current.colour, reference.colour), _STILL_WINDOW)
    moved = cv2.blur(difference(current.colour, warp(reference.colour, motion)), _STILL_WINDOW)
    return np.asarray(cv2.copyTo(motion, cv2.compare(moved, still, cv2.CMP_LT)), np.float32)


def warp(values: Grid, motion: Grid) -> Grid:
    """`values` of the reference frame, warped to the current one: float32 (144, 256) or (144, 256, up to 4).

    motion: from `flow`.
    """
    positions = _CELLS + motion
    warped = cv2.remap(values, positions, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def difference(a: Grid, b: Grid) -> Grid:
    """float32 (144, 256): the sum over channels of the absolute differences of two (144, 256, 3)."""
    return np.asarray(cv2.transform(cv2.absdiff(a, b), _SUM), np.float32)


def is_cut(colour: Grid, warped: Grid) -> bool:
    """Whether a new scene begins. colour: of the current frame. warped: the previous frame's colour, warped to it.

    In a cut the residual after motion compensation is about as large as the picture's own contrast.
    """
    residual = cv2.mean(difference(colour, warped))[0]
    contrast = float(cv2.meanStdDev(colour)[1].sum())
    return residual > max(CUT_LEVELS, CUT_RATIO * contrast)


def _downscaled(plane: Plane, scale: int) -> Plane:
    """At `scale` times the grid's size: averaged by an integer factor (four times as fast as any other), then
    interpolated."""
    width, height = WIDTH * scale, HEIGHT * scale
    factor = min(plane.shape[1] // width, plane.shape[0] // height)
    if factor > 1:
        size = (plane.shape[1] // factor, plane.shape[0] // factor)
        plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
