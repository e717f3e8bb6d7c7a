"""Pictures to what networks take: the only place with sizes and ranges for models.

Knows nothing about any one network. ImageNet's mean and deviation are in `runner.py` alone: they are applied there, on
the device, so that only bytes are uploaded.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.colour import yuv_to_rgb
from stream.picture.frames import Frame, Plane, to_av

Tensor = npt.NDArray[np.float32]

Bytes = npt.NDArray[np.uint8]

_UNIT = np.float32(1 / 255)


_TO_BYTES = yuv_to_rgb().astype(np.float32)
_FROM_YUV = (yuv_to_rgb() / 255).astype(np.float32)


def rgb(frame: Frame) -> Tensor:
    """float32 (3, H, W), 0-1: the whole picture, to about two levels of 255.

    By way of rgb24: FFmpeg's fast conversions to gbrp, rgba and bgra were seen to leave the last columns unwritten
    where the width is no multiple of 16, and to gbrpf32 they take longer. 1.5 ms at 720p.
    """
    packed = to_av(frame, "rgb24").to_ndarray()
    out = np.empty((3, frame.height, frame.width), np.float32)
    return np.multiply(packed.transpose(2, 0, 1), _UNIT, out=out)


def rgb_small(frame: Frame, width: int, height: int) -> Tensor:
    """float32 (3, height, width), 0-1: the picture squashed to a network's small input.

    The planes are resized first, so that the matrix runs over few pixels. Chroma lies a quarter of its pixel to the
    left of where this takes it to be; at such sizes that is less than the resizing loses.
    """
    if frame.gray:
        return np.repeat(_resize(frame.pixels, width, height)[None] * _UNIT, 3, axis=0)
    yuv = cv2.merge([_resize(plane, width, height) for plane in frame.planes()])
    out = cv2.transform(yuv.astype(np.float32), _FROM_YUV)
    return np.ascontiguousarray(np.clip(out, 0.0, 1.0).transpose(2, 0, 1))


def rgb_bytes(frame: Frame, width: int, height: int) -> Bytes:
    """uint8 (height, width, 3): as `rgb_small`, rounded, a pixel's colours side by side."""
    if frame.gray:
        return np.repeat(_resize(frame.pixels, width, height)[:, :, None], 3, axis=2)
    yuv = cv2.merge([_resize(plane, width, height) for plane in frame.planes()])
    return np.asarray(cv2.transform(yuv, _TO_BYTES), np.uint8)


def _resize(plane: Plane, width: int, height: int) -> Plane:
    """Averaged when it shrinks (or fine texture becomes noise that moves), interpolated when it grows."""
    shrinks = plane.shape[1] > width or plane.shape[0] > height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how), np.uint8)
