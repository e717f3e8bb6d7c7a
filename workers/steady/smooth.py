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

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame, Plane
from workers.steady.grid import (
    DOUBT_DECAY,
    DOUBT_WIDTH,
    HEIGHT,
    MAX_GAP_S,
    MIN_HISTORY_WEIGHT,
    RAMP_FRAMES,
    WIDTH,
)
from workers.steady.motion import Grid, Thumbnail, flow, inverse, is_cut, match, thumbnail, warp
from workers.steady.output_alpha import output_alpha
from workers.steady.planes import channel, resized
from workers.steady.tuning import NO_DOUBT, Tuning

# Values that decay must not become subnormal, because CPUs are slow with subnormal numbers.
_MIN_ALPHA = np.float32(1e-6)  # least alpha on the grid, too small to be visible
_TINY = np.float32(1e-12)  # always added to doubt
_NO_MOTION = np.zeros((HEIGHT, WIDTH, 2), np.float32)
_FAST = 24.0  # speed, in cells of the grid per frame, at which the temporal median's weight is reduced to 1/e
_MOTION_WINDOW = np.ones((9, 9), np.uint8)
_ALPHA, _COUNT = 2, 3  # channels of `Average.values`

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MattedFrame:
    """A frame and its own alpha, kept together while buffered. alpha, foreground: as in an engine's `Result`. shares:
    whose alpha is, as `workers/edges/shares.py` describes; smoothing does not change them. {} if nobody asks."""

    frame: Frame
    alpha: Alpha
    foreground: Plane | None = None
    shares: Mapping[str, Alpha] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """A buffered frame.

    alpha: on the grid. values: as the first three channels of `Average.values`, of this frame alone, in planes; its
    alpha is the temporal median's once the next frame is known. slow: weight of the temporal median, 0-1. to_previous:
    flow from this frame to the previous one; from_previous: from the previous frame to this.
    """

    matted: MattedFrame
    alpha: Grid
    values: tuple[Grid, Grid, Grid]
    picture: Thumbnail
    slow: Grid | None
    to_previous: Grid
    from_previous: Grid


@dataclass(frozen=True, slots=True)
class Average:
    """The average of several frames, per cell of the grid.

    values: float32 (144, 256, 4): Y, V, alpha, and the number of frames that agreed, of which older ones count less.
    doubt: (144, 256), running mean of the difference between new alpha and the average, -1 to 1.
    """

    values: Grid
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
    new = PendingFrame(matted, alpha, (*_luma_and_v(picture), alpha), picture, None, _NO_MOTION, _NO_MOTION)
    if state is not None and shapes == state.shapes and 0 <= time_s - state.time_s <= MAX_GAP_S:
        motion = match(picture, state.picture)
        if not is_cut(picture.colour, motion.residual):
            new = replace(new, to_previous=motion.flow)
            pending = state.pending
            if tuning.look_ahead:
                # The inverse's errors add up over many frames: with 24, MAD rises by 0.002 of the raw alphas', with one
                # by 0.0003.
                back = inverse(motion.flow) if tuning.look_ahead == 1 else flow(state.picture, picture)
                new = replace(new, from_previous=back, slow=_slow(motion.flow))
                pending = _median_filtered(state, new) if tuning.median else pending
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
    past = _averaged(first, state.past, first.to_previous, tuning)
    mean = _mean_alpha(past, future)
    support = state.frames + len(state.pending)
    weight = tuning.share * min(1.0, (support - 1) / RAMP_FRAMES)
    alpha = output_alpha(first.matted.frame, first.picture, first.matted.alpha, first.alpha, mean, tuning, weight)
    after = replace(state, pending=state.pending[1:], previous_alpha=first.alpha, past=past, frames=state.frames + 1)
    return after, replace(first.matted, alpha=alpha)


def _futures(pending: Sequence[PendingFrame], tuning: Tuning) -> list[Average | None]:
    """For each pending frame, the average of this frame and all later ones, warped to this frame. None for the last."""
    if len(pending) < 2:
        return [None] * len(pending)
    future = _averaged(pending[-1], None, _NO_MOTION, tuning)
    futures: list[Average | None] = [None]
    for frame, following in reversed(list(pairwise(pending))):
        future = _averaged(frame, future, following.from_previous, tuning)
        futures.append(future)
    return futures[::-1]


