"""`mattebox bench model`: BiRefNet alone, as tensors: milliseconds a frame, and how much of the device that uses.

Weights are drawn: speed does not depend on them. "plain" is the network as published, in float32, one step after the
other; "fused" is what the engine runs. TFLOP/s counts the plain network's arithmetic whatever was left out, against
this device's own rate for a large matrix product in the same data type, measured in the same run.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from stream.settings import Settings
from workers.models.birefnet import BiRefNet
from workers.models.fuse import fuse
from workers.models.swin import SwinConfig
from workers.runner import half_precision

BACKBONES = {"swin-t": SwinConfig(96, (2, 2, 6, 2), 7), "swin-l": SwinConfig(192, (2, 2, 18, 2), 12)}
_MATRIX = {"cpu": 2048, "cuda": 8192}  # side of the product that stands for what the device can do


@dataclass(frozen=True)
class Case:
    """One line to measure. form: "plain" or "fused"."""

    backbone: str
    side_px: int
    batch: int
    dtype: torch.dtype
    form: str


@dataclass(frozen=True)
class Row:
    """ms: median for a frame. peak_mib: of the device; of the process on a CPU. share: of the device's own rate."""

    backbone: str
    side_px: int
    batch: int
    dtype: str
    form: str
    ms: float
    fps: float
    peak_mib: int
    tflops: float
    share: float


def default_cases(device: torch.device) -> list[Case]:
    half = half_precision(device)
    if device.type == "cpu":
        forms = [(torch.float32, "plain"), (torch.float32, "fused"), (half, "fused")]
        return [Case("swin-t", 512, 1, dtype, form) for dtype, form in dict.fromkeys(forms)]
    sizes = [("swin-l", 1024, (1, 2, 4, 8)), ("swin-l", 512, (1, 4, 8)), ("swin-t", 1024, (1, 4, 8))]
    plain = [Case("swin-l", 1024, 1, half, "plain")]
    return plain + [Case(name, side, batch, half, "fused") for name, side, batches in sizes for batch in batches]


def bench_model(
    settings: Settings, repeats: int, say: Callable[[str], None], cases: Sequence[Case] | None = None
) -> Iterator[Row]:
    """Measure each case (the ones that fit this device, if none are given), the networks taking turns."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(settings.cores())
    chosen = list(default_cases(device) if cases is None else cases)
    plain = {name: drawn(BACKBONES[name]) for name in {case.backbone for case in chosen}}
    wanted = {(case.backbone, case.form, case.dtype) for case in chosen}
    ready = {key: _prepared(plain[key[0]], key[1], key[2], device) for key in wanted}
    networks = [ready[case.backbone, case.form, case.dtype] for case in chosen]
    timings: list[list[float]] = [[] for _ in chosen]
    for turn in range(repeats + 1):  # the first warms up
        say(f"pass {turn} of {repeats}")
        for case, network, times in zip(chosen, networks, timings, strict=True):
            times.append(_timed(network, _pictures(case, device)))
    rates = {dtype: matmul_rate(device, dtype) for dtype in {case.dtype for case in chosen}}
    for case, network, times in zip(chosen, networks, timings, strict=True):
        flops = arithmetic(plain[case.backbone], case.side_px)
        peak_mib = _peak_mib(network, case, device)
        yield _row(case, statistics.median(times[1:]) / case.batch, flops, rates[case.dtype], peak_mib)


def drawn(backbone: SwinConfig) -> BiRefNet:
    """A plain network with torch's own random weights, ready to infer."""
    torch.manual_seed(0)
    return BiRefNet(backbone).requires_grad_(False).eval()


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP a second of a large square matrix product; the best of a few."""
    side = _MATRIX[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(_timed(lambda x: x @ b, a) for _ in range(5))


def _prepared(plain: BiRefNet, form: str, dtype: torch.dtype, device: torch.device) -> BiRefNet:
    network = fuse(plain) if form == "fused" else _copied(plain)
    network.to(device, dtype)
    return network


def _copied(plain: BiRefNet) -> BiRefNet:
    """The plain network again, that may be converted without touching the first."""
    return BiRefNet.from_state_dict({key: value.clone() for key, value in plain.state_dict().items()})


def _pictures(case: Case, device: torch.device) -> Tensor:
    return torch.randn(case.batch, 3, case.side_px, case.side_px, device=device, dtype=case.dtype)


def _timed(work: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Seconds for one call, by the device's own clock where it has one."""
    with torch.inference_mode():
        if x.device.type == "cpu":
            begun_s = time.perf_counter()
            work(x)
            return time.perf_counter() - begun_s
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work(x)
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3


def _row(case: Case, each_s: float, flops: int, rate: float, peak_mib: int) -> Row:
    return Row(
        case.backbone,
        case.side_px,
        case.batch,
        str(case.dtype).removeprefix("torch."),
        case.form,
        round(1e3 * each_s, 2),
        round(1 / each_s, 2),
        peak_mib,
        round(flops / each_s / 1e12, 3),
        round(flops / each_s / rate, 3),
    )


def arithmetic(plain: BiRefNet, side_px: int) -> int:
    """FLOP of the published network for one frame; attention, convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain(torch.zeros(1, 3, side_px, side_px))
    return int(counter.get_total_flops())


def _peak_mib(network: BiRefNet, case: Case, device: torch.device) -> int:
    if device.type == "cpu":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    torch.cuda.reset_peak_memory_stats()
    _timed(network, _pictures(case, device))
    return round(torch.cuda.max_memory_allocated() / 2**20)
