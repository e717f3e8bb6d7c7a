"""The alpha of a smoothed frame: the mean of all frames, fitted to the picture and sharpened."""

from collections.abc import Sequence

import cv2
import numpy as np

from stream.picture.frames import Alpha, Frame
from workers.steady.colour_guided import apply_coefficients, fit_coefficients
from workers.steady.grid import EPSILON, HEIGHT, WIDTH
from workers.steady.motion import Grid, Thumbnail
from workers.steady.planes import channel, resized
from workers.steady.tuning import Tuning

_NARROW = 3  # cells: the largest radius for which the guided filter is fitted on the whole grid with `tuning.fine`
_LARGE = 500_000  # pixels: in smaller pictures a finer alpha flickered more, as measured


def output_alpha(
    frame: Frame, picture: Thumbnail, alpha: Alpha, on_grid: Grid, mean: Grid, tuning: Tuning, weight: float
) -> Alpha:
    """The smoothed alpha: the engine's alpha, blended with the mean of all frames, which has the weight `weight`, 0-1.

    picture: of the frame. on_grid: the engine's alpha on the grid. mean: on the grid. The result is of the size of
    `alpha`, or up to twice that with `tuning.fine`.
    """
    if weight == 0.0:
        return alpha
    if tuning.radii:
        is_fine = tuning.fine and alpha.shape == mean.shape and frame.width * frame.height >= _LARGE
        mean = _guided(picture, mean, tuning, is_fine)
    if alpha.shape != mean.shape == on_grid.shape:
        mean = alpha + resized(mean - on_grid, alpha.shape)
    target = _levels(mean, tuning)
    if weight == 1.0:
        return target
    return np.asarray(cv2.addWeighted(target, weight, resized(alpha, target.shape), 1 - weight, 0.0), np.float32)


def _levels(mean: Alpha, tuning: Tuning) -> Alpha:
    """Alpha with the tuning's black and white levels and curve, as a new array. In place, because each pass over new
    memory costs more than the arithmetic."""
    scale = np.float32(1 / (tuning.white - tuning.black))
    target = np.multiply(mean, scale)
    target -= np.float32(tuning.black) * scale
    np.clip(target, 0.0, 1.0, out=target)
    if tuning.smoothstep:
        square = target * target
        target *= -2
        target += 3
        target *= square
    return target


def _guided(picture: Thumbnail, mean: Grid, tuning: Tuning, is_fine: bool) -> Grid:
    """The mean, fitted to the picture by a guided filter. is_fine: at the size of the picture's luma."""
    planes = [channel(picture.colour, number) * np.float32(1 / 255) for number in range(3)]
    coefficients = _coefficients(planes, mean, tuning)
    return apply_coefficients(planes, coefficients, picture.luma * np.float32(1 / 255) if is_fine else None)


def _coefficients(picture: Sequence[Grid], mean: Grid, tuning: Tuning) -> list[Grid]:
    """The guided filter's coefficients, averaged over windows of all radii: four planes on the grid.

    They are computed at half the grid's size, which takes a fourth of the time; with `tuning.fine`, those of narrow
    windows on the whole grid.
    """
    size = (HEIGHT // 2, WIDTH // 2)
    fine = [radius for radius in tuning.radii if tuning.fine and radius <= _NARROW]
    halved = [radius // 2 for radius in tuning.radii if radius not in fine]
    on_grid = fit_coefficients(picture, mean, fine, EPSILON) if fine else []
    if not halved:
        return on_grid
    half, half_mean = [resized(plane, size) for plane in picture], resized(mean, size)
    enlarged = [resized(plane, mean.shape) for plane in fit_coefficients(half, half_mean, halved, EPSILON)]
    if not fine:
        return enlarged
    share = len(fine) / len(tuning.radii)
    both = (cv2.addWeighted(a, share, b, 1 - share, 0.0, dst=a) for a, b in zip(on_grid, enlarged, strict=True))
    return [np.asarray(plane, np.float32) for plane in both]
