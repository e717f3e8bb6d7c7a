"""The curve between pictures as they are displayed and scene-linear light: that of sRGB (IEC 61966-2-1).

It is used for BT.709 video too: compositors show linear pictures through this curve, so that a result looks as its
source does in a player. The curve of BT.1886, a power of 2.4, would show dark parts darker there.
"""

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_KNEE, _SLOPE, _OFFSET, _POWER = 0.04045, 12.92, 0.055, 2.4


def to_linear(encoded: Floats) -> Floats:
    """Display-referred values to linear ones; 0 to 1, any shape. The curve continues above 1, and mirrored below 0."""
    size = np.abs(encoded)
    curve = ((size + np.float32(_OFFSET)) / np.float32(1 + _OFFSET)) ** np.float32(_POWER)
    return np.copysign(np.where(size <= _KNEE, size / np.float32(_SLOPE), curve), encoded).astype(np.float32)


def from_linear(linear: Floats) -> Floats:
    """The inverse of `to_linear`."""
    size = np.abs(linear)
    curve = size ** np.float32(1 / _POWER) * np.float32(1 + _OFFSET) - np.float32(_OFFSET)
    return np.copysign(np.where(size <= _KNEE / _SLOPE, size * np.float32(_SLOPE), curve), linear).astype(np.float32)


@functools.cache
def linear_levels(levels: int) -> Floats:
    """`to_linear` of the integers 0 to `levels`, which stands for 1: float32 (levels + 1,)."""
    exact = np.arange(levels + 1, dtype=np.float64) / levels
    curve = np.where(exact <= _KNEE, exact / _SLOPE, ((exact + _OFFSET) / (1 + _OFFSET)) ** _POWER)
    return curve.astype(np.float32)
