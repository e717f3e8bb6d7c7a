"""Checks an exported network: its alpha in the engine `onnx` against torch's in float32, its size, its speed."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stream.errors import WeightsError
from stream.picture.frames import Alpha
from stream.records.options import Options
from stream.settings import Settings
from workers.device.tensors import Tensor
from workers.engines.onnx_file import OnnxFile
from workers.export.precision import Precision

_ROUNDS = 5  # of the measurement of speed


@dataclass(frozen=True)
class Difference:
    """Of two alphas, 0-1: the mean of the absolute values, and the largest."""

    mean: float
    largest: float

    def within(self, bounds: "Difference") -> bool:
        """False also for NaN."""
        return self.mean <= bounds.mean and self.largest <= bounds.largest

    def __str__(self) -> str:
        return f"{self.mean:.2g} on average, {self.largest:.2g} at most"


BOUNDS: dict[Precision, Difference] = {
    "fp32": Difference(1e-5, 1e-3),
    "fp16": Difference(0.002, 0.02),
    "int8": Difference(0.02, 0.2),
}
"""How much an exported file may differ from torch."""


@dataclass(frozen=True)
class Report:
    """difference: from torch in float32, on `pictures` pictures. bytes: of the file. ms: the median of one picture.

    smaller, faster: ratios to the float32 ONNX file; for that file itself, to the weights in torch, and to torch.
    """

    difference: Difference
    pictures: int
    bytes: int
    ms: float
    smaller: float
    faster: float

    def lines(self, path: Path, precision: Precision) -> list[str]:
        """For the user."""
        other = "torch" if precision == "fp32" else "fp32 as ONNX"
        return [
            f"{path}: {precision}, {self.bytes / 1e6:.0f} MB, any batch size",
            f"alpha differs from torch in float32 by {self.difference} on {self.pictures} pictures "
            f"(allowed: {BOUNDS[precision]})",
            f"size 1/{self.smaller:.2f} of {other}; {self.ms:.0f} ms per picture here, {self.faster:.2f} times the "
            f"speed of {other}",
        ]


class TorchAlpha:
    """The alpha of a network that returns logits, in float32 on the CPU."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __call__(self, prepared: Tensor) -> Alpha:
        """float32 (1, 3, h, w), normalised, to (h, w), 0-1."""
        with torch.inference_mode():
            alpha: Alpha = self._network(torch.from_numpy(prepared)).sigmoid()[0, 0].numpy()
        return alpha


class FileAlpha:
    """The alpha of an ONNX file in the engine `onnx`."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._engine = OnnxFile(Options(), settings.model_copy(update={"onnx": str(path)}))

    def __call__(self, prepared: Tensor) -> Alpha:
        return self._engine.infer([prepared], [None])[0].alpha


def difference(alphas: Sequence[Alpha], expected: Sequence[Alpha]) -> Difference:
    off = [np.abs(alpha - true) for alpha, true in zip(alphas, expected, strict=True)]
    return Difference(float(np.mean([each.mean() for each in off])), float(np.max([each.max() for each in off])))


def check_bounds(found: Difference, precision: Precision) -> None:
    """Raise WeightsError for a difference outside of the bounds."""
    if not found.within(BOUNDS[precision]):
        raise WeightsError(
            f"models export: in {precision} the alpha differs from torch by {found}; allowed are {BOUNDS[precision]}. "
            "Nothing was written"
        )


def alternately(works: Sequence[Callable[[], object]], rounds: int = _ROUNDS) -> list[float]:
    """The median time of each in seconds. They take turns, so that what else the machine does affects all alike; a
    round before the first warms up."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, taken in zip(works, times, strict=True):
            begun_s = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun_s)
    return [statistics.median(taken[1:]) for taken in times]
