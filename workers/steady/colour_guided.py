"""The guided filter (He et al., ECCV 2010) with a colour picture as its guide.

Around every pixel alpha is taken to be a linear function of the picture's three channels; the best one is found over a
window, and the functions of all windows that hold a pixel are averaged. Edges move onto those of the picture, and what
the picture does not support is smoothed away.
"""

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# OpenCV turns and sums channels thirty times as fast as numpy does over so short an axis.
_ONES = np.ones((1, 3), np.float32)
_ALL = np.ones((1, 4), np.float32)
_TURN = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)


def drawn(picture: Floats, lines: Floats) -> Floats:
    """alpha drawn anew from the picture: float32 (h, w), 0-1.

    picture: float32 (h, w, 3), 0-1. lines: float32 (h, w, 4), from `lines`.
    """
    terms = lines * cv2.merge([*cv2.split(picture), np.ones_like(picture[..., 0])])
    return np.asarray(np.clip(cv2.transform(terms, _ALL), 0.0, 1.0), np.float32)


def lines(picture: Floats, alpha: Floats, radius: int, epsilon: float) -> Floats:
    """float32 (h, w, 4): the slopes over the picture's channels, and the offset, that alpha has around each pixel.

    picture: float32 (h, w, 3), 0-1. alpha: float32 (h, w), 0-1. radius: of the window, in pixels. epsilon: how much
    variance of the picture, 0-1 squared, counts as none. Found in a small picture they may be enlarged, and alpha drawn
    from a larger one (He and Sun, "Fast Guided Filter", 2015); lines of several radii may be averaged.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, size), np.float32)

    centre, level = mean(picture), mean(alpha)
    covariance = mean(picture * cv2.merge([alpha] * 3)) - centre * cv2.merge([level] * 3)
    own = mean(picture * picture) - centre * centre + np.float32(epsilon)
    cross = mean(picture * cv2.transform(picture, _TURN)) - centre * cv2.transform(centre, _TURN)
    slope = _solve(own, cross, covariance)
    offset = level - cv2.transform(slope * centre, _ONES)
    return mean(np.asarray(cv2.merge([*cv2.split(slope), offset]), np.float32))


def _solve(own: Floats, cross: Floats, right: Floats) -> Floats:
    """x of S x = right at every pixel. S: symmetric, own on its diagonal, cross at (0, 1), (1, 2) and (2, 0)."""
    a, d, f = cv2.split(own)
    b, e, c = cv2.split(cross)
    x, y, z = cv2.split(right)
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    s, t, u = a * f - c * c, b * c - a * e, a * d - b * b
    scale = 1 / (a * p + b * q + c * r)
    rows = (p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z)
    return np.asarray(cv2.merge([row * scale for row in rows]), np.float32)
