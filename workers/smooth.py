"""Steady mattes over time without trailing the subject. Pure functions: state in, state out.

One method, with none, one or several frames of look-ahead. History is carried along the motion between frames, picture
and alpha together; at every pixel it counts as many frames as agreed there, and no more than the carried picture
agrees with the new one: what was not there before is trusted at once. Looking ahead, the frames to come are carried
back in the same way and averaged with the past, after a median of three has taken single pops and holes out. For
engines with coarse mattes the result is drawn anew from the picture by a guided filter, and stretched: averaging
leaves edges soft that the picture has sharp.

The first frame of a scene leaves as it came, and later ones change the more the more frames support it.
Everything is computed on the grid of `workers/motion.py`; a larger alpha gets the change that was found there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stream.frames import Frame, Plane
from stream.session import Temporal
from workers.colour_guided import guided
from workers.engines.base import Alpha
from workers.motion import HEIGHT, WIDTH, Grid, Look, carry, flow, is_cut, look

_GAP_S = 0.5  # after a longer pause nothing says that it is still the same scene
_RAMP = 3  # frames of a scene until its mattes are smoothed in full
_TRUST = 0.75  # least weight of history, were it only one frame, where the picture agrees
_PATIENCE = 0.3  # share of old doubt in new: a change that lasts two frames is believed in full
_NO_DOUBT = 1.0  # allows alpha any change, for as long as it likes to be outvoted
# What decays for ever must not come so near to 0 that a CPU takes its slow path for such numbers: no alpha on the grid
# is less than the first, which is far from visible, and the second is always added to doubt.
_FAINT, _TINY = np.float32(1e-6), np.float32(1e-12)
_FORGOTTEN = 0.05  # share of a mean that comes from before a segment's warm-up, at its first frame
_SLACK = 0.18  # alpha, beyond the doubt that is let pass, at which history counts 1/e
_STILL = np.zeros((HEIGHT, WIDTH, 2), np.float32)
_FAST = 24.0  # cells of the grid a frame
_AROUND = np.ones((9, 9), np.uint8)
_ALPHA = np.array([[0, 0, 0, 1]], np.float32)
_COLOUR = np.array([[1, 1, 1, 0]], np.float32)
_EPSILON = 5e-5  # of the guided filter; tried: 2e-5 to 1e-2


Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How strongly to smooth.

    look_ahead: frames to wait for. memory: most that history weighs against a new frame, 0-1. tolerance: the
    difference, in levels summed over Y, U and V, at which history counts 1/e. doubt: by how much of alpha history may
    be off for more than a frame before it counts less. radii: of the windows in which alpha is drawn anew from the
    picture, in cells of the grid; none: it is not. black, white: the alphas that become 0 and 1. share: how far to go
    from the engine's alpha to the result, 0-1. median: looking ahead, take single pops out first.
    """

    look_ahead: int
    memory: float
    tolerance: float
    doubt: float
    radii: tuple[int, ...]
    black: float
    white: float
    share: float
    median: bool = True


@dataclass(frozen=True, slots=True)
class Matted:
    """A frame and its alpha, which stay together however long they are held. alpha, foreground: as an engine's."""

    frame: Frame
    alpha: Alpha
    foreground: Plane | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A frame that waits. small: its alpha on the grid. back: from it to the frame before, forth: from there to it."""

    matted: Matted
    small: Grid
    look: Look
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
class State:
    """What is remembered of one video: a few small planes, and the frames that wait.

    look, time_s, shapes: of the last frame given, its picture small, its time, its size and its alpha's. before: alpha
    on the grid of the frame before the first held. past: all finished frames of the scene together; frames: how many.
    """

    look: Look
    time_s: float
    shapes: Shapes
    held: tuple[Held, ...]
    before: Grid | None = None
    past: Carried | None = None
    frames: int = 0


def choose(mode: Temporal, strength: float, engine: str, live: bool) -> Tuning | None:
    """What to do with an engine's mattes; None: nothing. `auto` follows the job: files may look ahead, live cannot."""
    if mode is Temporal.AUTO:
        mode = Temporal.OFF if engine not in _TUNINGS else Temporal.LIVE if live else Temporal.OFFLINE
    if mode is Temporal.OFF or strength == 0.0:
        return None
    return _TUNINGS.get(engine, _sharp)(mode, strength)


