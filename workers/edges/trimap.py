"""A trimap drawn from the matte of any engine: certainly background, unknown, certainly subject.

The unknown band follows the matte's own doubt: it is narrow where alpha changes within a pixel or two, as along a
shoulder, and wide where the change is gradual, as in hair. Its width scales with the picture, with the resolution of
the matte, and with the thickness of the subject. Lines of the picture that lead from the band into the subject are
unknown too: where an engine keeps a passer-by behind a shoulder, the shoulder is no edge of the matte, but one of the
picture. Pure functions on the CPU; knows no network.
"""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane

BACKGROUND, UNKNOWN, SUBJECT = 0, 128, 255

# Lengths are shares of the picture's short side. Chosen on the clip in tests/data, on which the band covers just under
# 12 % of the picture with the mattes of selfie and rvm (docs/engines.md).
_DOUBT = 0.06  # alpha further than this from 0 and 1 is unknown
_LEAST = 1 / 120  # the band's width on either side of a sharp edge
_MOST = 1 / 30  # the same, of the widest
_PER_SOFTNESS = 0.75  # by which the band grows for each pixel of half the width of the soft edge
_OUTWARDS = 2  # times as much outside: hair becomes thin there, and its ends are what engines miss
_NEARBY = 1 / 40  # how far the softness of an edge has an effect
_CELL = 1.0  # pixels of the matte: the least width, as a small matte cannot place an edge more exactly
_PER_THICKNESS = 0.5  # of the subject's half thickness: the largest width, so that a distant person keeps a core
_LONG_SIDE_PX = 640  # of the grid on which the band is found

_BLUR = 1 / 320  # standard deviation, before lines are looked for: noise and texture draw none
_LINE = 8, 16  # levels: the step of luma that continues a line, and the one that begins it
_REACH = 1 / 10  # how far into the subject lines are followed: half the width of a person in the background
_LINE_WIDTH = 0.5  # of the band's least width: on either side of a line, which lies exactly on the edge

Mask = npt.NDArray[np.uint8]


def draw(alpha: Alpha, width: int, height: int, luma: Plane | None = None) -> Plane:
    """The trimap of a picture, uint8 (height, width), with the values BACKGROUND, UNKNOWN and SUBJECT.

    alpha: float32 (h, w), 0-1, of any size. luma: uint8, of the picture, of any size; None: its lines are not followed.
    """
    scale = min(1.0, _LONG_SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    level = np.asarray(_resized(alpha, size), np.float32)
    cell = max(size[1] / alpha.shape[0], size[0] / alpha.shape[1], 1.0)
    least = max(min(size) * _LEAST, cell * _CELL)
    subject = (level > 0.5).view(np.uint8)
    band = _band(level, subject, cell, least)
    if luma is not None and band.any():
        band |= _lines(_u8(_resized(luma, size)), subject, band, least)
    trimap = np.where(band, UNKNOWN, np.where(subject, SUBJECT, BACKGROUND)).astype(np.uint8)
    return np.asarray(cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _band(level: Alpha, subject: Mask, cell: float, least: float) -> Mask:
    """Which pixels are unknown, 0 or 1. cell: size of the matte's pixels, in pixels of `level`."""
    doubtful = ((level > _DOUBT) & (level < 1 - _DOUBT)).view(np.uint8)
    doubtful |= _u8(cv2.morphologyEx(subject, cv2.MORPH_GRADIENT, _square(1)))
    if not doubtful.any():
        return doubtful
    short = min(level.shape)
    softness = cv2.dilate(_distance(1 - doubtful), _square(round(short * _NEARBY)))
    growth = np.array([_OUTWARDS * _PER_SOFTNESS, _PER_SOFTNESS], np.float32)[subject]
    most = np.float32(max(short * _MOST, least))
    width = least + growth * np.clip(softness - np.float32(cell), 0, most)  # a small matte is soft of itself
    width = np.minimum(width, most)
    return _u8((_distance(doubtful) <= np.minimum(width, _largest(subject, least))).view(np.uint8))


def _lines(luma: Plane, subject: Mask, band: Mask, least: float) -> Mask:
    """Where lines of the picture lead from the band into the subject, 0 or 1."""
    short = min(luma.shape)
    deviation = max(short * _BLUR, 1.0)
    per_level = 8 / (deviation * math.sqrt(2 * math.pi))  # the steepest gradient of a step, as Canny measures it
    low, high = (step * per_level for step in _LINE)
    smooth = cv2.GaussianBlur(luma, (0, 0), deviation)
    edges = _u8(cv2.Canny(smooth, low, high, L2gradient=True)) & subject & ~band
    edges[_distance(band) > short * _REACH] = 0
    count, parts = cv2.connectedComponents(edges | band)
    connected = np.zeros(count, np.uint8)
    connected[parts[band > 0]] = 1
    followed = _u8(connected[parts] & edges)
    if not followed.any():
        return followed
    return (_distance(followed) <= least * _LINE_WIDTH).view(np.uint8) & subject


def _largest(subject: Mask, least: float) -> Alpha | float:
    """The largest width of the band around each pixel, by the thickness of the nearest part of the subject."""
    if not subject.any():
        return least
    _, parts = cv2.distanceTransformWithLabels(1 - subject, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_CCOMP)
    thickness = np.zeros(int(parts.max()) + 1, np.float32)
    inside = subject > 0
    np.maximum.at(thickness, parts[inside].astype(np.intp), _distance(1 - subject)[inside])
    return np.asarray(np.maximum(_PER_THICKNESS * thickness, least)[parts], np.float32)


def _distance(mask: Mask) -> Alpha:
    """From each pixel to the mask, float32, in pixels; outside the picture there is none of it."""
    return np.asarray(cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3), np.float32)


def _resized(plane: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    if plane.shape == size[::-1]:
        return plane
    interpolation = cv2.INTER_AREA if plane.shape[0] > size[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size, interpolation=interpolation))


def _square(radius: int) -> Plane:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def _u8(image: object) -> Plane:
    return np.asarray(image, np.uint8)
