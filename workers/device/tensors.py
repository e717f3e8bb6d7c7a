"""Frames to network inputs: RGB conversion, resizing and scaling to 0-1.

Knows nothing about any particular network. Runners of networks normalise on the device, so that only uint8 is uploaded.
"""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.colour import yuv_to_rgb
from stream.picture.frames import Frame, Plane, to_av

Tensor = npt.NDArray[np.float32]

Bytes = npt.NDArray[np.uint8]

Area = tuple[float, float, float, float]
"""(left, top, right, bottom) of a part of a picture, 0 to 1 of its width and height."""
WHOLE: Area = (0.0, 0.0, 1.0, 1.0)

_UNIT = np.float32(1 / 255)
_YUV_TO_BYTES = yuv_to_rgb().astype(np.float32)
_YUV_TO_UNIT = (yuv_to_rgb() / 255).astype(np.float32)


def rgb(frame: Frame) -> Tensor:
    """float32 (3, H, W), 0-1: the picture at full size, accurate to about two levels of 255.

    Through rgb24: FFmpeg's fast conversions to gbrp, rgba and bgra left the last columns unwritten where the width is
    not a multiple of 16, and conversion to gbrpf32 takes longer. 1.5 ms at 720p.
    """
    packed = to_av(frame, "rgb24").to_ndarray()
    out = np.empty((3, frame.height, frame.width), np.float32)
    return np.multiply(packed.transpose(2, 0, 1), _UNIT, out=out)


def rgb_small(frame: Frame, width: int, height: int) -> Tensor:
    """float32 (3, height, width), 0-1: the picture resized to a network's small input, aspect ratio ignored.

    The planes are resized before the colour conversion, which then runs over few pixels. The chroma siting (a quarter
    of a chroma pixel to the left) is ignored; at such sizes that is less than the resizing loses.
    """
    if frame.gray:
        return np.repeat(_resize(frame.pixels, width, height)[None] * _UNIT, 3, axis=0)
    yuv = cv2.merge([_resize(plane, width, height) for plane in frame.planes()])
    out = cv2.transform(yuv.astype(np.float32), _YUV_TO_UNIT)
    return np.ascontiguousarray(np.clip(out, 0.0, 1.0).transpose(2, 0, 1))


def rgb_bytes(frame: Frame, width: int, height: int, area: Area = WHOLE) -> Bytes:
    """uint8 (height, width, 3): an area of the picture as `rgb_small`, rounded, channels last."""
    if frame.gray:
        return np.repeat(_resize(_cut(frame.pixels, area), width, height)[:, :, None], 3, axis=2)
    yuv = cv2.merge([_resize(_cut(plane, area), width, height) for plane in frame.planes()])
    return np.asarray(cv2.transform(yuv, _YUV_TO_BYTES), np.uint8)


def _cut(plane: Plane, area: Area) -> Plane:
    """A view of the area, of at least one pixel."""
    height, width = plane.shape
    left, top = min(round(area[0] * width), width - 1), min(round(area[1] * height), height - 1)
    right, bottom = max(round(area[2] * width), left + 1), max(round(area[3] * height), top + 1)
    return plane[top:bottom, left:right]


def _resize(plane: Plane, width: int, height: int) -> Plane:
    """Downscaled by area averaging, to avoid aliasing that flickers; upscaled bilinearly."""
    shrinks = plane.shape[1] > width or plane.shape[0] > height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=interpolation), np.uint8)
