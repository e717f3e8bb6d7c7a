"""RobustVideoMatting, MobileNetV3: a recurrent network for people, with soft alpha, hair and temporal stability.

The network processes a downsampled picture and then refines the result at full size. Its recurrent state is four
feature maps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor, rgb
from workers.engines.base import Engine, EngineState, Result
from workers.engines.rvm_runs import Feeds, Halves, Maps, Parts, Run, Whole
from workers.runtimes import Choice, installed
from workers.runtimes.choice import SIZES, Case, choose, nearest
from workers.runtimes.onnxruntime import has_cuda
from workers.weights.known import RVM, Say, ensure, silent

# Of the downsampled picture. MAD on our clip at 640x480: 256 28.9, 320 27.3, 384 24.4, 448 25.6;
# at 1280x720: 320 29.1, 384 25.4, 480 26.9, 512 26.5.
_LONG_SIDE_PX = 384
_OWN = Choice("onnxruntime")

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Memory:
    """The recurrent state of one video. size: (width, height) of its frames. maps: float32, one of each layer."""

    size: Size
    maps: Maps


@dataclass(frozen=True, slots=True)
class Input:
    """A prepared frame. size: (width, height). feeds: by name, the inputs that do not depend on the recurrent state."""

    size: Size
    feeds: Feeds


class Rvm(Engine):
    """On a CPU the runtime, and with it the way in which the network is run, is chosen for each size of picture; those
    that are used are loaded at once. Raises WeightsError on creation.
    """

    name = "rvm"
    recurrent = True
    # After these, alpha differs from that of an uninterrupted pass by 0.2 of 255 levels in the mean; by 3 after a cut.
    warmup_frames = 60
    batch = 1  # measured on a CPU: a batch of two takes as long as two frames

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        path = ensure(self.name, settings, say)
        if has_cuda():
            self.device, whole = "cuda", Whole(path, settings)
            self._runs: dict[Size, Run] = dict.fromkeys(SIZES, whole)
            return
        chosen = {case.size: choose(case, settings, installed("openvino")) for case in cases()}
        runs: dict[Choice, Run] = {
            choice: Halves(path, settings) if choice == _OWN else Parts(path, choice, _OWN, settings)
            for choice in dict.fromkeys(chosen.values())
        }
        self._runs = {size: runs[choice] for size, choice in chosen.items()}
        others = [str(choice) for choice in runs if choice != _OWN]
        self.device = f"cpu ({'; '.join(others)})" if others else "cpu"

    def prepare(self, frame: Frame) -> Input:
        size = frame.width, frame.height
        with _named():
            return Input(size, self._runs[nearest(*size)].prepare(rgb(frame), _ratio(*size)))

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        return [self._step(frame, state) for frame, state in zip(prepared, states, strict=True)]

    def _step(self, frame: Input, memory: Memory | None) -> Result:
        maps = memory.maps if memory is not None and memory.size == frame.size else None
        with _named():
            alpha, maps = self._runs[nearest(*frame.size)].step(frame.feeds, maps)
        return Result(np.clip(alpha, 0.0, 1.0), Memory(frame.size, maps))


def cases() -> list[Case]:
    """For what the runtime is chosen."""
    return [Case(Rvm.name, RVM.sha256, size, _OWN) for size in SIZES]


@contextmanager
def _named() -> Iterator[None]:
    """Put the engine's name before the runtime's errors."""
    try:
        yield
    except EngineError as exc:
        raise EngineError(f"rvm: {exc}") from exc


def _ratio(width: int, height: int) -> Tensor:
    """float32 (1,): the network's downsampling factor, at most 1."""
    return np.array([min(1.0, _LONG_SIDE_PX / max(width, height))], np.float32)
