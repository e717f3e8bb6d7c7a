"""A generated video with an exactly known matte: a moving person-like shape in front of a green screen or a room.

For tests, benchmarks and demonstrations without a camera. Frames are deterministic.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from stream.address import Address
from stream.errors import UsageError
from stream.picture.canvas import fitted
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Plane, VideoInfo
from stream.pump import Warnings
from stream.settings import Settings
from stream.sources.base import SourceOptions

Rgb = npt.NDArray[np.uint8]
_SCREEN = (0, 200, 60)
_SIZE, _LENGTH_S = (1280, 720), 10.0  # unless options ask for others
_SUPERSAMPLING = 4  # shapes are drawn at four times the size, so that alpha is exact to 1/16


class PatternSource:
    """`frames` frames of `width` x `height` pixels (even) at `rate` fps.

    scene: "screen" is a uniform green screen, "room" a detailed static background. As an address: pattern:SCENE, with a
    size of 1280x720 and a length of ten seconds unless `SourceOptions` ask for others.
    """

    live = False
    takes = frozenset({"size", "end_s"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        """Raises UsageError for a scene that is not known, and for a length without a picture."""
        scene = address.name or "screen"
        if scene not in ("screen", "room"):
            raise UsageError(f"unknown pattern {scene!r}; use pattern:screen or pattern:room")
        frames = round(30 * (_LENGTH_S if options.end_s is None else options.end_s))
        if frames < 1:
            raise UsageError("a pattern lasts a thirtieth of a second at least")
        return cls(*fitted(_SIZE, options.size, settings.max_pixels), frames, scene=scene)

    def __init__(
        self, width: int, height: int, frames: int, rate: Fraction = Fraction(30), scene: str = "screen"
    ) -> None:
        self.warnings: Warnings = []
        self._rate, self._count = rate, frames
        self._width, self._height = width, height
        self._backdrop = _screen(width, height) if scene == "screen" else _room(width, height)
        self._texture = _texture(width, height)
        self.info = VideoInfo(width, height, 1 / rate, rate, float(frames / rate), frames)

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(n) for n in range(self._count))

    def close(self) -> None:
        """Nothing to release."""

    def alpha(self, n: int) -> Plane:
        """The true alpha of frame `n`: uint8 (H, W)."""
        width, height = self._width * _SUPERSAMPLING, self._height * _SUPERSAMPLING
        canvas = np.zeros((height, width), np.uint8)
        x, sway = self._position(n)
        centre = round(width * x)
        cv2.ellipse(canvas, (centre, height), (round(height * 0.33), round(height * 0.5)), 0, 0, 360, 255, -1)
        head = (centre + round(height * 0.06 * sway), round(height * 0.32))
        cv2.ellipse(canvas, head, (round(height * 0.15), round(height * 0.2)), 8 * sway, 0, 360, 255, -1)
        return _u8(cv2.resize(canvas, (self._width, self._height), interpolation=cv2.INTER_AREA))

    def rgb(self, n: int) -> Rgb:
        """Frame `n` as uint8 RGB (H, W, 3)."""
        x, _ = self._position(n)
        subject = np.roll(self._texture, round(self._width * x), axis=1)
        alpha = self.alpha(n)[..., None].astype(np.uint16)
        mixed = subject * alpha + self._backdrop * (255 - alpha) + 127
        return (mixed // 255).astype(np.uint8)

    def frame(self, n: int) -> Frame:
        return Frame(rgb_to_i420(self.rgb(n)), n, 1 / self._rate)

    def _position(self, n: int) -> tuple[float, float]:
        t = float(n / self._rate)
        return 0.5 + 0.22 * math.sin(0.9 * t), math.sin(2.3 * t)


def _screen(width: int, height: int) -> Rgb:
    return np.full((height, width, 3), _SCREEN, np.uint8)


def _room(width: int, height: int) -> Rgb:
    rng = np.random.default_rng(7)
    coarse = rng.integers(40, 220, (6, 9, 3), dtype=np.uint8)
    fine = rng.integers(-14, 15, (height, width, 1))
    shapes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return _u8(np.clip(shapes + fine, 0, 255))


def _texture(width: int, height: int) -> Rgb:
    """Skin, cloth and hair tones: no colour near the green screen's."""
    tones = np.array([[196, 140, 112], [168, 92, 84], [92, 60, 120], [60, 52, 84], [200, 170, 150]], np.uint8)
    blocks = np.random.default_rng(3).integers(0, len(tones), (9, 16))
    return _u8(cv2.resize(tones[blocks], (width, height), interpolation=cv2.INTER_CUBIC))


def _u8(image: object) -> npt.NDArray[np.uint8]:
    return np.asarray(image, np.uint8)
