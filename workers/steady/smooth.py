"""Steady mattes over time without trailing the subject. Pure functions: state in, state out.

One method, with none, one or several frames of look-ahead. History is carried along the motion between frames, picture
and alpha together; at every pixel it counts as many frames as agreed there, and no more than the carried picture
agrees with the new one: what was not there before is trusted at once. Looking ahead, the frames to come are carried
back in the same way and averaged with the past, after a median of three has taken single pops and holes out. For
engines with coarse mattes the result is drawn anew from the picture by a guided filter, and steepened: averaging
leaves edges soft that the picture has sharp.

The first frame of a scene leaves as it came, and later ones change the more the more frames support it.
Everything is computed on the grid of `workers/steady/motion.py`; a larger alpha gets the change that was found there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame, Plane
from workers.steady.colour_guided import drawn, lines
from workers.steady.grid import EPSILON, GAP_S, HEIGHT, PATIENCE, RAMP, SLACK, TRUST, WIDTH
from workers.steady.motion import Grid, SmallPicture, carry, flow, is_cut, look
from workers.steady.tuning import NO_DOUBT, Tuning

# What decays for ever must not come so near to 0 that a CPU takes its slow path for such numbers: no alpha on the grid
# is less than the first, which is far from visible, and the second is always added to doubt.
_FAINT, _TINY = np.float32(1e-6), np.float32(1e-12)
_STILL = np.zeros((HEIGHT, WIDTH, 2), np.float32)
_FAST = 24.0  # cells of the grid a frame
_AROUND = np.ones((9, 9), np.uint8)
_LARGE = 500_000  # pixels: of smaller pictures a finer alpha was measured to tremble more
_ALPHA = np.array([[0, 0, 0, 1]], np.float32)
_COLOUR = np.array([[1, 1, 1, 0]], np.float32)


Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MattedFrame:
    """A frame and its alpha, which stay together however long they are held. alpha, foreground: as an engine's."""

    frame: Frame
    alpha: Alpha
    foreground: Plane | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A frame that waits. small: its alpha on the grid; steady: without pops, once the next frame is known. back:
    motion from it to the frame before, forth: from there to it."""

    matted: MattedFrame
    small: Grid
    steady: Grid
    look: SmallPicture
    back: Grid
    forth: Grid


@dataclass(frozen=True, slots=True)
class Carried:
    """What frames say together. values: float32 (144, 256, 4): Y, U, V and alpha. count: (144, 256), frames that
    agreed there, older ones counting less. doubt: (144, 256), by how much alpha is lately off, -1 to 1."""

    values: Grid
    count: Grid
    doubt: Grid


@dataclass(frozen=True, slots=True)
class SmoothState:
    """What is remembered of one video: a few small planes, and the frames that wait.

    look, time_s, shapes: of the last frame given, its picture small, its time, its size and its alpha's. before: alpha
    on the grid of the frame before the first held. past: all finished frames of the scene together; frames: how many.
    """

    look: SmallPicture
    time_s: float
    shapes: Shapes
    held: tuple[Held, ...]
    before: Grid | None = None
    past: Carried | None = None
    frames: int = 0


def step(state: SmoothState | None, matted: MattedFrame, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    """Take the next frame of a video; give those that are finished, each with its own alpha, in order.

    A cut, a pause of more than half a second and another size of picture begin anew: what was held is finished first.
    The engine's alphas may be of any size; those that come out have the same, but that `tuning.fine` may double it.
    tuning may change from frame to frame.
    """
    now, time_s = look(matted.frame), matted.frame.time_s
    shapes = (matted.frame.pixels.shape, matted.alpha.shape)
    small = _on_grid(matted.alpha)
    held = Held(matted, small, small, now, _STILL, _STILL)
    if state is not None and shapes == state.shapes and 0 <= time_s - state.time_s <= GAP_S:
        back = flow(now, state.look, fine=tuning.look_ahead > 0)
        if not is_cut(now.colour, carry(state.look.colour, back)):
            forth = flow(state.look, now) if tuning.look_ahead else _STILL
            held = replace(held, back=back, forth=forth)
            row = _without_pop(state, held) if tuning.median and tuning.look_ahead else state.held
            return _advanced(replace(state, look=now, time_s=time_s, held=(*row, held)), tuning)
    done = [] if state is None else flush(state, tuning)[1]
    state, more = _advanced(SmoothState(now, time_s, shapes, (held,)), tuning)
    return state, done + more


def flush(state: SmoothState, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    """Finish every frame that waits. The state may go on: after a frame that could not be matted, say."""
    return _finish(state, tuning, len(state.held))


def _advanced(state: SmoothState, tuning: Tuning) -> tuple[SmoothState, list[MattedFrame]]:
    late = len(state.held) - tuning.look_ahead
    return _finish(state, tuning, max(late, tuning.burst)) if late > 0 else (state, [])


def _finish(state: SmoothState, tuning: Tuning, count: int) -> tuple[SmoothState, list[MattedFrame]]:
    done = []
    for future in _ahead(state.held, tuning)[:count]:
        state, matted = _finish_first(state, future, tuning)
        done.append(matted)
    return state, done


def _finish_first(state: SmoothState, future: Carried | None, tuning: Tuning) -> tuple[SmoothState, MattedFrame]:
    first = state.held[0]
    past = _joined(_seen(first), state.past, first.back, tuning)
    mean = past.values[..., 3]
    if future is not None:
        mean = (past.count * mean + future.count * future.values[..., 3]) / (past.count + future.count)
    support = state.frames + len(state.held)
    alpha = _settled(first, mean, tuning, tuning.share * min(1.0, (support - 1) / RAMP))
    after = replace(state, held=state.held[1:], before=first.small, past=past, frames=state.frames + 1)
    return after, replace(first.matted, alpha=alpha)


def _ahead(held: Sequence[Held], tuning: Tuning) -> list[Carried | None]:
    """Each held frame and all after it together, as that frame sees them; None for the last: nothing is after it."""
    if len(held) < 2:
        return [None] * len(held)
    future = _joined(_seen(held[-1]), None, _STILL, tuning)
    futures: list[Carried | None] = [None]
    for one, after in reversed(list(pairwise(held))):
        future = _joined(_seen(one), future, after.forth, tuning)
        futures.append(future)
    return futures[::-1]


def _joined(seen: Grid, others: Carried | None, motion: Grid, tuning: Tuning) -> Carried:
    """One frame and what its neighbours said, carried to it along the motion: a mean over all that agree.

    A Kalman filter's gain: 1/n, but for what the picture, or a lasting change of alpha, speaks against.
    """
    if others is None:
        return Carried(seen, np.ones_like(seen[..., 0]), np.zeros_like(seen[..., 0]))
    values = carry(others.values, motion)
    alike = _bell(cv2.transform(cv2.absdiff(seen, values), _COLOUR), tuning.tolerance)
    if tuning.doubt < NO_DOUBT:
        count, doubt = cv2.split(carry(np.asarray(cv2.merge([others.count, others.doubt]), np.float32), motion))
        doubt = PATIENCE * alike * doubt + (1 - PATIENCE) * cv2.transform(seen - values, _ALPHA) + _TINY
        alike *= _bell(np.maximum(np.abs(doubt) - tuning.doubt, 0.0), SLACK)
    else:
        count, doubt = carry(others.count, motion), others.doubt
    weight = alike * np.clip(count / (count + 1), TRUST, tuning.memory)
    total = np.minimum(1 + alike * count, np.float32(1 / (1 - tuning.memory)))
    return Carried(seen + cv2.merge([weight] * 4) * (values - seen), total, doubt)


def _bell(distance: npt.NDArray[Any], width: float) -> Grid:
    """1 at no distance, 1/e at `width`."""
    scaled = distance * np.float32(1 / width)
    return np.asarray(cv2.exp(np.maximum(-scaled * scaled, -30.0)), np.float32)


def _without_pop(state: SmoothState, after: Held) -> tuple[Held, ...]:
    """The held frames, the last of them now the median of itself and its neighbours: but where things move fast, for a
    thing that has moved on by its own width is no pop."""
    if not state.held:
        return ()
    *earlier, last = state.held
    before = earlier[-1].small if earlier else last.small if state.before is None else state.before
    calm = np.minimum(*(_bell(cv2.dilate(_speed(one.back), _AROUND), _FAST) for one in (last, after)))
    steady = last.small + calm * (_median(before, last.small, after.small) - last.small)
    return (*earlier, replace(last, steady=steady))


def _speed(motion: Grid) -> Grid:
    return np.asarray(cv2.magnitude(*cv2.split(motion)), np.float32)


def _median(a: Grid, b: Grid, c: Grid) -> Grid:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _settled(held: Held, mean: Grid, tuning: Tuning, weight: float) -> Alpha:
    """The alpha that leaves: the engine's, moved by `weight` to what all frames say together."""
    alpha = held.matted.alpha
    if weight == 0.0:
        return alpha
    if tuning.radii:
        mean = _redrawn(held, mean, tuning)
    if mean.shape == held.small.shape:
        target = alpha + _sized(mean - held.small, alpha.shape)
    else:
        target, alpha = mean, _sized(alpha, mean.shape)
    if tuning.black > 0.0 or tuning.white < 1.0:
        target = (target - np.float32(tuning.black)) * np.float32(1 / (tuning.white - tuning.black))
    target = np.clip(target, 0.0, 1.0)
    if tuning.smoothstep:
        target = target * target * (3 - 2 * target)
    return np.asarray(cv2.addWeighted(target, weight, alpha, 1 - weight, 0.0), np.float32)


