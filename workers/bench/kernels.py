"""Timings of small work on a device: the deformable convolution by implementation and tile, and temporal smoothing.

For `check`. Needs no more packages than `workers.device.birefnet_runner`.
"""

import functools
import importlib
import statistics
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stream.records.options import Temporal
from workers.bench.model import timed
from workers.device.precision import half_precision
from workers.models.birefnet import deform
from workers.steady.grid import HEIGHT, WIDTH
from workers.steady.smooth_torch import DeviceSmoother, DeviceSmoothState, SmoothInput
from workers.steady.tuning import choose

_TILES = ((64, 4, 1), (64, 4, 2), (64, 8, 1), (64, 8, 2), (128, 8, 1), (32, 4, 1))
_IN_A_ROW = 20  # calls between two CUDA events

Outcome = dict[str, str | float]


def time_kernels(device: torch.device, side: int, repeats: int) -> list[Outcome]:
    """The deformable convolution of each kernel size on the largest map, by implementation and tile: median ms."""
    found: list[Outcome] = []
    for kernel in (1, 3, 7):
        arguments = _deformation(device, side, kernel)
        for name, work in _implementations(*arguments).items():
            part = functools.partial(_time_kernel, f"deform {kernel}x{kernel} {name}", work, device, repeats)
            found += attempt(part)[0]  # a tile may exceed the device's resources
    return found


def _deformation(device: torch.device, side: int, kernel: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype, taps = half_precision(device), kernel * kernel
    torch.manual_seed(0)
    sizes = ((1, 64, side, side), (1, 2 * taps, side, side), (1, taps, side, side))
    x, offset, mask = (
        torch.randn(size).to(device, dtype).contiguous(memory_format=torch.channels_last) for size in sizes
    )
    weight = torch.randn(kernel, kernel, 64, 256).to(device, dtype) / (8 * kernel)
    return x, offset, mask, weight.permute(3, 2, 0, 1)


def _implementations(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> dict[str, Callable[[], object]]:
    works: dict[str, Callable[[], object]] = {"plain": lambda: deform.deform_conv2d_torch(x, offset, mask, weight)}
    kernels = deform.triton_kernels() if x.is_cuda else None
    if kernels is not None:
        for tile in _TILES:
            work = functools.partial(kernels.deform_conv2d, x, offset, mask, weight, tile=tile)
            works["x".join(map(str, tile))] = work
    try:
        ops = importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError):  # RuntimeError if it was built for another torch
        return works
    padding = weight.shape[-1] // 2
    return works | {"torchvision": lambda: ops.deform_conv2d(x, offset, weight, padding=padding, mask=mask)}


def _time_kernel(name: str, work: Callable[[], object], device: torch.device, repeats: int) -> list[Outcome]:
    return [{"name": name, "ms": _median_ms(work, device, repeats)}]


def _median_ms(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    for _ in range(3):
        timed(work, device)
    if device.type == "cuda":
        return round(statistics.median(_in_a_row_ms(work) for _ in range(repeats)), 4)
    return round(1e3 * statistics.median(timed(work, device) for _ in range(repeats)), 4)


def time_steadying(device: torch.device, size: tuple[int, int], repeats: int) -> list[Outcome]:
    """Mode `live` on the device, with alphas of the frame's size: median ms per frame, for coarse mattes (with the
    guided filter) and precise ones, of one video and of four at once. On CUDA by graphs, including the copies to and
    from their buffers and the upload of the thumbnails; host_ms is the host's time for launching."""
    found: list[Outcome] = []
    for engine, count in (("selfie", 1), ("birefnet", 1), ("birefnet", 4)):
        work = _steadying(device, size, engine, count)
        name = f"steady {size[0]}x{size[1]} as {engine}, {count} at once"
        found.append({"name": name, "ms": round(_median_ms(work, device, repeats) / count, 4)})
        if device.type == "cuda":
            found[-1]["host_ms"] = round(statistics.median(_launch_ms(work) for _ in range(repeats)) / count, 4)
    return found


def _steadying(device: torch.device, size: tuple[int, int], engine: str, count: int) -> Callable[[], object]:
    tuning = choose(Temporal.LIVE, 0.7, engine, live=True)
    if tuning is None:
        raise AssertionError(f"{engine} has no tuning for live video")
    smoother, rng = DeviceSmoother(), np.random.default_rng(0)
    alphas = list(torch.rand(count, size[1], size[0]).to(device))
    inputs = [SmoothInput(rng.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8), 0.0, tuning) for _ in alphas]
    if device.type == "cuda":
        smoother.warm(tuning, (size[1], size[0]), device, [count])
    states: list[DeviceSmoothState | None] = [None] * count
    for _ in range(3):
        states = [state for state, _ in smoother(states, inputs, alphas)]
    return functools.partial(smoother, states, inputs, alphas)


def _launch_ms(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun_s = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun_s)


def _in_a_row_ms(work: Callable[[], object]) -> float:
    """The device's time per call of many in a row, so that the host's launch time is hidden by the previous call."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    work()
    start.record()
    for _ in range(_IN_A_ROW):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / _IN_A_ROW


def attempt(part: Callable[[], list[Any]]) -> tuple[list[Any], list[str]]:
    """The result of `part`, and its error as one line, so that the other parts still run."""
    try:
        return part(), []
    except Exception as exc:  # noqa: BLE001 - the device's libraries and compilers raise various types
        traceback.print_exc()
        return [], [f"{type(exc).__name__}: {exc}".splitlines()[0]]
