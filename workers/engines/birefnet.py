"""BiRefNet: the strongest still-picture matte of any subject, in half precision. A GPU's work; a CPU takes seconds.

Each frame is squashed to the network's size and seen by itself. Knows nothing about the network's inside.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stream.errors import WeightsError
from stream.frames import Frame
from stream.log import OncePerSecond
from stream.session import Options
from stream.settings import Settings
from workers import hub
from workers.engines.base import Result, State
from workers.models.birefnet import BiRefNet
from workers.runner import Runner, half_precision
from workers.tensors import Bytes, Tensor, rgb_bytes
from workers.weights import Say, silent

_STRIDE = 32
_LONGEST_PX = 2304  # largest side that the variants of free size were trained with
_PATIENCE = 3  # frames of a video whose half-precision matte was no number, before it is given full precision for good


class Birefnet:
    """A video's state is the number of its frames that half precision could not hold. Raises WeightsError."""

    name = "birefnet"
    recurrent = False
    warmup_frames = 0

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        self._checkpoint, _ = hub.parse(settings.birefnet)
        path = hub.find(settings.birefnet, settings, say)
        place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(settings.cores())
        dtype = half_precision(place) if settings.half else torch.float32
        self._runner = Runner(lambda: load_network(path), place, dtype)
        if not self._checkpoint.native:
            self._runner.warm([(self._checkpoint.width, self._checkpoint.height)])
        self.batch = self._runner.batch
        self.device = f"{place.type} in {str(dtype).removeprefix('torch.')}"
        self._warn = OncePerSecond(logging.getLogger(__name__))

    def prepare(self, frame: Frame) -> Bytes:
        """uint8 (h, w, 3), RGB, of the network's size."""
        return rgb_bytes(frame, *network_size(self._checkpoint, frame.width, frame.height))

    def infer(self, prepared: Sequence[Bytes], states: Sequence[State]) -> list[Result]:
        groups: dict[tuple[tuple[int, ...], bool], list[int]] = defaultdict(list)
        for index, (picture, state) in enumerate(zip(prepared, states, strict=True)):
            groups[(picture.shape, (state or 0) >= _PATIENCE)].append(index)
        results: dict[int, Result] = {}
        for (_, exact), members in groups.items():
            alphas = self._alphas(np.stack([prepared[i] for i in members]), exact)
            results |= {i: self._checked(prepared[i], states[i], a) for i, a in zip(members, alphas, strict=True)}
        return [results[index] for index in range(len(prepared))]

    def _alphas(self, pictures: Bytes, exact: bool) -> Tensor:
        """float32 (B, h, w) of pictures (B, h, w, 3). Not finite where half precision failed. Raises EngineError."""
        alphas: Tensor = self._runner(torch.from_numpy(pictures), exact).cpu().numpy()
        return alphas

    def _checked(self, picture: Bytes, state: State, alpha: Tensor) -> Result:
        """The matte; one that half precision could not hold is computed again in full, and counted."""
        if np.isfinite(alpha).all():
            return Result(alpha, state or 0)
        self._warn.warning("birefnet: half precision could not hold a frame; computing it in full")
        (alpha,) = self._alphas(picture[None], exact=True)
        return Result(np.nan_to_num(alpha, nan=0.0).clip(0.0, 1.0), (state or 0) + 1)


def network_size(checkpoint: hub.Checkpoint, width: int, height: int) -> tuple[int, int]:
    """(width, height) that the network is given for a picture of this size; multiples of 32."""
    if not checkpoint.native:
        return checkpoint.width, checkpoint.height
    scale = (checkpoint.width * checkpoint.height / (width * height)) ** 0.5
    sides = (max(1, round(side * scale / _STRIDE)) * _STRIDE for side in (width, height))
    return min(next(sides), _LONGEST_PX), min(next(sides), _LONGEST_PX)


def load_network(path: Path) -> BiRefNet:
    """The plain network in float32. Raises WeightsError."""
    try:
        return BiRefNet.from_state_dict(load_file(path))
    except (SafetensorError, OSError) as exc:
        raise WeightsError(f"{path} is no file of tensors, or cut short: {exc}") from None
