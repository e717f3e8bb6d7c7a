"""For tests of engines: frames (a clip with true alpha, subjects in front of a screen), runs of an engine over frames,
and the error of alpha."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stream.picture.frames import Alpha, Frame
from stream.records.options import Rgb
from stream.settings import Settings
from tests.media import TALK, TALK_ALPHA, read
from workers.engines.base import Engine, EngineState, Result
from workers.measure import evaluate
from workers.measure.alpha_video import AlphaVideo

Picture = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]


def clip(width: int = 0, height: int = 0, count: int = 120) -> list[Frame]:
    return read(TALK, count, size=(width, height))


def truth() -> list[Alpha]:
    return [(plane / 255).astype(np.float32) for plane in AlphaVideo(TALK_ALPHA, Settings())]


def infer(engine: Engine, frames: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
    return engine.infer([engine.prepare(frame) for frame in frames], states)


def run(engine: Engine, frames: list[Frame]) -> list[Result]:
    """One video, frame by frame."""
    results: list[Result] = []
    state: EngineState = None
    for frame in frames:
        results += infer(engine, [frame], [state])
        state = results[-1].state
    return results


def mad(alphas: Sequence[Alpha], true: Sequence[Alpha]) -> float:
    """Mean absolute difference, x 1e3."""
    return float(np.mean([evaluate.mad(_levels(a) - _levels(t)) for a, t in zip(alphas, true, strict=True)]))


def _levels(alpha: Alpha) -> evaluate.Ints:
    return np.rint(alpha * 255).astype(np.int16)


def disc(width: int, height: int, x: float = 0.5) -> Alpha:
    """True alpha of a disc, with an edge one pixel wide."""
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot(columns + 0.5 - width * x, rows + 0.5 - height * 0.55)
    return np.asarray(np.clip(0.3 * height - distance + 0.5, 0.0, 1.0), np.float32)


def over(subject: Rgb | Picture, alpha: Alpha, screen: Rgb, light: Floats | float = 1.0, noise: float = 0.0) -> Frame:
    """A subject (one colour, or (H, W, 3) in 0-255) in front of a screen. light: multiplied with the screen."""
    weight = alpha[..., None].astype(np.float64)
    behind = np.array(screen) * np.broadcast_to(np.asarray(light), alpha.shape)[..., None]
    return Frame(i420(np.array(subject) * weight + behind * (1 - weight), noise), 0, Fraction(1, 25))


def i420(rgb: Picture, noise: float = 0.0) -> npt.NDArray[np.uint8]:
    """(H, W, 3) in 0-255 to BT.709 limited-range I420, computed as the standard defines it."""
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    u, v = 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748
    height, width = luma.shape
    halves = [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for plane in (u, v)]
    flat = np.concatenate([plane.reshape(-1) for plane in (16 + 219 * luma, *halves)])
    flat = flat + np.random.default_rng(0).normal(0, noise, flat.shape)
    return np.asarray(np.rint(flat.clip(0, 255)), np.uint8).reshape(height * 3 // 2, width)
