"""Stacks: colour above alpha in one I420 picture of double height, for players without alpha. `workers/scene/composite`
draws them.

The colour is straight (not multiplied by alpha) and black where alpha is 0; alpha is limited-range grey.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Plane, split_i420

_BLACK = (16, 128, 128)
_LUMA_RANGE = 219
_Floats = npt.NDArray[np.float32]


def scaled(stack: Plane, width: int, height: int) -> Plane:
    """A stack scaled down to `width` x `height` pixels, both even: the size of its colour half.

    The halves are scaled apart, so that they do not mix. Colours are weighted by alpha: the black outside the subject
    must not darken its edge.
    """
    upper, lower = _halves(stack)
    alpha: _Floats = (_floats(lower[0]) - _BLACK[0]) / np.float32(_LUMA_RANGE)
    half = _reduced(alpha, upper[1].shape[1], upper[1].shape[0])
    out = np.empty((height * 3, width), np.uint8)
    colours, rest = _halves(out)
    weights: list[_Floats] = [alpha, half, half]
    for target, plane, weight, black in zip(colours, upper, weights, _BLACK, strict=True):
        target[...] = _weighted(plane, weight, black, target.shape[1], target.shape[0])
    rest[0][...] = np.rint(_reduced(_floats(lower[0]), width, height))
    rest[1][...] = rest[2][...] = _BLACK[1]
    return out


def _weighted(plane: Plane, weight: _Floats, black: int, width: int, height: int) -> Plane:
    """A plane scaled down, each pixel the mean of those it covers, by their alpha; `black` where that is 0."""
    weights = _reduced(weight, width, height)
    sums = _reduced((_floats(plane) - np.float32(black)) * weight, width, height)
    mean = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 1 / 512)
    return np.asarray(np.rint(mean + black).clip(0, 255), np.uint8)


def _halves(stack: Plane) -> tuple[list[Plane], list[Plane]]:
    """Views of the upper and the lower half of the planes."""
    planes = split_i420(stack)
    return [plane[: len(plane) // 2] for plane in planes], [plane[len(plane) // 2 :] for plane in planes]


def _floats(plane: Plane) -> _Floats:
    return plane.astype(np.float32)


def _reduced(plane: _Floats, width: int, height: int) -> _Floats:
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.float32)