def unfitted(tuning: Tuning) -> Tuning:
    """The same without drawing mattes anew from the picture."""
    return replace(tuning, radii=(), black=0.0, white=1.0)


def history(tuning: Tuning) -> int:
    """Frames after which nearly nothing is left of what was before them: history fades by `memory` a frame."""
    return 0 if tuning.memory <= 0 else math.ceil(math.log(_FORGOTTEN) / math.log(tuning.memory))


def _coarse(mode: Temporal, strength: float) -> Tuning:
    """Small soft mattes made frame by frame."""
    ahead = {Temporal.LIVE: 0, Temporal.LIVE_1: 1, Temporal.OFFLINE: 15}[mode]
    share = min(1.0, 2 * strength)
    tolerance = (42.0 if ahead > 1 else 30.0) * strength  # with both sides seen, tolerance costs no lag
    radii = (2, 4, 8) if ahead > 1 else (4,)  # the mean of three is a little better, at three times the cost
    doubt = 0.45 if ahead <= 1 else _NO_DOUBT  # the frames to come tell better
    memory = 1 - 1 / (1 + 20 * strength)
    return Tuning(ahead, memory, tolerance, doubt, radii, 0.2 * share, 1 - 0.1 * share, share)


def _sharp(mode: Temporal, strength: float) -> Tuning:
    """Mattes that are precise, and steady already: a little, and only where the picture is sure to be the same.

    Measured with rvm. Without truth at hand to say better, every engine that is not known to be coarse is treated so.
    """
    ahead = {Temporal.LIVE: 0, Temporal.LIVE_1: 1, Temporal.OFFLINE: 4}[mode]
    memory, tolerance, level = (0.85, 12.0, 0.045) if ahead > 1 else (0.5, 10.0, 0.035)
    level *= strength
    share = min(1.0, 2 * strength)
    return Tuning(ahead, memory * strength, tolerance * strength, 0.45, (), level, 1 - level, share, median=False)


_TUNINGS = {"selfie": _coarse, "rvm": _sharp, "birefnet": _sharp}


def step(state: State | None, matted: Matted, tuning: Tuning) -> tuple[State, list[Matted]]:
    """Take the next frame of a video; give those that are finished, each with its own alpha, in order.

    A cut, a pause of more than half a second and another size of picture begin anew: what was held is finished first.
    The engine's alphas may be of any size; those that come out have the same.
    """
    now, time_s = look(matted.frame), matted.frame.time_s
    shapes = (matted.frame.pixels.shape, matted.alpha.shape)
    held = Held(matted, _on_grid(matted.alpha), now, _STILL, _STILL)
    if state is not None and shapes == state.shapes and 0 <= time_s - state.time_s <= _GAP_S:
        back = flow(now, state.look)
        if not is_cut(now.colour, carry(state.look.colour, back)):
            forth = flow(state.look, now) if tuning.look_ahead else _STILL
            row = (*state.held, replace(held, back=back, forth=forth))
            return _advanced(replace(state, look=now, time_s=time_s, held=row), tuning)
    done = [] if state is None else flush(state, tuning)[1]
    state, more = _advanced(State(now, time_s, shapes, (held,)), tuning)
    return state, done + more


def flush(state: State, tuning: Tuning) -> tuple[State, list[Matted]]:
    """Finish every frame that waits. The state may go on: after a frame that could not be matted, say."""
    done = []
    while state.held:
        state, matted = _finish_first(state, tuning)
        done.append(matted)
    return state, done


def _advanced(state: State, tuning: Tuning) -> tuple[State, list[Matted]]:
    if len(state.held) <= tuning.look_ahead:
        return state, []
    state, matted = _finish_first(state, tuning)
    return state, [matted]


def _finish_first(state: State, tuning: Tuning) -> tuple[State, Matted]:
    first = state.held[0]
    alphas = (
        _without_pops(state.held, state.before)
        if tuning.look_ahead and tuning.median
        else [held.small for held in state.held]
    )
    past = _joined(_seen(first, alphas[0]), state.past, first.back, tuning)
    mean = past.values[..., 3]
    if len(alphas) > 1:
        future = _ahead(state.held, alphas, tuning)
        mean = (past.count * mean + future.count * future.values[..., 3]) / (past.count + future.count)
    support = state.frames + len(state.held)
    alpha = _settled(first, mean, tuning, tuning.share * min(1.0, (support - 1) / _RAMP))
    after = replace(state, held=state.held[1:], before=first.small, past=past, frames=state.frames + 1)
    return after, replace(first.matted, alpha=alpha)


