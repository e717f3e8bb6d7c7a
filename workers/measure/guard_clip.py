"""The clip on which runtimes are compared: every eighth frame of four seconds of people, with their true alpha.

A real one: in a drawn scene, without noise and hair, mattes are so nearly perfect that the ratio of two errors says
little.
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from stream.picture.frames import Frame, split_i420
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from workers.measure.alpha_video import AlphaVideo
from workers.runtimes import Array

FRAMES = 15
_FOLDER = Path(__file__).parent / "clip"


class GuardClip:
    """frames: cut to the aspect ratio of this size, and scaled to it. truth: their alpha, float32 (height, width), 0 to
    1."""

    def __init__(self, width: int, height: int) -> None:
        settings = Settings()  # its limits are for the videos of users
        with closing(open_source(_FOLDER / "people.mp4", SourceOptions(), settings)) as source:
            whole = [item for item in source if isinstance(item, Frame)][:FRAMES]
        self.frames = [_scaled(frame, width, height) for frame in whole]
        with closing(AlphaVideo(_FOLDER / "people_alpha.mkv", settings)) as video:
            truth = [_cut((plane / 255).astype(np.float32), width, height) for plane in video][:FRAMES]
        self.truth = [resized(alpha, (height, width)) for alpha in truth]


def resized(plane: Array, shape: tuple[int, ...]) -> Array:
    """A plane in another size, (height, width)."""
    if plane.shape == shape:
        return plane
    interpolation = cv2.INTER_AREA if shape[0] < plane.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=interpolation), plane.dtype)


def _scaled(frame: Frame, width: int, height: int) -> Frame:
    out = np.empty((height * 3 // 2, width), np.uint8)
    for target, plane in zip(split_i420(out), frame.planes(), strict=True):
        target[...] = resized(_cut(plane, width, height), target.shape)
    return replace(frame, pixels=out)


def _cut(plane: Array, width: int, height: int) -> Array:
    """The middle of the rows, as many as the aspect ratio leaves; an even number."""
    rows = min(len(plane), round(plane.shape[1] * height / width / 2) * 2)
    top = (len(plane) - rows) // 2
    return plane[top : top + rows]
