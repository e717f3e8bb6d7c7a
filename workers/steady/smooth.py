"""Temporal smoothing of mattes that does not trail the subject. Pure functions: state in, state out.

One method, with zero, one or several frames of look-ahead. History, the average of earlier pictures and alphas, is
warped along the motion between frames. At each pixel history's weight grows with the number of frames that agreed
there, and is reduced where the warped picture differs from the new one, so that new content is accepted at once. With
look-ahead, a temporal median of three frames first removes errors that last for one frame; then future frames are
warped back and averaged like the past ones. For engines with coarse mattes a guided filter fits the result to the
picture, and a steep curve sharpens it, because averaging softens edges that are sharp in the picture.

The first frame of a scene is unchanged; the following frames are smoothed more as history grows. Everything is computed
on the grid of `workers/steady/grid.py`. To an alpha larger than the grid, the change computed on the grid is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame, Plane
from workers.steady.colour_guided import apply_coefficients, fit_coefficients
from workers.steady.grid import (
    DOUBT_DECAY,
    DOUBT_WIDTH,
    EPSILON,
    HEIGHT,
    MAX_GAP_S,
    MIN_HISTORY_WEIGHT,
    RAMP_FRAMES,
    WIDTH,
)
from workers.steady.motion import Grid, Thumbnail, flow, is_cut, thumbnail, warp
from workers.steady.tuning import NO_DOUBT, Tuning

# Values that decay must not become subnormal, because CPUs are slow with subnormal numbers.
_MIN_ALPHA = np.float32(1e-6)  # least alpha on the grid, too small to be visible
_TINY = np.float32(1e-12)  # always added to doubt
_NO_MOTION = np.zeros((HEIGHT, WIDTH, 2), np.float32)
_FAST = 24.0  # speed, in cells of the grid per frame, at which the temporal median's weight is reduced to 1/e
_MOTION_WINDOW = np.ones((9, 9), np.uint8)
_LARGE = 500_000  # pixels: in smaller pictures a finer alpha flickered more, as measured
# As matrices of `cv2.transform`: the alpha channel, and the sum of the colour channels.
_ALPHA = np.array([[0, 0, 0, 1]], np.float32)
_COLOUR = np.array([[1, 1, 1, 0]], np.float32)


Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MattedFrame:
    """A frame and its own alpha, kept together while buffered. alpha, foreground: as in an engine's `Result`."""

    frame: Frame
    alpha: Alpha
    foreground: Plane | None = None


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """A buffered frame. alpha: on the grid. filtered: as `alpha`, but after the temporal median once the next frame is
    known. to_previous: motion from this frame to the previous one; from_previous: from the previous frame to this."""

    matted: MattedFrame
    alpha: Grid
    filtered: Grid
    picture: Thumbnail
    to_previous: Grid
    from_previous: Grid


@dataclass(frozen=True, slots=True)
class Average:
    """The average of several frames, per cell of the grid.

    values: float32 (144, 256, 4): Y, U, V and alpha. count: (144, 256), number of frames that agreed; older frames
    count less. doubt: (144, 256), running mean of the difference between new alpha and the average, -1 to 1.
    """

    values: Grid
    count: Grid
    doubt: Grid


@dataclass(frozen=True, slots=True)
class SmoothState:
    """The smoothing's state of one video: a few small planes, and the buffered frames.

    picture, time_s, shapes: thumbnail, time, and shapes of the pixels and the alpha of the last frame. pending: the
    buffered frames. previous_alpha: alpha, on the grid, of the frame before the first pending one. past: the average of
    all finished frames of the scene. frames: number of finished frames of the scene.
    """

    picture: Thumbnail
    time_s: float
    shapes: Shapes
    pending: tuple[PendingFrame, ...]
    previous_alpha: Grid | None = None
    past: Average | None = None
    frames: int = 0


