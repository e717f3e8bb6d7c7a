"""Optical flow between two frames, warping along it, and detection of cuts.

Everything is computed on one small grid, whatever the frame's size and shape: mattes are smoothed there, and flow at
this size is cheap. The flow is DIS (Kroeger et al., ECCV 2016). Knows nothing about mattes.
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
# DIS at half the grid's size, with patches every 6 pixels. At the grid's own size it takes four times as long: measured
# with selfie, dtSSD is lower by 0.003 of the raw alphas' with one frame of look-ahead, and by 0.006 with 24.
_FINEST_SCALE, _PATCH_STRIDE = 1, 6
_CELLS = np.dstack(np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)))
_NO_SECOND_MAP: Any = None  # `cv2.remap` takes x and y in one array, but its type stubs require two


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A downscaled frame, uint8 as the frame is. colour: (144, 256, 3), Y, U and V. luma: (288, 512)."""

    colour: Plane
    luma: Plane


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion from one picture, the current one, to another, the reference.

    flow: float32 (144, 256, 2), in cells of the grid: what is at x in the current picture is at x + flow[x] in the
    reference. residual: uint8 (144, 256), `difference` of the pictures after the reference is warped along the flow.
    """

    flow: Grid
    residual: Plane


def thumbnail(frame: Frame) -> Thumbnail:
    if frame.gray:
        luma = _downscaled(frame.pixels, _FINE)
        return Thumbnail(_u8(cv2.merge([_downscaled(frame.pixels, 1)] * 3)), luma)
    y, u, v = frame.planes()
    luma = _downscaled(y, _FINE)
    return Thumbnail(_u8(cv2.merge([_downscaled(luma, 1), _downscaled(u, 1), _downscaled(v, 1)])), luma)


def match(current: Thumbnail, reference: Thumbnail) -> Motion:
    """The motion from `current` to `reference`.

    The flow is zero where zero motion explains the picture as well: estimated flow is never exactly zero, and edges
    warped along its noise would flicker.
    """
    motion = _dis_flow(current, reference)
    now, before = (_u8(cv2.cvtColor(one.colour, cv2.COLOR_BGR2BGRA)) for one in (current, reference))
    still, moved = difference(now, before), difference(now, _u8(warp(before, motion)))
    better = cv2.compare(_window_sums(moved), _window_sums(still), cv2.CMP_LT)
    return Motion(np.asarray(cv2.copyTo(motion, better), np.float32), _u8(cv2.copyTo(moved, better, still)))


def flow(current: Thumbnail, reference: Thumbnail) -> Grid:
    """The flow of `match`."""
    return match(current, reference).flow


def inverse(motion: Grid) -> Grid:
    """The flow from the reference to the current picture: one step of a fixed-point iteration.

    Wrong where the reference shows what the current picture hides. There the pictures disagree.
    """
    return np.asarray(-warp(motion, -motion), np.float32)


def warp(values: npt.NDArray[Any], motion: Grid) -> npt.NDArray[Any]:
    """`values` of the reference frame, warped to the current one: (144, 256) or (144, 256, up to 4), of any dtype.

    motion: from `flow`. OpenCV warps four channels in the time of one, and in half the time of two or three.
    """
    positions = _CELLS + motion
    warped = cv2.remap(values, positions, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped)


def difference(a: Plane, b: Plane) -> Plane:
    """uint8 (144, 256): the sum over Y, U and V of the absolute differences of two pictures, at most 255.

    a, b: (144, 256, 3), or with a fourth channel, which is ignored.
    """
    apart = cv2.absdiff(a, b)
    y, u, v = (cv2.extractChannel(apart, channel) for channel in range(3))  # cv2.split is slower
    return _u8(cv2.add(cv2.add(y, u, dst=y), v, dst=y))


def is_cut(colour: Plane, residual: Plane) -> bool:
    """Whether a new scene begins. colour: of the current frame. residual: of its motion to the previous frame.

    In a cut the residual after motion compensation is about as large as the picture's own contrast.
    """
    contrast = float(cv2.meanStdDev(colour)[1].sum())
    return cv2.mean(residual)[0] > max(CUT_LEVELS, CUT_RATIO * contrast)


def _dis_flow(current: Thumbnail, reference: Thumbnail) -> Grid:
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(_FINEST_SCALE)
    dis.setPatchStride(_PATCH_STRIDE)
    lumas = [cv2.extractChannel(picture.colour, 0) for picture in (current, reference)]
    return np.asarray(dis.calc(*lumas, None), np.float32)  # an initial flow of zeros instead of None is slower


def _window_sums(plane: Plane) -> npt.NDArray[np.uint16]:
    return np.asarray(cv2.boxFilter(plane, cv2.CV_16U, _STILL_WINDOW, normalize=False), np.uint16)


def _downscaled(plane: Plane, scale: int) -> Plane:
    """At `scale` times the grid's size: averaged by an integer factor (four times as fast as any other), then
    interpolated."""
    width, height = WIDTH * scale, HEIGHT * scale
    factor = min(plane.shape[1] // width, plane.shape[0] // height)
    if factor > 1:
        size = (plane.shape[1] // factor, plane.shape[0] // factor)
        plane = _u8(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
    return _u8(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))


def _u8(image: object) -> Plane:
    return np.asarray(image, np.uint8)
