"""The internal colour space: BT.709, limited range, 8 bit. The only module with its coefficients."""

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Plane

Matrix = npt.NDArray[np.float64]

_KR, _KB = 0.2126, 0.0722  # ITU-R BT.709: weights of red and blue in luma


def rgb_to_yuv() -> Matrix:
    """Matrix (3, 4): from R', G', B' 0-255 and a constant 1 to Y 16-235, U and V 16-240."""
    luma = np.array([_KR, 1 - _KR - _KB, _KB])
    blue, red = np.eye(3)[2], np.eye(3)[0]
    rows = [219 * luma, 112 * (blue - luma) / (1 - _KB), 112 * (red - luma) / (1 - _KR)]
    return np.column_stack([np.array(rows) / 255, [16, 128, 128]])


def yuv_to_rgb() -> Matrix:
    """Matrix (3, 4): from Y, U, V and a constant 1 to R', G', B' 0-255."""
    forward = rgb_to_yuv()
    inverse = np.linalg.inv(forward[:, :3])
    return np.column_stack([inverse, -inverse @ forward[:, 3]])


def rgb_to_i420(rgb: Plane) -> Plane:
    """uint8 RGB (H, W, 3) to uint8 I420 (H*3/2, W); H and W even. Chroma is the mean of 2x2 pixels."""
    height, width = rgb.shape[:2]
    yuv = cv2.transform(rgb.astype(np.float32), rgb_to_yuv())
    chroma = cv2.resize(yuv[..., 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes = (yuv[..., 0], chroma[..., 0], chroma[..., 1])
    return np.concatenate([np.rint(p).astype(np.uint8).ravel() for p in planes]).reshape(height * 3 // 2, width)
