"""The guided filter (He et al., ECCV 2010) with a colour picture as its guide.

In each window alpha is modelled as a linear function of the picture's three channels, fitted by least squares. The
coefficients of all windows that contain a pixel are averaged. Edges of alpha move onto edges of the picture, and
variation that the picture does not have is smoothed away.
"""

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# As matrices of `cv2.transform`: over so short an axis OpenCV permutes and sums thirty times as fast as numpy.
_SUM_3 = np.ones((1, 3), np.float32)
_ROTATE = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)


def apply_coefficients(picture: Floats, coefficients: Floats, luma: Floats | None = None) -> Floats:
    """The filtered alpha, float32 (h, w), 0-1, of the size of `luma` if given.

    picture: float32 (h, w, 3), 0-1. coefficients: float32 (h, w, 4), from `fit_coefficients`. luma: the picture's first
    channel at a larger size, float32 (H, W), 0-1. The terms of the other channels are then enlarged.
    """
    y, u, v = cv2.split(picture)
    slope, slope_u, slope_v, rest = cv2.split(coefficients)  # copies, so they may be overwritten
    for slope_c, plane in ((slope_u, u), (slope_v, v)):
        cv2.add(rest, cv2.multiply(slope_c, plane, dst=slope_c), dst=rest)
    if luma is not None:
        y, size = luma, luma.shape[::-1]
        slope, rest = cv2.resize(slope, size), cv2.resize(rest, size)
    alpha = np.asarray(cv2.add(cv2.multiply(slope, y, dst=slope), rest, dst=slope), np.float32)
    return np.clip(alpha, 0.0, 1.0, out=alpha)


def fit_coefficients(picture: Floats, alpha: Floats, radius: int, epsilon: float) -> Floats:
    """float32 (h, w, 4): per pixel, the slope of alpha over each of the picture's channels, and the offset.

    picture: float32 (h, w, 3), 0-1. alpha: float32 (h, w), 0-1. radius: of the window, in pixels. epsilon:
    regularisation, a variance of the picture (0-1, squared). Coefficients of a small picture may be enlarged and used
    on a larger one (He and Sun, "Fast Guided Filter", 2015); those of several radii may be averaged.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, size), np.float32)

    mean_colour, mean_alpha = mean(picture), mean(alpha)
    covariance = mean(picture * cv2.merge([alpha] * 3)) - mean_colour * cv2.merge([mean_alpha] * 3)
    variance = mean(picture * picture) - mean_colour * mean_colour + np.float32(epsilon)
    cross = mean(picture * cv2.transform(picture, _ROTATE)) - mean_colour * cv2.transform(mean_colour, _ROTATE)
    slope = _solve(variance, cross, covariance)
    offset = mean_alpha - cv2.transform(slope * mean_colour, _SUM_3)
    return mean(np.asarray(cv2.merge([*cv2.split(slope), offset]), np.float32))


def _solve(diagonal: Floats, cross: Floats, right: Floats) -> Floats:
    """x of S x = right at every pixel. S: symmetric, with `diagonal`, and `cross` at (0, 1), (1, 2) and (2, 0)."""
    a, d, f = cv2.split(diagonal)
    b, e, c = cv2.split(cross)
    x, y, z = cv2.split(right)
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    s, t, u = a * f - c * c, b * c - a * e, a * d - b * b
    scale = 1 / (a * p + b * q + c * r)
    rows = (p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z)
    return np.asarray(cv2.merge([row * scale for row in rows]), np.float32)
