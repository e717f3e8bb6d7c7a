"""RobustVideoMatting, MobileNetV3: a recurrent network for people, real alpha and hair, steady over time.

The network looks at the picture made small and then sharpens what it found at full size. Its memory of a video is
four feature maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor, rgb
from workers.engines.base import Engine, EngineState, Result
from workers.engines.rvm_split import split
from workers.weights.known import Say, ensure, silent

_LONG_SIDE_PX = 384  # of the small picture; MAD on our clip at 640x480: 256 28.9, 320 27.3, 384 24.4, 448 25.6;
# at 1280x720: 320 29.1, 384 25.4, 480 26.9, 512 26.5
_MEMORY = ("r1", "r2", "r3", "r4")
_INPUTS = tuple(f"{name}i" for name in _MEMORY)
_OUTPUTS = ("pha", *(f"{name}o" for name in _MEMORY))
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

Size = tuple[int, int]
Feeds = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the network kept of one video. size: width and height it belongs to. maps: float32 (1, C, h, w) each."""

    size: Size
    maps: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """A frame as the network's memory meets it: all that was computed without that memory, by the tensors' names."""

    size: Size
    feeds: Feeds


class Rvm(Engine):
    """On a CPU the network is cut in two, so that the layers before its memory run for the next frame while the others
    are at work on this one: the same numbers, and both of two cores stay busy. Raises WeightsError on creation.
    """

    name = "rvm"
    recurrent = True
    warmup_frames = 60  # then alpha is within 0.2 of 255 levels of a whole pass in the mean; just after a cut within 3
    batch = 1  # measured on a CPU: a stack of two takes as long as two

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        path = ensure(self.name, settings, say)
        if _CUDA in onnxruntime.get_available_providers():
            self.device = "cuda"
            self._passed: tuple[str, ...] = ()
            self._early, self._late = None, _session(str(path), settings, [_CUDA, _CPU])
        else:
            halves = split(path, _INPUTS, _OUTPUTS)
            self.device, self._passed = "cpu", halves.passed
            self._early, self._late = (_session(half, settings, [_CPU]) for half in (halves.early, halves.late))
        self._takes = {value.name for value in self._late.get_inputs()}

    def prepare(self, frame: Frame) -> Input:
        feeds = {"src": rgb(frame)[None], "downsample_ratio": _ratio(frame.width, frame.height)}
        if self._early is not None:
            feeds |= zip(self._passed, _run(self._early, self._passed, feeds), strict=True)
        return Input((frame.width, frame.height), {name: feed for name, feed in feeds.items() if name in self._takes})

    def infer(self, prepared: Sequence[Input], states: Sequence[EngineState]) -> list[Result]:
        return [self._step(look, state) for look, state in zip(prepared, states, strict=True)]

    def _step(self, look: Input, memory: Memory | None) -> Result:
        alpha, *maps = _run(self._late, _OUTPUTS, look.feeds | _recall(memory, look.size))
        return Result(np.clip(alpha[0, 0], 0.0, 1.0), Memory(look.size, tuple(maps)))


def _run(session: Any, outputs: Sequence[str], feeds: Feeds) -> list[Tensor]:
    try:
        results: list[Tensor] = session.run(outputs, feeds)
    except Exception as exc:  # onnxruntime's errors share no base of their own
        raise EngineError(f"rvm: {exc}") from exc
    return results


def _session(model: str | bytes, settings: Settings, providers: list[str]) -> Any:
    return onnxruntime.InferenceSession(model, _session_options(settings), providers=providers)


def _session_options(settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take cores
    options.log_severity_level = 3  # its warnings are about the graph, not for people
    return options


def _ratio(width: int, height: int) -> Tensor:
    """float32 (1,): how far the network makes the picture smaller to look at it."""
    return np.array([min(1.0, _LONG_SIDE_PX / max(width, height))], np.float32)


def _recall(memory: Memory | None, size: Size) -> Feeds:
    """What is remembered, or one zero at a video's start, as the network wants. Another size is another video to it."""
    if memory is None or memory.size != size:
        return {name: np.zeros((1, 1, 1, 1), np.float32) for name in _INPUTS}
    return dict(zip(_INPUTS, memory.maps, strict=True))
