"""Chroma key: everything that does not have the screen's colour is subject. For green, blue or other saturated screens.

Uses chroma only, which stays the same where light and folds change a screen's brightness. Alpha and despilled chroma
of every pair (U, V) are in one table, computed once per video. No network, no weights.
"""

import json
import logging
from collections.abc import Sequence

import cv2
import numpy as np

from stream.errors import UsageError
from stream.log import OncePerSecond
from stream.picture.colour import rgb_to_yuv
from stream.picture.frames import Frame, Plane, split_i420
from stream.records.options import Options, Rgb
from stream.settings import Settings
from workers.edges.chroma_screen import FAINT, THIN, Screen, find_screen, make_screen
from workers.edges.spill import NEUTRAL, Yuv
from workers.engines.base import Engine, EngineState, Result
from workers.weights.known import Say, silent


class Chroma(Engine):
    """Until a screen is found, or if none is given as `options.key`, alpha is 0 everywhere: the room is never shown
    because its screen was not found. Raises UsageError on creation for a grey key.
    """

    name = "chroma"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._key = None if options.key is None else _yuv(options.key)
        if self._key is not None and np.hypot(self._key[1] - NEUTRAL, self._key[2] - NEUTRAL) < FAINT:
            raise UsageError("key: a screen needs a colour, not a grey")
        self._warn = OncePerSecond(logging.getLogger(__name__))

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [self._matte(frame, state) for frame, state in zip(prepared, states, strict=True)]

    def measure(self, frame: Frame) -> str | None:
        """The screen's colour and spread, measured in this frame, as JSON; None without a screen."""
        screen = None if frame.gray else find_screen(frame, self._key)
        return json.dumps([*screen.key, screen.spread]) if screen is not None and screen.measured else None

    def recall(self, measured: str) -> Screen:
        y, u, v, spread = json.loads(measured)
        return make_screen((y, u, v), spread, measured=True)

    def _matte(self, frame: Frame, screen: Screen | None) -> Result:
        if screen is None or not screen.measured:
            screen = None if frame.gray else find_screen(frame, self._key)
        if screen is None or frame.gray:
            self._warn.warning("chroma: no screen along the border of the picture; its colour can be given as `key`")
            return Result(np.zeros((frame.height, frame.width), np.float32), screen)
        return cut(frame, screen)


def cut(frame: Frame, screen: Screen) -> Result:
    """Alpha at the frame's size, and the foreground: the frame's pixels without the screen's contribution.

    Luma is not used to sharpen edges between chroma samples: that improved flat shapes (MAD 1.7 to 0.2) but was worse
    for people (1.3 to 3.0 and more), whose own texture was taken for edges.
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
    """Remove the screen's contribution to luma from mixed pixels, in place. Only these are touched: they are few.

    luma, alpha: uint8 (H, W). key: the screen's luma.
    """
    mixed = np.flatnonzero((alpha > 0) & (alpha < 255))
    divisor = np.maximum(alpha.reshape(-1)[mixed] * np.float32(1 / 255), np.float32(THIN))
    subject = np.float32(key) + (luma.reshape(-1)[mixed] - np.float32(key)) / divisor
    luma.reshape(-1)[mixed] = np.clip(subject, 16, 235)


def _yuv(rgb: Rgb) -> Yuv:
    y, u, v = rgb_to_yuv() @ [*rgb, 1]
    return float(y), float(u), float(v)
