"""The guided filter (He et al., ECCV 2010) with a colour picture as its guide.

In each window alpha is modelled as a linear function of the picture's three channels, fitted by least squares. The
coefficients of all windows that contain a pixel are averaged. Edges of alpha move onto edges of the picture, and
variation that the picture does not have is smoothed away.

Everything is computed plane by plane: OpenCV's and numpy's passes over single planes are fast, and cv2.split is not.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Planes = Sequence[Floats]


def apply_coefficients(picture: Planes, coefficients: Planes, luma: Floats | None = None) -> Floats:
    """The filtered alpha, float32 (h, w), 0-1, of the size of `luma` if given.

    picture: three planes, float32 (h, w), 0-1. coefficients: from `fit_coefficients`; they are overwritten. luma: the
    picture's first plane at a larger size, float32 (H, W), 0-1. The terms of the other planes are then enlarged.
    """
    slope, *others, rest = coefficients
    y, *chroma = picture
    for slope_c, plane in zip(others, chroma, strict=True):
        rest += np.multiply(slope_c, plane, out=slope_c)
    if luma is not None:
        y, size = luma, luma.shape[::-1]
        slope, rest = (np.asarray(cv2.resize(plane, size), np.float32) for plane in (slope, rest))
    alpha = np.multiply(slope, y, out=slope)
    alpha += rest
    return np.clip(alpha, 0.0, 1.0, out=alpha)


def fit_coefficients(picture: Planes, alpha: Floats, radii: Sequence[int], epsilon: float) -> list[Floats]:
    """Four planes, float32 (h, w): the slope of alpha over each of the picture's planes, and the offset, averaged over
    windows of several radii.

    picture: three planes, float32 (h, w), 0-1. alpha: float32 (h, w), 0-1. radii: in pixels. epsilon: regularisation, a
    variance of the picture (0-1, squared). Coefficients of a small picture may be enlarged and used on a larger one (He
    and Sun, "Fast Guided Filter", 2015).
    """
    y, u, v = picture
    values = (y, u, v, alpha)
    pairs = ((y, y), (u, u), (v, v), (y, u), (u, v), (v, y), (y, alpha), (u, alpha), (v, alpha))
    products = [np.multiply(a, b) for a, b in pairs]
    totals: list[Floats] = []
    for radius in radii:
        fitted = _fit_windows(values, products, radius, epsilon)
        totals = [np.add(a, b, out=a) for a, b in zip(totals, fitted, strict=True)] if totals else fitted
    return totals if len(radii) == 1 else [np.multiply(total, 1 / len(radii), out=total) for total in totals]


def _fit_windows(values: Planes, products: Planes, radius: int, epsilon: float) -> list[Floats]:
    """The coefficients for windows of one radius. products: as in `fit_coefficients`."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(plane: Floats) -> Floats:
        return np.asarray(cv2.blur(plane, size), np.float32)

    y, u, v, alpha = (mean(plane) for plane in values)
    means = ((y, y), (u, u), (v, v), (y, u), (u, v), (v, y), (y, alpha), (u, alpha), (v, alpha))
    moments = [_less(mean(product), a, b) for product, (a, b) in zip(products, means, strict=True)]
    for variance in moments[:3]:
        variance += np.float32(epsilon)
    slopes = _solve(moments[:3], moments[3:6], moments[6:])
    offset = alpha
    for slope, plane in zip(slopes, (y, u, v), strict=True):
        offset = _less(offset, slope, plane)
    return [mean(plane) for plane in (*slopes, offset)]


def _solve(diagonal: Planes, cross: Planes, right: Planes) -> list[Floats]:
    """x of S x = right at every pixel. S: symmetric, with `diagonal`, and `cross` at (0, 1), (1, 2) and (2, 0)."""
    (a, d, f), (b, e, c), (x, y, z) = diagonal, cross, right
    # the adjugate of S, which is symmetric too
    p, q, r = _less(d * f, e, e), _less(c * e, b, f), _less(b * e, c, d)
    s, t, u = _less(a * f, c, c), _less(b * c, a, e), _less(a * d, b, b)
    determinant = _dot((a, b, c), (p, q, r))
    solved = [_dot(row, (x, y, z)) for row in ((p, q, r), (q, s, t), (r, t, u))]
    return [np.divide(plane, determinant, out=plane) for plane in solved]


def _less(total: Floats, a: Floats, b: Floats) -> Floats:
    """total - a b, in the memory of `total`."""
    total -= a * b
    return total


def _dot(left: Planes, right: Planes) -> Floats:
    total = left[0] * right[0]
    for a, b in zip(left[1:], right[1:], strict=True):
        total += a * b
    return total
