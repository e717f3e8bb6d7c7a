"""Colour charts, and BT.601 by its definition, which the code leaves to FFmpeg."""

import numpy as np
import numpy.typing as npt

ROWS, COLUMNS = 4, 8
PATCHES = np.concatenate(
    [
        [
            (255, 0, 0),
            (0, 255, 0),
            (0, 0, 255),
            (255, 255, 0),
            (0, 255, 255),
            (255, 0, 255),
            (255, 255, 255),
            (0, 0, 0),
        ],
        [(128, 128, 128), (224, 172, 140), (60, 40, 30), (30, 60, 120)],
        np.random.default_rng(3).integers(0, 256, (ROWS * COLUMNS - 12, 3)),
    ]
).astype(np.uint8)
"""RGB (32, 3): primaries, greys, skin and random colours, in the chart's order, row by row."""


def chart(width: int, height: int) -> npt.NDArray[np.uint8]:
    """RGB (H, W, 3): the patches in a grid of 4 rows and 8 columns."""
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    return np.asarray(PATCHES[rows[:, None] * COLUMNS + columns], np.uint8)


def bt601_from_rgb() -> npt.NDArray[np.float64]:
    """Matrix (3, 3) of ITU-R BT.601: from R', G', B' 0-255 to Y 16-235, U and V 16-240, without their offsets."""
    return np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255


def bt601_to_rgb() -> npt.NDArray[np.float64]:
    """Matrix (3, 4) of ITU-R BT.601: from Y, U, V in limited range and a constant 1 to R', G', B' 0-255."""
    inverse = np.linalg.inv(bt601_from_rgb())
    return np.column_stack([inverse, -inverse @ [16, 128, 128]])
