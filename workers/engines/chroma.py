"""Colour key: the subject is what does not have the screen's colour. Green, blue or any other saturated screen.

Works on chroma alone, where a screen keeps its place while light and folds change its brightness. Everything that a
pair (U, V) decides is in one table, made once for each video; no network, no weights.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stream.errors import UsageError
from stream.log import OncePerSecond
from stream.picture.colour import rgb_to_yuv
from stream.picture.frames import Frame, Plane, split_i420
from stream.records.options import Options, Rgb
from stream.settings import Settings
from workers.edges.spill import NEUTRAL, Floats, components, without_spill
from workers.engines.base import EngineState, Result
from workers.weights.known import Say, silent

_FAINT = 16.0  # levels of chroma: a border below this is grey, and noise would choose its colour
_SHARE = 0.1  # of the border: a screen fills at least so much of it
_SPREAD = 0.1  # of the key's saturation: how unlike itself a screen is whose border cannot tell
_OPAQUE, _OPAQUE_ASIDE = 0.9, 0.7  # distance of a subject: grey or skin; yellow or cyan, that lie nearer to green
_THIN = 0.15  # alpha below which dividing by it gives noise, not colours


@dataclass(frozen=True, slots=True)
class Screen:
    """A video's screen. key: Y, U, V in levels. spread: how far its pixels lie from the key, 1.0 is as far as grey.

    table: uint32 (65536,), by U * 256 + V: alpha, U and V of the subject, and 0, as four bytes.
    measured: seen in the picture, and so kept; otherwise the next frame is looked at too.
    """

    key: tuple[float, float, float]
    spread: float
    table: npt.NDArray[np.uint32]
    measured: bool


class Chroma:
    """Until a screen has been seen, or was given as `options.key`, nothing is subject: a room is never shown because
    its screen was not found.
    """

    name = "chroma"
    batch = 1
    recurrent = False
    warmup_frames = 0
    device = "cpu"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._given = None if options.key is None else _yuv(options.key)
        if self._given is not None and np.hypot(self._given[1] - NEUTRAL, self._given[2] - NEUTRAL) < _FAINT:
            raise UsageError("key: a screen needs a colour, not a grey")
        self._warn = OncePerSecond(logging.getLogger(__name__))

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [self._matte(frame, state) for frame, state in zip(prepared, states, strict=True)]

    def measure(self, frame: Frame) -> str | None:
        """The screen's colour, as this frame shows it, and its spread."""
        screen = None if frame.gray else find_screen(frame, self._given)
        return json.dumps([*screen.key, screen.spread]) if screen is not None and screen.measured else None

    def recall(self, measured: str) -> Screen:
        y, u, v, spread = json.loads(measured)
        return _screen((y, u, v), spread, measured=True)

    def _matte(self, frame: Frame, screen: Screen | None) -> Result:
        if screen is None or not screen.measured:
            screen = None if frame.gray else find_screen(frame, self._given)
        if screen is None or frame.gray:
            self._warn.warning("chroma: no screen along the border of the picture; its colour can be given as `key`")
            return Result(np.zeros((frame.height, frame.width), np.float32), screen)
        return cut(frame, screen)


