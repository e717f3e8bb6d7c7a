"""The ways in which the network of RobustVideoMatting is run: as a whole, in two halves, in three parts.

Each gives the same alpha, as far as the runtime's precision goes. A video's recurrent state belongs to the way that
made it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from stream.picture.frames import Alpha
from stream.settings import Settings
from workers.device.tensors import Tensor
from workers.engines import rvm_parts
from workers.engines.rvm_parts import COARSE, GUIDED, SMALL, STATES_IN, STATES_OUT
from workers.engines.rvm_split import split
from workers.runtimes import Choice, load, load_safely

Feeds = Mapping[str, Tensor]
Maps = tuple[Tensor, ...]

_OUTPUTS = ("pha", *STATES_OUT)
_CHANNELS = (16, 20, 40, 64)  # of the four states
_MEAN = "mean"
_THIRD = np.float32(1 / 3)


class Run(Protocol):
    """One way. Both methods raise EngineError."""

    def prepare(self, picture: Tensor, ratio: Tensor) -> Feeds:
        """What `step` needs of a picture besides the state. picture: float32 (3, H, W), 0-1. ratio: float32 (1,), the
        downsampling factor."""
        ...

    def step(self, feeds: Feeds, maps: Maps | None) -> tuple[Alpha, Maps]:
        """Alpha, float32 (H, W), about 0-1, and the new state. maps: the state; None at the start of a video."""
        ...


class Whole:
    """The network as it was published."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._network = load(path, Choice("onnxruntime"), settings)

    def prepare(self, picture: Tensor, ratio: Tensor) -> Feeds:
        return {"src": picture[None], "downsample_ratio": ratio}

    def step(self, feeds: Feeds, maps: Maps | None) -> tuple[Alpha, Maps]:
        alpha, *new = self._network({**feeds, **_state_feeds(maps)}, _OUTPUTS)
        return alpha[0, 0], tuple(new)


class Halves:
    """For onnxruntime on a CPU. The layers before the recurrent ones run for the next frame while the others run for
    this one: the results are the same, and two cores stay busy."""

    def __init__(self, path: Path, settings: Settings) -> None:
        halves, own = split(path, STATES_IN, _OUTPUTS), Choice("onnxruntime")
        self._passed = halves.passed
        self._early, self._late = load(halves.early, own, settings), load(halves.late, own, settings)

    def prepare(self, picture: Tensor, ratio: Tensor) -> Feeds:
        feeds = {"src": picture[None], "downsample_ratio": ratio}
        feeds |= zip(self._passed, self._early(feeds, self._passed), strict=True)
        return {name: feed for name, feed in feeds.items() if name in self._late.inputs}

    def step(self, feeds: Feeds, maps: Maps | None) -> tuple[Alpha, Maps]:
        alpha, *new = self._late({**feeds, **_state_feeds(maps)}, _OUTPUTS)
        return alpha[0, 0], tuple(new)


class Parts:
    """For OpenVINO: see `rvm_parts.py`. Only the large part computes in the chosen precision."""

    def __init__(self, path: Path, choice: Choice, own: Choice, settings: Settings) -> None:
        parts, exact = rvm_parts.cut(path), Choice(choice.runtime)
        self._reduce = load_safely(parts.reduce, exact, own, settings)
        self._matte = load_safely(parts.matte, choice, own, settings)
        self._refine = load_safely(parts.refine, exact, own, settings)

    def prepare(self, picture: Tensor, ratio: Tensor) -> Feeds:
        (small,) = self._reduce({"src": picture[None], "downsample_ratio": ratio}, (SMALL,))
        return {SMALL: small, _MEAN: (picture[0] + picture[1] + picture[2]) * _THIRD}

    def step(self, feeds: Feeds, maps: Maps | None) -> tuple[Alpha, Maps]:
        small, mean = feeds[SMALL], feeds[_MEAN]
        states = maps or _zeros(*small.shape[2:])
        results = self._matte({SMALL: small, **dict(zip(STATES_IN, states, strict=True))}, (*COARSE, *STATES_OUT))
        coarse, new = results[: len(COARSE)], results[len(COARSE) :]
        slope, offset = self._refine({SMALL: small, **dict(zip(COARSE, coarse, strict=True))}, GUIDED)
        return _enlarged(slope, mean) * mean + _enlarged(offset, mean), tuple(new)


def _state_feeds(maps: Maps | None) -> Feeds:
    """The recurrent inputs. At the start of a video they are single zeros, as the network requires."""
    states = maps or (np.zeros((1, 1, 1, 1), np.float32),) * len(STATES_IN)
    return dict(zip(STATES_IN, states, strict=True))


def _zeros(height: int, width: int) -> Maps:
    """The state at the start of a video, for a downsampled picture of this size: each layer halves it, rounding up. Of
    full size, so that the network is compiled only once."""
    states = []
    for channels in _CHANNELS:
        height, width = (height + 1) // 2, (width + 1) // 2
        states.append(np.zeros((1, height, width, channels), np.float32))
    return tuple(states)


def _enlarged(small: Tensor, like: Tensor) -> Tensor:
    """(1, 1, h, w) to (H, W), as the network's own last step."""
    return np.asarray(cv2.resize(small[0, 0], like.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
