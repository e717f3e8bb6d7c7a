"""A still scene with a known alpha for every pixel, used as a camera, and test engines that know its matte.

With these engines the effect of each of the studio's controls can be predicted. In front of a green screen are stripes
and a disc: the disc's upper edge is sharp, its lower edge is soft, and its left side is tinted by the screen's light.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from stream.picture.frames import Alpha, Frame
from stream.records.engines import ENGINES
from stream.records.options import Options
from stream.settings import Settings
from workers.engines.base import Engine, Result
from workers.weights.known import Say

HEIGHT, WIDTH = 240, 320
SCREEN, DISC = (0, 177, 64), (205, 205, 205)  # RGB
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as shares of width and height."""

ALL: Box = (0.0, 0.0, 1.0, 1.0)
CORNER: Box = (0.93, 0.02, 0.99, 0.1)
STRIPES: Box = (0.05, 0.25, 0.35, 0.75)
FAR: Box = (0.055, 0.3, 0.09, 0.7)  # the part of the stripes far enough from the disc to be outside its box
MIDDLE: Box = (0.62, 0.46, 0.68, 0.54)  # of the disc
SHARP: Box = (0.8, 0.25, 0.92, 0.48)  # the upper right edge
SOFT: Box = (0.55, 0.72, 0.75, 0.85)  # the lower edge
TINTED: Box = (0.47, 0.44, 0.51, 0.56)  # inside the disc, on the left
_CENTRE, _RADIUS = (0.65, 0.5), 0.28  # as shares of width and height; the radius of the height
_SOFTNESS_PX = 5.0
_TINT = 0.25
_PERIOD_PX = 32
_COARSE = (24, 32)


def disc(height: int, width: int, radius: float = _RADIUS) -> Alpha:
    """float32 (height, width): the disc with a sharp edge, one pixel wide."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot((x + 0.5) / width - _CENTRE[0], ((y + 0.5) / height - _CENTRE[1]) * HEIGHT / WIDTH) * WIDTH
    return np.asarray(np.clip((radius * HEIGHT - away) * width / WIDTH + 0.5, 0, 1), np.float32)


def matte(height: int, width: int) -> Alpha:
    """float32 (height, width): the scene's true alpha."""
    alpha = disc(height, width)
    soft = cv2.GaussianBlur(alpha, (0, 0), _SOFTNESS_PX * width / WIDTH)
    return np.concatenate([alpha[: height // 2], soft[height // 2 :]]).astype(np.float32)


def inside(box: Box, height: int, width: int) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))


def write_scene(path: Path) -> Path:
    """Write the scene in the format of Chromium's fake camera (.mjpeg)."""
    alpha = matte(HEIGHT, WIDTH)[..., None]
    subject = np.full((HEIGHT, WIDTH, 3), DISC, np.float32)
    subject[:, : round(TINTED[2] * WIDTH)] += _TINT * (np.array(SCREEN, np.float32) - DISC)
    room = np.full((HEIGHT, WIDTH, 3), SCREEN, np.float32)
    striped = room[inside(STRIPES, HEIGHT, WIDTH)]
    striped[:] = np.where(np.arange(striped.shape[1]) % _PERIOD_PX < _PERIOD_PX // 2, 20, 235)[None, :, None]
    image = np.rint(alpha * subject + (1 - alpha) * room).astype(np.uint8)[..., ::-1]
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    path.write_bytes(8 * jpeg)
    return path


class Coarse(Engine):
    """The disc at 32x24, as from a coarse network. It takes two seconds to load, and with foreground estimation more
    than a second per frame."""

    name, device, recurrent = "rvm", "test", True
    loading_s = 2.0

    def __init__(self, options: Options, settings: Settings, say: Say) -> None:
        time.sleep(self.loading_s)
        self._picture_s = 1.2 if options.foreground == "estimate" and self.name == "rvm" else 0.0

    def prepare(self, frame: Frame) -> None:
        return None

    def infer(self, prepared: Sequence[None], states: Sequence[int | None]) -> list[Result]:
        time.sleep(self._picture_s)
        return [Result(self.seen(state or 0), (state or 0) + 1) for state in states]

    def seen(self, number: int) -> Alpha:
        """The alpha of the video's frame with that number."""
        alpha = cv2.resize(disc(HEIGHT, WIDTH), _COARSE[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(alpha, np.float32)


class Trembling(Coarse):
    """The disc changes its size in each frame, and sometimes has a hole for one frame.

    Its name is selfie, so that it gets that engine's temporal smoothing.
    """

    name, loading_s = "selfie", 0.0

    def seen(self, number: int) -> Alpha:
        size = np.random.default_rng(number).uniform(0.88, 1.12)
        alpha = disc(HEIGHT // 4, WIDTH // 4, size * _RADIUS)
        if number % 7 in (0, 3):
            left, top, right, bottom = MIDDLE
            alpha[inside((left - 0.03, top - 0.04, right + 0.03, bottom + 0.04), *alpha.shape)] = 0
        return alpha


_PLACES = {
    "rvm": f"{__name__}:Coarse",
    "selfie": f"{__name__}:Trembling",
    "birefnet": "tests.end_to_end.birefnet_double:Looking",
}
RECORDS = {name: replace(ENGINES[name], place=place) for name, place in _PLACES.items()}
