"""Small work on a device, timed: the deformable convolution by path and tile, and the steadying of mattes.

For `check`. Needs no more packages than `workers.device.runner`.
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
from workers.device.runner import half_precision
from workers.models.birefnet import deform
from workers.steady.grid import HEIGHT, WIDTH
from workers.steady.smooth_torch import DeviceSmoother, DeviceSmoothState, SmoothInput
from workers.steady.tuning import choose

_TILES = ((64, 4, 1), (64, 4, 2), (64, 8, 1), (64, 8, 2), (128, 8, 1), (32, 4, 1))
_IN_A_ROW = 20  # pieces of work between two looks at the device's clock

Outcome = dict[str, str | float]


def time_kernels(device: torch.device, side: int, repeats: int) -> list[Outcome]:
    """The deformable convolution of each kernel size on the largest map, by path and tile, median milliseconds."""
    found: list[Outcome] = []
    for kernel in (1, 3, 7):
        arguments = _deformation(device, side, kernel)
        for name, work in _ways(*arguments).items():
            part = functools.partial(_time_kernel, f"deform {kernel}x{kernel} {name}", work, device, repeats)
            found += attempt(part)[0]  # a tile may need more of the device than there is
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


def _ways(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], object]] = {"plain": lambda: deform.deform_conv2d_torch(x, offset, mask, weight)}
    kernels = deform.triton_kernels() if x.is_cuda else None
    if kernels is not None:
        for tile in _TILES:
            work = functools.partial(kernels.deform_conv2d, x, offset, mask, weight, tile=tile)
            ways["x".join(map(str, tile))] = work
    try:
        ops = importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError):  # built for another torch, it raises the latter
        return ways
    padding = weight.shape[-1] // 2
    return ways | {"torchvision": lambda: ops.deform_conv2d(x, offset, weight, padding=padding, mask=mask)}


def _time_kernel(name: str, work: Callable[[], object], device: torch.device, repeats: int) -> list[Outcome]:
    return [{"name": name, "ms": _median_ms(work, device, repeats)}]


def _median_ms(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    for _ in range(3):
        timed(work, device)
    if device.type == "cuda":
        return round(statistics.median(_in_a_row_ms(work) for _ in range(repeats)), 4)
    return round(1e3 * statistics.median(timed(work, device) for _ in range(repeats)), 4)


def time_steadying(device: torch.device, size: tuple[int, int], repeats: int) -> list[Outcome]:
    """`live` on the device, alphas as large as pictures: median milliseconds a frame, for coarse mattes, which are
    drawn anew, and precise ones, of one video and of four at once. On CUDA by graphs; what is copied in and out of
    them and the upload of the small pictures are counted, and host_ms is what the host takes to ask for it."""
    found: list[Outcome] = []
    for engine, count in (("selfie", 1), ("birefnet", 1), ("birefnet", 4)):
        work = _steadying(device, size, engine, count)
        name = f"steady {size[0]}x{size[1]} as {engine}, {count} at once"
        found.append({"name": name, "ms": round(_median_ms(work, device, repeats) / count, 4)})
        if device.type == "cuda":
            found[-1]["host_ms"] = round(statistics.median(_asking_ms(work) for _ in range(repeats)) / count, 4)
    return found


def _steadying(device: torch.device, size: tuple[int, int], engine: str, count: int) -> Callable[[], object]:
    tuning = choose(Temporal.LIVE, 0.7, engine, live=True)
    if tuning is None:
        raise AssertionError(f"{engine} has no tuning for live video")
    steadier, dice = DeviceSmoother(), np.random.default_rng(0)
    alphas = list(torch.rand(count, size[1], size[0]).to(device))
    seen = [SmoothInput(dice.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8), 0.0, tuning) for _ in alphas]
    if device.type == "cuda":
        steadier.warm(tuning, (size[1], size[0]), device, [count])
    states: list[DeviceSmoothState | None] = [None] * count
    for _ in range(3):
        states = [state for state, _ in steadier(states, seen, alphas)]
    return functools.partial(steadier, states, seen, alphas)


def _asking_ms(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun_s = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun_s)


def _in_a_row_ms(work: Callable[[], object]) -> float:
    """The device's time for one of many in a row: what the host takes to ask for it is hidden by the one before."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    work()
    start.record()
    for _ in range(_IN_A_ROW):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / _IN_A_ROW


def attempt(part: Callable[[], list[Any]]) -> tuple[list[Any], list[str]]:
    """What it gives, and why it failed: the other parts are worth having all the same."""
    try:
        return part(), []
    except Exception as exc:  # noqa: BLE001 - the device, its libraries and their compilers raise what they like
        traceback.print_exc()
        return [], [f"{type(exc).__name__}: {exc}".splitlines()[0]]
