"""Blurs the background of a picture as if the subject were not in it. Knows nothing about where alpha comes from."""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Plane, split_i420

Floats = npt.NDArray[np.float32]

GREY = (126, 128, 128)  # Y, U, V shown where no background is visible


def blurred(pixels: Plane, alpha: Plane, strength: float) -> Plane:
    """The background of an I420 picture, blurred as if the subject were not in it.

    A weighted mean of background pixels only (the subject and a rim around it have weight 0), at a quarter of the size.
    Holes too wide for the blur are filled from increasingly wide means. alpha: uint8 (H, W). strength: 0-1.
    """
    room = _weighted_room(pixels, alpha)
    radius = max(1, round(room.shape[0] * (0.006 + 0.044 * strength)))
    for _ in range(3):  # three box blurs approximate a Gaussian and cost the same at any radius
        cv2.blur(room, (2 * radius + 1, 2 * radius + 1), dst=room, borderType=cv2.BORDER_REPLICATE)
    small = np.clip(np.rint(_fill(room)), 0, 255).astype(np.uint8)
    out = np.empty_like(pixels)
    for plane, channel in zip(split_i420(out), cv2.split(small), strict=True):
        cv2.resize(channel, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_LINEAR)
    return out


def _weighted_room(pixels: Plane, alpha: Plane) -> Floats:
    """float32 (h, w, 4) at a quarter of the size: weighted Y, U and V, and the weight: 0 subject, 1 background."""
    height, width = alpha.shape
    size = (max(1, width // 4), max(1, height // 4))
    y, u, v = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in split_i420(pixels))
    subject = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    rim = 2 * max(1, round(size[1] / 60)) + 1  # mattes end a little inside the subject
    subject = cv2.dilate(subject, np.ones((rim, rim), np.uint8))
    weight = cv2.threshold(subject, 5, 1, cv2.THRESH_BINARY_INV)[1]
    weights = cv2.merge([weight, weight, weight, weight])
    return np.asarray(cv2.multiply(cv2.merge([y, u, v, np.ones_like(y)]), weights, dtype=cv2.CV_32F), np.float32)


def _fill(room: Floats) -> Floats:
    """Weighted colours, float32 (h, w, 4), to colours (h, w, 3). The smaller a pixel's weight, the more it takes from
    the mean of a wider neighbourhood; where nothing has weight it is grey."""
    height, width = room.shape[:2]
    if min(height, width) <= 2:
        return _mixed(room, np.full((height, width, 3), GREY, np.float32), 1e-6)
    half = cv2.resize(room, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    wider = cv2.resize(_fill(np.asarray(half, np.float32)), (width, height), interpolation=cv2.INTER_LINEAR)
    return _mixed(room, np.asarray(wider, np.float32), 0.01)


def _mixed(room: Floats, wider: Floats, weight: float) -> Floats:
    return np.asarray((room[..., :3] + weight * wider) / (room[..., 3:] + weight), np.float32)
