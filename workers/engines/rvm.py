"""RobustVideoMatting, MobileNetV3: a recurrent network for people, real alpha and hair, steady over time.

The network looks at the picture made small and then sharpens what it found at full size. Its memory of a video is
four feature maps.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from stream.errors import EngineError
from stream.frames import Frame
from stream.session import Options
from stream.settings import Settings
from workers import weights
from workers.engines.base import Result, State
from workers.tensors import Tensor, rgb

_LONG_SIDE_PX = 384  # of the small picture; MAD on our clip at 640x480: 256 28.9, 320 27.3, 384 24.4, 448 25.6;
# at 1280x720: 320 29.1, 384 25.4, 480 26.9, 512 26.5
_MEMORY = ("r1", "r2", "r3", "r4")
_OUTPUTS = ["pha", *(f"{name}o" for name in _MEMORY)]
Size = tuple[int, int]
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the network kept of one video. size: width and height it belongs to. maps: float32 (C, h, w) each."""

    size: Size
    maps: tuple[Tensor, ...]


class Rvm:
    """Raises WeightsError on creation."""

    name = "rvm"
    recurrent = True
    warmup_frames = 45

    def __init__(self, options: Options, settings: Settings) -> None:
        path = weights.path(self.name, settings)
        cuda = _CUDA in onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            str(path), _session_options(settings), providers=[_CUDA, _CPU] if cuda else [_CPU]
        )
        self.device = "cuda" if _CUDA in self._session.get_providers() else "cpu"
        self.batch = 4 if self.device == "cuda" else 1

    def prepare(self, frame: Frame) -> Tensor:
        """float32 (3, H, W)."""
        return rgb(frame)

    def infer(self, prepared: Sequence[Tensor], states: Sequence[State]) -> list[Result]:
        groups: dict[tuple[Size, bool], list[int]] = defaultdict(list)
        for index, (picture, state) in enumerate(zip(prepared, states, strict=True)):
            groups[(_size(picture), _fits(state, picture))].append(index)
        results: dict[int, Result] = {}
        for (_, fits), members in groups.items():
            memories = [states[i] for i in members] if fits else []
            results |= zip(members, self._run([prepared[i] for i in members], memories), strict=True)
        return [results[index] for index in range(len(prepared))]

    def _run(self, pictures: list[Tensor], memories: list[Memory]) -> list[Result]:
        """Pictures of one size in one call; `memories` is empty at the start of their videos."""
        size = _size(pictures[0])
        inputs = {"src": np.stack(pictures), "downsample_ratio": _ratio(*size)}
        try:
            alphas, *maps = self._session.run(_OUTPUTS, inputs | _recall(memories))
        except Exception as exc:  # onnxruntime's errors share no base of their own
            raise EngineError(f"rvm: {exc}") from exc
        return [
            Result(np.clip(alpha[0], 0.0, 1.0), Memory(size, parts))
            for alpha, parts in zip(alphas, zip(*maps, strict=True), strict=True)
        ]


def _session_options(settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take cores
    options.log_severity_level = 3  # its warnings are about the graph, not for people
    return options


def _size(picture: Tensor) -> Size:
    return picture.shape[2], picture.shape[1]


def _fits(state: State, picture: Tensor) -> bool:
    """Whether there is a memory, and of pictures of this size: another size is another video to the network."""
    return state is not None and state.size == _size(picture)


def _ratio(width: int, height: int) -> Tensor:
    """float32 (1,): how far the network makes the picture smaller to look at it."""
    return np.array([min(1.0, _LONG_SIDE_PX / max(width, height))], np.float32)


def _recall(memories: list[Memory]) -> dict[str, Tensor]:
    """The four inputs for what is remembered, float32 (B, C, h, w); one zero at the start, as the network wants."""
    if not memories:
        return {f"{name}i": np.zeros((1, 1, 1, 1), np.float32) for name in _MEMORY}
    return {f"{name}i": np.stack([memory.maps[i] for memory in memories]) for i, name in enumerate(_MEMORY)}
