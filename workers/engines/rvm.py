"""RobustVideoMatting, MobileNetV3: a recurrent network for people, with soft alpha, hair and temporal stability.

The network processes a downsampled picture and then refines the result at full size. Its recurrent state is four
feature maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.onnx_session import has_cuda, open_session
from workers.device.tensors import Tensor, rgb
from workers.engines.base import Engine, EngineState, Result
from workers.engines.rvm_split import split
from workers.weights.known import Say, ensure, silent

# Of the downsampled picture. MAD on our clip at 640x480: 256 28.9, 320 27.3, 384 24.4, 448 25.6;
# at 1280x720: 320 29.1, 384 25.4, 480 26.9, 512 26.5.
_LONG_SIDE_PX = 384
_MEMORY = ("r1", "r2", "r3", "r4")
_INPUTS = tuple(f"{name}i" for name in _MEMORY)
_OUTPUTS = ("pha", *(f"{name}o" for name in _MEMORY))

Size = tuple[int, int]
Feeds = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Memory:
    """The recurrent state of one video. size: (width, height) of its frames. maps: float32 (1, C, h, w) each."""

    size: Size
    maps: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """A prepared frame. size: (width, height). feeds: by name, the inputs that do not depend on the recurrent state."""

    size: Size
    feeds: Feeds


class Rvm(Engine):
    """On a CPU the network is split in two, so that the layers before the recurrent ones run for the next frame while
    the others run for this one: the results are the same, and two cores stay busy. Raises WeightsError on creation.
    """

    name = "rvm"
    recurrent = True
    # After these, alpha differs from that of an uninterrupted pass by 0.2 of 255 levels in the mean; by 3 after a cut.
    warmup_frames = 60
    batch = 1  # measured on a CPU: a batch of two takes as long as two frames

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        path = ensure(self.name, settings, say)
        if has_cuda():
            self.device = "cuda"
            self._passed_names: tuple[str, ...] = ()
            self._early, self._late = None, open_session(str(path), settings)
        else:
            halves = split(path, _INPUTS, _OUTPUTS)
            self.device, self._passed_names = "cpu", halves.passed
            self._early, self._late = (open_session(half, settings) for half in (halves.early, halves.late))
        self._late_inputs = {value.name for value in self._late.get_inputs()}

    def prepare(self, frame: Frame) -> Input:
        feeds = {"src": rgb(frame)[None], "downsample_ratio": _ratio(frame.width, frame.height)}
        if self._early is not None:
            feeds |= zip(self._passed_names, _run(self._early, self._passed_names, feeds), strict=True)
        return Input(
            (frame.width, frame.height), {name: feed for name, feed in feeds.items() if name in self._late_inputs}
        )

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        return [self._step(frame, state) for frame, state in zip(prepared, states, strict=True)]

    def _step(self, frame: Input, memory: Memory | None) -> Result:
        alpha, *maps = _run(self._late, _OUTPUTS, frame.feeds | _state_feeds(memory, frame.size))
        return Result(np.clip(alpha[0, 0], 0.0, 1.0), Memory(frame.size, tuple(maps)))


def _run(session: Any, outputs: Sequence[str], feeds: Feeds) -> list[Tensor]:
    try:
        results: list[Tensor] = session.run(outputs, feeds)
    except Exception as exc:  # onnxruntime's errors have no common base class
        raise EngineError(f"rvm: {exc}") from exc
    return results


def _ratio(width: int, height: int) -> Tensor:
    """float32 (1,): the network's downsampling factor, at most 1."""
    return np.array([min(1.0, _LONG_SIDE_PX / max(width, height))], np.float32)


def _state_feeds(memory: Memory | None, size: Size) -> Feeds:
    """The recurrent inputs. At the start of a video or after a change of size they are single zeros, as the network
    requires."""
    if memory is None or memory.size != size:
        return {name: np.zeros((1, 1, 1, 1), np.float32) for name in _INPUTS}
    return dict(zip(_INPUTS, memory.maps, strict=True))
