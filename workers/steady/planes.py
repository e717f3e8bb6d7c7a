"""Planes of pictures: float32 or uint8 arrays (h, w)."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from workers.steady.motion import Grid


def channel(image: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """One channel, copied to a plane. cv2.split takes several times as long: it allocates all planes twice."""
    return np.asarray(cv2.extractChannel(image, number))


def resized(plane: Grid, shape: tuple[int, ...]) -> Grid:
    """The plane at the size `shape` (height, width): averaged where smaller, interpolated where larger."""
    if plane.shape[:2] == shape:
        return plane
    interpolation = cv2.INTER_AREA if plane.shape[0] > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=interpolation), np.float32)
