"""The pictures with which an exported network is calibrated and checked: frames of a clip, or drawn ones.

Knows nothing about networks.
"""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from stream.errors import InputError
from stream.picture.frames import Frame
from stream.settings import Settings
from stream.sources import open_source
from stream.sources.base import SourceOptions
from workers.device.tensors import Tensor, rgb_small
from workers.engines.onnx_file import drawn_picture

_FEWEST = 8  # frames of a clip, if it has as many; at most twice as many
_CHECKED_EVERY = 4
_LONGEST_S = 60.0  # of a clip


@dataclass(frozen=True)
class Pictures:
    """RGB of 0-1, float32 (3, height, width) each. checked: none of them is among `calibrated`, unless there is only
    one."""

    calibrated: list[Tensor]
    checked: list[Tensor]


def of_clip(clip: Path, width: int, height: int, settings: Settings) -> Pictures:
    """Frames spread evenly over a clip, or over its first minute. Raises InputError."""
    with closing(open_source(clip, SourceOptions(), settings)) as source:
        all_frames = (item for item in source if isinstance(item, Frame))
        frames = spread(takewhile(lambda frame: frame.time_s <= _LONGEST_S, all_frames), _FEWEST)
    if not frames:
        raise InputError(f"{clip} has no frames")
    return _divided([rgb_small(frame, width, height) for frame in frames])


def drawn(width: int, height: int) -> Pictures:
    """A drawn figure, without and with noise. Good for a check, not for calibration: no network was trained on it."""
    plain, random = drawn_picture(width, height), np.random.default_rng(0)
    noisy = [plain + random.normal(0, 0.05, plain.shape) for _ in range(3)]
    return _divided([plain, *(picture.clip(0, 1).astype(np.float32) for picture in noisy)])


def spread(frames: Iterable[Frame], count: int) -> list[Frame]:
    """`count` to twice as many of the frames, evenly spaced; all if there are fewer. Keeps no more in memory."""
    kept: list[Frame] = []
    step = 1
    for index, frame in enumerate(frames):
        if index % step == 0:
            kept.append(frame)
        if len(kept) == 2 * count:
            kept, step = kept[::2], step * 2
    return kept


def _divided(pictures: list[Tensor]) -> Pictures:
    if len(pictures) == 1:
        return Pictures(pictures, pictures)
    checked = pictures[1::_CHECKED_EVERY]
    return Pictures([picture for index, picture in enumerate(pictures) if index % _CHECKED_EVERY != 1], checked)
