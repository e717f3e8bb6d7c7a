"""Stress clips for temporal smoothing, made in code: people in dark clothes in a bright room, their true alpha, and
mattes like those of a poor engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Alpha, Frame, Plane
from stream.records.options import Temporal
from workers.edges.shape import full_size
from workers.measure import evaluate
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import choose

WIDTH, HEIGHT = 640, 360
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """frames, their true alphas, and an engine's small mattes of them."""

    frames: list[Frame]
    true: list[Plane]
    raw: list[Alpha]

    def __add__(self, other: "Clip") -> "Clip":
        count = len(self.frames)
        later = [Frame(frame.pixels, count + n, frame.time_base) for n, frame in enumerate(other.frames)]
        return Clip(self.frames + later, self.true + other.true, self.raw + other.raw)


def clip(positions: Callable[[int], Sequence[float]], count: int, edge: float = 0.3, room: int = 1) -> Clip:
    """positions: x of the people's centres in frame n, in pixels. edge: standard deviation of alpha at its edges."""
    rng = np.random.default_rng(5)
    room_rgb, clothes = 0.6 * _texture(room) + 90, 0.4 * _texture(99)
    frames, true, raw = [], [], []
    for n in range(count):
        picture, alpha = room_rgb, np.zeros((HEIGHT, WIDTH), np.float32)
        for x in positions(n):
            body = _person(x)
            shifted = np.roll(clothes, round(x), axis=1)
            picture = picture + body[..., None] * (shifted - picture)
            alpha = np.maximum(alpha, body)
        rgb = np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        frames.append(Frame(rgb_to_i420(rgb), n, Fraction(1, 30)))
        true.append(np.rint(alpha * 255).astype(np.uint8))
        raw.append(noisy(alpha, edge, rng))
    return Clip(frames, true, raw)


def noisy(alpha: Floats, edge: float, rng: np.random.Generator) -> Alpha:
    small = cv2.resize(alpha, (256, 144), interpolation=cv2.INTER_AREA)
    window = np.ones((5, 5), np.uint8)
    border = np.asarray(cv2.dilate(small, window)) - np.asarray(cv2.erode(small, window))
    return np.asarray(np.clip(small + border * rng.normal(0, edge, small.shape), 0, 1), np.float32)


def steadied(scene: Clip, mode: str = "live", engine: str = "selfie", strength: float = 0.7) -> list[MattedFrame]:
    tuning = choose(Temporal(mode), strength, engine, live=False)
    assert tuning is not None
    state: smooth.SmoothState | None = None
    done: list[MattedFrame] = []
    for frame, raw in zip(scene.frames, scene.raw, strict=True):
        state, more = smooth.step(state, MattedFrame(frame, raw), tuning)
        assert len(state.pending) <= tuning.look_ahead
        done += more
    assert state is not None
    return done + smooth.flush(state, tuning)[1]


def ratios(scene: Clip, mode: str = "live", engine: str = "selfie") -> tuple[float, float]:
    """MAD and dtSSD of the smoothed mattes, over those of the raw ones."""
    smoothed = [full_size(one.alpha, one.frame) for one in steadied(scene, mode, engine)]
    unsmoothed = [full_size(raw, frame) for raw, frame in zip(scene.raw, scene.frames, strict=True)]
    (mad, dtssd), (raw_mad, raw_dtssd) = (scores(planes, scene.true) for planes in (smoothed, unsmoothed))
    return mad / raw_mad, dtssd / raw_dtssd


def scores(planes: Sequence[Plane], true: Sequence[Plane]) -> tuple[float, float]:
    errors: list[evaluate.Ints] = [p.astype(np.int16) - t for p, t in zip(planes, true, strict=True)]
    mad = float(np.mean([evaluate.mad(error) for error in errors]))
    return mad, float(np.mean([evaluate.dtssd(now, last) for last, now in pairwise(errors)]))


def _person(x: float) -> Floats:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    head = np.hypot(columns - x, (rows - 130) * 0.8) - 48
    body = np.hypot((columns - x) * 0.9, rows - 380) - 170
    return np.asarray(np.clip(0.5 - np.minimum(head, body), 0, 1), np.float32)


def _texture(seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    coarse, fine = (rng.uniform(30, 220, shape).astype(np.float32) for shape in ((6, 10, 3), (60, 100, 3)))
    size = (WIDTH, HEIGHT)
    return np.asarray(0.7 * cv2.resize(coarse, size) + 0.3 * cv2.resize(fine, size), np.float32)