def _mean_alpha(past: Average, future: Average | None) -> Grid:
    """The mean alpha of both, weighted by their counts."""
    alpha, count = (channel(past.values, number) for number in (_ALPHA, _COUNT))
    if future is not None:
        future_alpha, future_count = (channel(future.values, number) for number in (_ALPHA, _COUNT))
        alpha *= count
        alpha += future_alpha * future_count
        alpha /= np.add(count, future_count, out=count)
    return alpha


def _averaged(frame: PendingFrame, history: Average | None, motion: Grid, tuning: Tuning) -> Average:
    """A frame averaged with the history of its neighbour, which is warped to the frame along the motion.

    The n-th frame has the weight 1/n, as in a Kalman filter, or a higher weight where the picture differs from history,
    or where alpha differs from history for several frames.
    """
    if history is None:
        return Average(_merged([*frame.values, np.ones_like(frame.alpha)]), np.zeros_like(frame.alpha))
    warped, doubt = warp(history.values, motion), history.doubt
    *changes, count = (channel(warped, number) for number in range(4))
    for change, plane in zip(changes, frame.values, strict=True):
        change -= plane
    agreement = _gaussian(_colour_distance(*changes[:2]), tuning.tolerance)
    if tuning.doubt < NO_DOUBT:
        doubt = DOUBT_DECAY * agreement * warp(doubt, motion) + _TINY
        doubt -= (1 - DOUBT_DECAY) * changes[_ALPHA]
        agreement *= _gaussian(np.maximum(np.abs(doubt) - tuning.doubt, 0.0), DOUBT_WIDTH)
    weight = np.clip(count / (count + 1), MIN_HISTORY_WEIGHT, tuning.memory)
    weight *= agreement
    for change, plane in zip(changes, frame.values, strict=True):
        change *= weight
        change += plane
    agreement *= count
    agreement += 1
    total = np.minimum(agreement, np.float32(1 / (1 - tuning.memory)))
    return Average(_merged([*changes, total]), doubt)


def _colour_distance(y: Grid, v: Grid) -> Grid:
    """In levels: the size of a change of Y and V.

    V counts twice, in place of U. The figures are the same as with U, and four channels are warped in the time of one.
    """
    distance = np.abs(v)
    distance *= 2
    distance += np.abs(y)
    return distance


def _gaussian(distance: npt.NDArray[Any], width: float) -> Grid:
    """exp(-(distance / width)^2): 1 at distance 0, 1/e at `width`."""
    exponent = distance * np.float32(1 / width)
    exponent *= exponent
    np.minimum(exponent, 30.0, out=exponent)
    return np.asarray(cv2.exp(np.negative(exponent, out=exponent), dst=exponent), np.float32)


def _median_filtered(state: SmoothState, following: PendingFrame) -> tuple[PendingFrame, ...]:
    """The pending frames. The last one gets the median of its own alpha and those of the frames before and after it.

    Where motion is fast alpha is kept: an object that moved by its own width is not an error of a single frame.
    """
    if not state.pending:
        return ()
    *earlier, last = state.pending
    previous = earlier[-1].alpha if earlier else last.alpha if state.previous_alpha is None else state.previous_alpha
    median = _median(previous, last.alpha, following.alpha)
    slow = [frame.slow for frame in (last, following) if frame.slow is not None]  # not known of a scene's first frame
    filtered = last.alpha + functools.reduce(np.minimum, slow) * (median - last.alpha)
    return (*earlier, replace(last, values=(last.values[0], last.values[1], filtered)))


def _slow(motion: Grid) -> Grid:
    """Weight of the temporal median along this motion, 0-1."""
    return _gaussian(np.asarray(cv2.dilate(speed(motion), _MOTION_WINDOW)), _FAST)


def speed(motion: Grid) -> Grid:
    """Length of motion vectors: float32 (144, 256), in cells of the grid, from (144, 256, 2).

    cv2.magnitude is not used: the last bit of its result depends on the input's memory address, so two runs would
    differ.
    """
    squared, y = (channel(motion, number) for number in (0, 1))
    squared *= squared
    squared += np.multiply(y, y, out=y)
    return np.asarray(np.sqrt(squared, out=squared), np.float32)


def _median(a: Grid, b: Grid, c: Grid) -> Grid:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _luma_and_v(picture: Thumbnail) -> tuple[Grid, Grid]:
    return channel(picture.colour, 0).astype(np.float32), channel(picture.colour, 2).astype(np.float32)


def _merged(planes: Sequence[Grid]) -> Grid:
    """`Average.values`."""
    return np.asarray(cv2.merge(planes), np.float32)


def _on_grid(alpha: Alpha) -> Grid:
    return np.maximum(resized(alpha, (HEIGHT, WIDTH)), _MIN_ALPHA)