def step(state: SmoothState | None, matted: MattedFrame, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    """Add the next frame of a video. Returns the finished frames, each with its own alpha, in order.

    A cut, a pause of more than half a second or a new frame size ends the scene: pending frames are finished, and
    smoothing starts again. The engine's alphas may be of any size. Returned alphas have the same size, or up to
    twice that with `tuning.fine`. tuning may change from frame to frame.
    """
    picture, time_s = thumbnail(matted.frame), matted.frame.time_s
    shapes = (matted.frame.pixels.shape, matted.alpha.shape)
    alpha = _on_grid(matted.alpha)
    new = PendingFrame(matted, alpha, alpha, picture, _NO_MOTION, _NO_MOTION)
    if state is not None and shapes == state.shapes and 0 <= time_s - state.time_s <= MAX_GAP_S:
        to_previous = flow(picture, state.picture, fine=tuning.look_ahead > 0)
        if not is_cut(picture.colour, warp(state.picture.colour, to_previous)):
            from_previous = flow(state.picture, picture) if tuning.look_ahead else _NO_MOTION
            new = replace(new, to_previous=to_previous, from_previous=from_previous)
            pending = _median_filtered(state, new) if tuning.median and tuning.look_ahead else state.pending
            return _finish_due(replace(state, picture=picture, time_s=time_s, pending=(*pending, new)), tuning)
    done = [] if state is None else flush(state, tuning)[1]
    state, more = _finish_due(SmoothState(picture, time_s, shapes, (new,)), tuning)
    return state, done + more


def flush(state: SmoothState, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    """Finish every pending frame. The state remains usable, for example after a frame that could not be matted."""
    return _finish(state, tuning, len(state.pending))


def _finish_due(state: SmoothState, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    due = len(state.pending) - tuning.look_ahead
    return _finish(state, tuning, max(due, tuning.burst)) if due > 0 else (state, [])


def _finish(state: SmoothState, tuning: Tuning, count: int) -> tuple[SmoothState, list[MattedFrame]]:
    done = []
    for future in _futures(state.pending, tuning)[:count]:
        state, matted = _finish_first(state, future, tuning)
        done.append(matted)
    return state, done


def _finish_first(state: SmoothState, future: Average | None, tuning: Tuning) -> tuple[SmoothState, MattedFrame]:
    first = state.pending[0]
    past = _averaged(_values(first), state.past, first.to_previous, tuning)
    mean = past.values[..., 3]
    if future is not None:
        mean = (past.count * mean + future.count * future.values[..., 3]) / (past.count + future.count)
    support = state.frames + len(state.pending)
    alpha = _output_alpha(first, mean, tuning, tuning.share * min(1.0, (support - 1) / RAMP_FRAMES))
    after = replace(state, pending=state.pending[1:], previous_alpha=first.alpha, past=past, frames=state.frames + 1)
    return after, replace(first.matted, alpha=alpha)


def _futures(pending: Sequence[PendingFrame], tuning: Tuning) -> list[Average | None]:
    """For each pending frame, the average of this frame and all later ones, warped to this frame. None for the last."""
    if len(pending) < 2:
        return [None] * len(pending)
    future = _averaged(_values(pending[-1]), None, _NO_MOTION, tuning)
    futures: list[Average | None] = [None]
    for frame, following in reversed(list(pairwise(pending))):
        future = _averaged(_values(frame), future, following.from_previous, tuning)
        futures.append(future)
    return futures[::-1]


def _averaged(values: Grid, history: Average | None, motion: Grid, tuning: Tuning) -> Average:
    """A frame's values averaged with the history of its neighbour, which is warped to the frame along the motion.

    The n-th frame has the weight 1/n, as in a Kalman filter, or a higher weight where the picture differs from history,
    or where alpha differs from history for several frames.
    """
    if history is None:
        return Average(values, np.ones_like(values[..., 0]), np.zeros_like(values[..., 0]))
    warped = warp(history.values, motion)
    agreement = _gaussian(cv2.transform(cv2.absdiff(values, warped), _COLOUR), tuning.tolerance)
    if tuning.doubt < NO_DOUBT:
        count, doubt = cv2.split(warp(np.asarray(cv2.merge([history.count, history.doubt]), np.float32), motion))
        doubt = DOUBT_DECAY * agreement * doubt + (1 - DOUBT_DECAY) * cv2.transform(values - warped, _ALPHA) + _TINY
        agreement *= _gaussian(np.maximum(np.abs(doubt) - tuning.doubt, 0.0), DOUBT_WIDTH)
    else:
        count, doubt = warp(history.count, motion), history.doubt
    weight = agreement * np.clip(count / (count + 1), MIN_HISTORY_WEIGHT, tuning.memory)
    total = np.minimum(1 + agreement * count, np.float32(1 / (1 - tuning.memory)))
    return Average(values + cv2.merge([weight] * 4) * (warped - values), total, doubt)


def _gaussian(distance: npt.NDArray[Any], width: float) -> Grid:
    """exp(-(distance / width)^2): 1 at distance 0, 1/e at `width`."""
    scaled = distance * np.float32(1 / width)
    return np.asarray(cv2.exp(np.maximum(-scaled * scaled, -30.0)), np.float32)


def _median_filtered(state: SmoothState, following: PendingFrame) -> tuple[PendingFrame, ...]:
    """The pending frames. The last one gets the median of its own alpha and those of the frames before and after it.

    Where motion is fast alpha is kept: an object that moved by its own width is not an error of a single frame.
    """
    if not state.pending:
        return ()
    *earlier, last = state.pending
    previous = earlier[-1].alpha if earlier else last.alpha if state.previous_alpha is None else state.previous_alpha
    speeds = (cv2.dilate(speed(frame.to_previous), _MOTION_WINDOW) for frame in (last, following))
    slow = np.minimum(*(_gaussian(speed, _FAST) for speed in speeds))
    filtered = last.alpha + slow * (_median(previous, last.alpha, following.alpha) - last.alpha)
    return (*earlier, replace(last, filtered=filtered))


def speed(motion: Grid) -> Grid:
    """Length of motion vectors: float32 (144, 256), in cells of the grid, from (144, 256, 2).

    cv2.magnitude is not used: the last bit of its result depends on the input's memory address, so two runs would
    differ.
    """
    x, y = cv2.split(motion)
    return np.asarray(cv2.sqrt(cv2.add(cv2.multiply(x, x), cv2.multiply(y, y))), np.float32)


def _median(a: Grid, b: Grid, c: Grid) -> Grid:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _output_alpha(pending: PendingFrame, mean: Grid, tuning: Tuning, weight: float) -> Alpha:
    """The smoothed alpha: the engine's alpha, blended with the mean of all frames, which has the weight `weight`."""
    alpha = pending.matted.alpha
    if weight == 0.0:
        return alpha
    if tuning.radii:
        mean = _guided(pending, mean, tuning)
    if mean.shape == pending.alpha.shape:
        target = alpha + _resized(mean - pending.alpha, alpha.shape)
    else:
        target, alpha = mean, _resized(alpha, mean.shape)
    if tuning.black > 0.0 or tuning.white < 1.0:
        target = (target - np.float32(tuning.black)) * np.float32(1 / (tuning.white - tuning.black))
    target = np.clip(target, 0.0, 1.0)
    if tuning.smoothstep:
        target = target * target * (3 - 2 * target)
    return np.asarray(cv2.addWeighted(target, weight, alpha, 1 - weight, 0.0), np.float32)


def _guided(pending: PendingFrame, mean: Grid, tuning: Tuning) -> Grid:
    """The mean, fitted to the picture by a guided filter. Its coefficients are computed on the whole grid if
    `tuning.fine`, else at half the grid's size, which is faster."""
    picture, size = pending.picture.colour * np.float32(1 / 255), mean.shape
    step = 1 if tuning.fine else 2
    small_picture, small_mean = (_resized(plane, (HEIGHT // step, WIDTH // step)) for plane in (picture, mean))
    total = sum(fit_coefficients(small_picture, small_mean, radius // step, EPSILON) for radius in tuning.radii)
    frame = pending.matted.frame
    if tuning.fine and pending.matted.alpha.shape == size and frame.width * frame.height >= _LARGE:
        luma = pending.picture.luma * np.float32(1 / 255)
        picture, size = _resized(picture, luma.shape), luma.shape
        picture[..., 0] = luma
    coefficients = np.asarray(total * np.float32(1 / len(tuning.radii)), np.float32)
    return apply_coefficients(picture, _resized(coefficients, size))


def _values(pending: PendingFrame) -> Grid:
    """float32 (144, 256, 4): Y, U, V and alpha."""
    return np.asarray(cv2.merge([*cv2.split(pending.picture.colour), pending.filtered]), np.float32)


def _on_grid(alpha: Alpha) -> Grid:
    return np.maximum(_resized(alpha, (HEIGHT, WIDTH)), _MIN_ALPHA)


def _resized(plane: Grid, shape: tuple[int, ...]) -> Grid:
    if plane.shape[:2] == shape:
        return plane
    interpolation = cv2.INTER_AREA if plane.shape[0] > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=interpolation), np.float32)
