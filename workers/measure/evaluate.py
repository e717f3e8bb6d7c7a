"""The standard metrics of an alpha video against ground truth: MAD, MSE, Grad, Conn, dtSSD.

Grad and Conn are defined by Rhemann et al. (CVPR 2009), dtSSD by Erofeev et al. (BMVC 2015); all use the scales of
papers on video matting. Alpha is never normalised per frame. Two videos are compared one frame at a time;
`workers/measure/alpha_video.py` reads their alpha. Knows nothing about engines.
"""

import functools
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from stream.errors import InputError
from stream.picture.frames import Plane
from stream.settings import Settings
from workers.measure.alpha_video import AlphaVideo

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int16]

_SIGMA, _EPSILON = 1.4, 1e-2  # of Grad's filter: its width, and the limit for its outermost tap
_LEVELS = 10  # Conn's thresholds are 0.1 apart


@dataclass(frozen=True)
class Scores:
    """Means over all frames compared; smaller is better.

    mad, mse: x 1e3. grad, conn: sums over the picture / 1000. dtssd: x 1e2, mean over all frames but the first, which
    has no predecessor; None for a single frame. warning: empty, or a reason to doubt the numbers.
    """

    frames: int
    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float | None
    warning: str = ""


def evaluate(
    pred_path: Path, true_path: Path, settings: Settings, on_frame: Callable[[int], None] | None = None
) -> Scores:
    """Compare two alpha videos frame by frame, in order, in constant memory.

    Each path is a video, a folder of PNG files or a pattern such as `%05d.png`. on_frame: called with the number of
    frames compared so far. One surplus frame on either side is ignored with a warning, because encoders drop or repeat
    one at the end. A larger difference means that the videos do not match.
    Raises UnreadableMedia, NoVideoStream, TooLarge, and InputError if sizes or lengths differ.
    """
    totals, compared, extra = _Totals(), 0, [0, 0]
    with closing(AlphaVideo(pred_path, settings)) as pred, closing(AlphaVideo(true_path, settings)) as true:
        for p, t in zip_longest(pred, true):
            if p is None or t is None:
                extra[p is None] += 1
                continue
            if p.shape != t.shape:
                raise InputError(f"sizes differ: {pred_path} is {_size(p)}, {true_path} is {_size(t)}")
            totals.add(p, t)
            compared += 1
            if on_frame is not None:
                on_frame(compared)
    counts = f"{pred_path} has {compared + extra[0]} frames, {true_path} has {compared + extra[1]}"
    if sum(extra) > 1:
        raise InputError(f"lengths differ: {counts}")
    return totals.scores(f"{counts}; the first {compared} were compared" if sum(extra) else "")


def mad(error: Ints) -> float:
    """Mean absolute difference x 1e3. error: int16 (H, W), prediction minus truth, -255 to 255."""
    return float(np.abs(error).mean()) / 255 * 1e3


def mse(error: Ints) -> float:
    """Mean squared difference x 1e3. error: as for `mad`."""
    return float(np.square(error, dtype=np.int32).mean()) / 255**2 * 1e3


def dtssd(error: Ints, previous: Ints) -> float:
    """Difference between the temporal changes of prediction and truth, root mean square x 1e2.

    error, previous: of this frame and the previous one, as for `mad`. (p - p') - (t - t') equals (p - t) - (p' - t').
    """
    return math.sqrt(float(np.square(error - previous, dtype=np.int32).mean())) / 255 * 1e2


def grad(pred: Plane, true: Plane) -> float:
    """Sum of squared differences of gradient magnitudes / 1000. Two uint8 (H, W)."""
    difference = _gradient(pred) - _gradient(true)
    return float(np.square(difference, dtype=np.float64).sum()) / 1000


def conn(pred: Plane, true: Plane) -> float:
    """Sum of differences in connectedness to the largest common region / 1000. Two uint8 (H, W).

    In integers, in units of 1/2550, so that no threshold depends on rounding.
    """
    level = _connected_level(np.minimum(pred, true))
    excess_pred, excess_true = (_disconnected(plane, level) for plane in (pred, true))
    return float(np.abs(excess_pred - excess_true).sum(dtype=np.int64)) / 2550 / 1000


class _Totals:
    """Running sums of the metrics, and the error of the previous frame."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(("mad", "mse", "grad", "conn", "dtssd"), 0.0)
        self._frames = 0
        self._previous: Ints | None = None

    def add(self, pred: Plane, true: Plane) -> None:
        error = pred.astype(np.int16) - true
        self._sums["mad"] += mad(error)
        self._sums["mse"] += mse(error)
        self._sums["grad"] += grad(pred, true)
        self._sums["conn"] += conn(pred, true)
        if self._previous is not None:
            self._sums["dtssd"] += dtssd(error, self._previous)
        self._previous = error
        self._frames += 1

    def scores(self, warning: str) -> Scores:
        mad, mse, grad, conn, dtssd = self._sums.values()
        n = self._frames
        return Scores(n, mad / n, mse / n, grad / n, conn / n, dtssd / (n - 1) if n > 1 else None, warning)


def _gradient(plane: Plane) -> Floats:
    """Gradient magnitude by first derivatives of a Gaussian, with replicated borders: float32 (H, W)."""
    alpha = plane.astype(np.float32) / 255
    smooth, slope = _grad_filter()
    x, y = (
        cv2.sepFilter2D(alpha, cv2.CV_32F, across, down, borderType=cv2.BORDER_REPLICATE)
        for across, down in ((slope, smooth), (smooth, slope))
    )
    return np.asarray(cv2.magnitude(x, y), np.float32)


@functools.cache
def _grad_filter() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The two factors of the separable filter, each with unit norm: a Gaussian and its derivative."""
    half = math.ceil(_SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * _SIGMA * _EPSILON)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * _SIGMA**2))
    slope = x * smooth
    return smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)


def _connected_level(both: Plane) -> Ints:
    """For each pixel the highest threshold, in tenths, up to which it stays in the largest region.

    both: the minimum of the two alphas.
    """
    level = np.zeros(both.shape, np.int16)
    connected = np.ones(both.shape, np.bool_)
    for tenth in range(1, _LEVELS + 1):
        region = _largest_region(both >= math.ceil(25.5 * tenth))
        if region is None:
            break
        connected &= region
        level += connected
    return level


def _largest_region(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count < 2:
        return None
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _disconnected(plane: Plane, level: Ints) -> Ints:
    """The part of alpha above its connected level, in 1/2550; less than 0.15 counts as 0."""
    excess = plane.astype(np.int16) * 10 - level * 255
    return np.where(excess >= 383, excess, 0).astype(np.int16)


def _size(plane: Plane) -> str:
    return f"{plane.shape[1]}x{plane.shape[0]}"