def cut(frame: Frame, screen: Screen) -> Result:
    """Alpha at the frame's size, and the frame's pixels without what the screen added to them.

    Luma does not sharpen the edge between two pixels of chroma: it was tried, and won on flat shapes (MAD 1.7 to
    0.2) but lost on people (1.3 to 3.0 and more), whose own texture it takes for an edge.
    """
    luma, u, v = frame.planes()
    pairs = cv2.merge([v, u]).view("<u2")[..., 0]
    alpha, clean_u, clean_v, _ = cv2.split(screen.table.take(pairs).view(np.uint8).reshape(*pairs.shape, 4))
    full = cv2.resize(alpha, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
    foreground = np.empty_like(frame.pixels)
    for plane, clean in zip(split_i420(foreground), (luma, clean_u, clean_v), strict=True):
        plane[:] = clean
    _unmix_luma(split_i420(foreground)[0], np.asarray(full, np.uint8), screen.key[0])
    return Result(np.multiply(full, np.float32(1 / 255)), screen, foreground)


def _unmix_luma(luma: Plane, alpha: Plane, key: float) -> None:
    """Take the screen's share of brightness out of the pixels that mix it with the subject: few, so only those.

    luma, alpha: uint8 (H, W), luma is changed in place.
    """
    mixed = np.flatnonzero((alpha > 0) & (alpha < 255))
    part = np.maximum(alpha.reshape(-1)[mixed] * np.float32(1 / 255), np.float32(_THIN))
    subject = np.float32(key) + (luma.reshape(-1)[mixed] - np.float32(key)) / part
    luma.reshape(-1)[mixed] = np.clip(subject, 16, 235)


def find_screen(frame: Frame, given: tuple[float, float, float] | None) -> Screen | None:
    """The colour that fills most of the picture's border, the more saturated the better; None if all is grey.

    given: Y, U, V; it decides the hue, and how the camera saw it is still measured, since nobody knows a screen's
    colour to the level.
    """
    border = _border(frame)
    chroma = border[:, 1:] - NEUTRAL
    near = _near_hue(chroma, given) if given else _near_peak(chroma)
    if near.mean() < _SHARE:
        return _screen(given, _SPREAD, measured=False) if given else None
    y, u, v = np.median(border[near], axis=0)
    distance = _distance(chroma, np.array([u, v]) - NEUTRAL)[0]
    alike = distance[distance < 0.5]
    spread = float(np.percentile(alike, 99)) if alike.size else _SPREAD
    return _screen((float(y), float(u), float(v)), spread, measured=True)


def _border(frame: Frame) -> Floats:
    """(N, 3): Y, U, V of a strip along the four sides."""
    luma, u, v = frame.planes()
    strip = max(1, min(u.shape) // 16)
    ends, between = slice(None, strip), slice(strip, -strip)
    back = slice(-strip, None)
    sides = (ends, slice(None)), (back, slice(None)), (between, ends), (between, back)
    parts = [np.dstack([plane[side] for plane in (luma[::2, ::2], u, v)]).reshape(-1, 3) for side in sides]
    return np.concatenate(parts).astype(np.float64)


def _near_hue(chroma: Floats, given: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) have about the given hue, and saturation enough to tell."""
    key = np.array(given[1:]) - NEUTRAL
    along, aside = components(chroma, key)
    return np.asarray((along > max(_FAINT, 0.3 * np.hypot(*key))) & (aside < 0.5 * along))


def _near_peak(chroma: Floats) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) lie around the commonest saturated pair."""
    counts, _, _ = np.histogram2d(chroma[:, 0], chroma[:, 1], bins=32, range=[(-128.0, 128.0)] * 2)
    around = cv2.blur(counts, (3, 3), borderType=cv2.BORDER_CONSTANT)
    centres = np.linspace(-124, 124, 32)
    saturation = np.hypot(*np.meshgrid(centres, centres, indexing="ij"))
    row, column = divmod(int(np.argmax(around * saturation * (saturation > _FAINT))), 32)
    peak = centres[[row, column]]
    near = np.abs(chroma - peak).max(axis=1) <= 12
    return np.asarray(near & (np.hypot(*chroma.T) > _FAINT))


def _screen(key: tuple[float, float, float], spread: float, measured: bool) -> Screen:
    return Screen(key, spread, _table(np.array(key[1:]) - NEUTRAL, spread), measured)


def _table(key: Floats, spread: float) -> npt.NDArray[np.uint32]:
    """`Screen.table`. key: (2,), from neutral."""
    chroma = np.stack(np.meshgrid(*[np.arange(256.0) - NEUTRAL] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, sideways = _distance(chroma, key)
    clear = np.clip(1.2 * spread + 0.02, 0.05, 0.45)
    opaque = _OPAQUE - (_OPAQUE - _OPAQUE_ASIDE) * sideways**2 - 0.3 * spread  # noise reaches into the subject too
    alpha = np.clip((distance - clear) / (opaque - clear), 0.0, 1.0)
    subject = without_spill(_unmix(chroma, key, alpha), key) + NEUTRAL
    columns = np.column_stack([alpha * 255, subject, np.zeros_like(alpha)])
    return np.ascontiguousarray(np.rint(columns).clip(0, 255).astype(np.uint8)).view(np.uint32)[:, 0]


def _unmix(chroma: Floats, key: Floats, alpha: Floats) -> Floats:
    """(N, 2): the subject's chroma in pixels that are `alpha` subject and the rest key; grey where too thin to tell."""
    part = np.maximum(alpha, _THIN)[:, None]
    return (key + (chroma - key) / part) * np.minimum(1.0, alpha / _THIN)[:, None]


def _distance(chroma: Floats, key: Floats) -> tuple[Floats, Floats]:
    """How far (N, 2) lie from the key, 1.0 is as far as grey; and the sine of the angle between the way there and
    the way to grey. What is more saturated than the key is no further: screens have bright spots.
    """
    along, aside = components(chroma, key)
    saturation = np.hypot(*key)
    short = np.maximum(saturation - along, 0.0)
    far = np.hypot(short, aside)
    return far / saturation, aside / np.maximum(far, 1e-6)


def _yuv(rgb: Rgb) -> tuple[float, float, float]:
    y, u, v = rgb_to_yuv() @ [*rgb, 1]
    return float(y), float(u), float(v)