def _ahead(held: Sequence[Held], alphas: Sequence[Grid], tuning: Tuning) -> Carried:
    """The first held frame and all after it together, as the first sees them."""
    future = _joined(_seen(held[-1], alphas[-1]), None, held[-1].forth, tuning)
    for one, alpha, after in reversed(list(zip(held, alphas, held[1:], strict=False))):
        future = _joined(_seen(one, alpha), future, after.forth, tuning)
    return future


def _joined(seen: Grid, others: Carried | None, motion: Grid, tuning: Tuning) -> Carried:
    """One frame and what its neighbours said, carried to it along the motion: a mean over all that agree.

    A Kalman filter's gain: 1/n, but for what the picture, or a lasting change of alpha, speaks against.
    """
    if others is None:
        return Carried(seen, np.ones_like(seen[..., 0]), np.zeros_like(seen[..., 0]))
    values = carry(others.values, motion)
    count, doubt = cv2.split(carry(np.dstack([others.count, others.doubt]), motion))
    alike = _bell(cv2.transform(cv2.absdiff(seen, values), _COLOUR), tuning.tolerance)
    doubt = _PATIENCE * alike * doubt + (1 - _PATIENCE) * cv2.transform(seen - values, _ALPHA) + _TINY
    alike *= _bell(np.maximum(np.abs(doubt) - tuning.doubt, 0.0), _SLACK)
    weight = alike * np.clip(count / (count + 1), _TRUST, tuning.memory)
    total = np.minimum(1 + alike * count, np.float32(1 / (1 - tuning.memory)))
    return Carried(seen + cv2.merge([weight] * 4) * (values - seen), total, doubt)


def _bell(distance: npt.NDArray[Any], width: float) -> Grid:
    """1 at no distance, 1/e at `width`."""
    scaled = distance * np.float32(1 / width)
    return np.asarray(cv2.exp(np.maximum(-scaled * scaled, -30.0)), np.float32)


def _without_pops(held: Sequence[Held], before: Grid | None) -> list[Grid]:
    """The held frames' alphas, each the median of itself and its neighbours: but where things move fast, for a thing
    that has moved on by its own width is no pop."""
    row = [one.small for one in held]
    row = [row[0] if before is None else before, *row, row[-1]]
    calm = [_bell(cv2.dilate(cv2.magnitude(*cv2.split(one.back)), _AROUND), _FAST) for one in (*held, held[-1])]
    out = []
    for n, alpha in enumerate(row[1:-1]):
        share = np.minimum(calm[n], calm[n + 1])
        out.append(alpha + share * (_median(*row[n : n + 3]) - alpha))
    return out


def _median(a: Grid, b: Grid, c: Grid) -> Grid:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _settled(held: Held, mean: Grid, tuning: Tuning, weight: float) -> Alpha:
    """The alpha that leaves: the engine's, moved by `weight` to what all frames say together."""
    alpha = held.matted.alpha
    if weight == 0.0:
        return alpha
    if tuning.radii:
        picture = held.look.colour * np.float32(1 / 255)
        mean = np.mean([guided(picture, mean, radius, _EPSILON) for radius in tuning.radii], 0)
    target = alpha + _sized(mean - held.small, alpha.shape)
    if tuning.black > 0.0 or tuning.white < 1.0:
        target = (target - np.float32(tuning.black)) * np.float32(1 / (tuning.white - tuning.black))
    target = np.clip(target, 0.0, 1.0)
    return np.asarray(cv2.addWeighted(target, weight, alpha, 1 - weight, 0.0), np.float32)


def _seen(held: Held, alpha: Grid) -> Grid:
    return np.dstack([held.look.colour, alpha])


def _on_grid(alpha: Alpha) -> Grid:
    return np.maximum(_sized(alpha, (HEIGHT, WIDTH)), _FAINT)


def _sized(plane: Grid, shape: tuple[int, ...]) -> Grid:
    if plane.shape == shape:
        return plane
    how = cv2.INTER_AREA if plane.shape[0] > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=how), np.float32)