def _redrawn(held: Held, mean: Grid, tuning: Tuning) -> Grid:
    """From the picture: by lines found on the grid, or at half its size where time is short."""
    picture, size = held.look.colour * np.float32(1 / 255), mean.shape
    step = 1 if tuning.fine else 2
    small, level = (_sized(plane, (HEIGHT // step, WIDTH // step)) for plane in (picture, mean))
    several = sum(lines(small, level, radius // step, EPSILON) for radius in tuning.radii)
    frame = held.matted.frame
    if tuning.fine and held.matted.alpha.shape == size and frame.width * frame.height >= _LARGE:
        luma = held.look.luma * np.float32(1 / 255)
        picture, size = _sized(picture, luma.shape), luma.shape
        picture[..., 0] = luma
    return drawn(picture, _sized(np.asarray(several * np.float32(1 / len(tuning.radii)), np.float32), size))


def _seen(held: Held) -> Grid:
    return np.asarray(cv2.merge([*cv2.split(held.look.colour), held.steady]), np.float32)


def _on_grid(alpha: Alpha) -> Grid:
    return np.maximum(_sized(alpha, (HEIGHT, WIDTH)), _FAINT)


def _sized(plane: Grid, shape: tuple[int, ...]) -> Grid:
    if plane.shape[:2] == shape:
        return plane
    how = cv2.INTER_AREA if plane.shape[0] > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=how), np.float32)
