"""A trimap drawn from the matte of any engine: certainly background, unknown, certainly subject.

The unknown band follows the matte's own doubt: it is narrow where alpha changes within a pixel or two, as along a
shoulder, and wide where the change is gradual, as in hair. Its width scales with the picture, with the resolution of
the matte, and with the thickness of the subject. Pure functions on the CPU; knows no network.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Plane

BACKGROUND, UNKNOWN, SUBJECT = 0, 128, 255

# Measured on the clip in tests/data, of whose pixels 3.5 % have a true alpha between 0.02 and 0.98. Until passers-by
# come, the band has 99.8 % of them in 10.4 % of the picture with selfie, and 99.7 % in 9.0 % with rvm. On the whole
# clip it has 98.4 % in 11.9 %, and 97.0 % in 9.7 %: the engines keep a passer-by behind the shoulder, whose edge is
# then not an edge of the matte, and the true alpha has a haze above the shoulder that the picture does not show.
_DOUBT = 0.06  # alpha further than this from 0 and 1 is unknown
_LEAST = 1 / 160  # of the picture's short side: the band's width on either side of a sharp edge
_MOST = 1 / 30  # the same, of the widest
_PER_SOFTNESS = 0.9  # by which the band grows for each pixel of half the width of the soft edge
_NEARBY = 1 / 40  # of the short side: how far the softness of an edge has an effect
_CELL = 1.0  # pixels of the matte: the least width, as a small matte cannot place an edge more exactly
_PER_THICKNESS = 0.5  # of the subject's half thickness: the largest width, so that a distant person keeps a core
_LONG_SIDE_PX = 1280  # of the grid on which the band is found

Mask = npt.NDArray[np.uint8]


def draw(alpha: Alpha, width: int, height: int) -> Plane:
    """The trimap of a picture, uint8 (height, width), with the values BACKGROUND, UNKNOWN and SUBJECT.

    alpha: float32 (h, w), 0-1, of any size.
    """
    scale = min(1.0, _LONG_SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if alpha.shape[0] > size[1] else cv2.INTER_LINEAR
    level = np.asarray(cv2.resize(alpha, size, interpolation=interpolation), np.float32)
    cell = max(size[1] / alpha.shape[0], size[0] / alpha.shape[1], 1.0)
    subject = (level > 0.5).view(np.uint8)
    trimap = np.where(subject, SUBJECT, BACKGROUND).astype(np.uint8)
    trimap[_band(level, subject, cell)] = UNKNOWN
    return np.asarray(cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _band(level: Alpha, subject: Mask, cell: float) -> npt.NDArray[np.bool_]:
    """Which pixels are unknown. cell: size of the matte's pixels, in pixels of `level`."""
    doubtful = ((level > _DOUBT) & (level < 1 - _DOUBT)).view(np.uint8)
    doubtful |= _u8(cv2.morphologyEx(subject, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
    if not doubtful.any():
        return np.zeros(level.shape, np.bool_)
    short = min(level.shape)
    softness = cv2.dilate(_distance(1 - doubtful), _disc(round(short * _NEARBY)))
    least = max(short * _LEAST, cell * _CELL)
    width = np.clip(least + _PER_SOFTNESS * softness, least, max(short * _MOST, least))
    return np.asarray(_distance(doubtful) <= np.minimum(width, _largest(subject, least)))


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


def _disc(radius: int) -> Plane:
    return _u8(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def _u8(image: object) -> Plane:
    return np.asarray(image, np.uint8)
