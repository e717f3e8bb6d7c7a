"""`mattebox bench model`: BiRefNet alone, as tensors: milliseconds a frame, and how much of the device that uses.

Weights are drawn: speed does not depend on them. "plain" is the network as published, one step after the other; "fused"
is what the engine runs where it has no graph; "graph" is that as a CUDA graph, and "compiled" what torch.compile makes
of it, as a graph too; "public" is the public code. TFLOP/s counts the plain network's arithmetic whatever was left out,
against this device's own rate for a large matrix product in the same data type, measured in the same run.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stream.settings import Settings
from workers.bench.against import public_network
from workers.device.graphs import CudaGraphs
from workers.device.runner import half_precision
from workers.models.birefnet.fuse import channels_last, fuse
from workers.models.birefnet.network import BiRefNet
from workers.models.birefnet.swin import SwinConfig

BACKBONES = {"swin-t": SwinConfig(96, (2, 2, 6, 2), 7), "swin-l": SwinConfig(192, (2, 2, 18, 2), 12)}
_MATRIX = {"cpu": 2048, "cuda": 8192}  # side of the product that stands for what the device can do


@dataclass(frozen=True)
class Case:
    """One line to measure. form: "plain", "fused", "graph", "compiled" or "public"."""

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
    first = [Case("swin-l", 1024, 1, half, form) for form in ("plain", "fused")]
    return first + [Case(name, side, batch, half, "graph") for name, side, batches in sizes for batch in batches]


def public_cases(side_px: int, batches: Sequence[int], dtype: torch.dtype) -> list[Case]:
    """The public code, which builds Swin-L."""
    return [Case("swin-l", side_px, batch, dtype, "public") for batch in batches]


def bench_model(
    settings: Settings,
    repeats: int,
    say: Callable[[str], None],
    cases: Sequence[Case] | None = None,
    against: Path | None = None,
) -> Iterator[Row]:
    """Measure each case (the ones that fit this device, if none are given), taking turns.

    against: a checkout of the public code, for cases of form "public".
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(settings.cores())
    chosen = list(default_cases(device) if cases is None else cases)
    plain = {name: drawn(BACKBONES[name]) for name in {case.backbone for case in chosen}}
    kinds = {(case.backbone, case.form, case.dtype) for case in chosen}
    built = {kind: _built(kind[1], plain[kind[0]], against).to(device, kind[2]) for kind in kinds}
    networks = [built[case.backbone, case.form, case.dtype] for case in chosen]
    say(f"{len(chosen)} cases are made ready")
    graphs = CudaGraphs()
    works = [_work(case, network, device, graphs) for case, network in zip(chosen, networks, strict=True)]
    timings: list[list[float]] = [[] for _ in chosen]
    for turn in range(repeats + 1):  # the first warms up
        say(f"pass {turn} of {repeats}")
        for work, times in zip(works, timings, strict=True):
            times.append(timed(work, device))
    rates = {dtype: matmul_rate(device, dtype) for dtype in {case.dtype for case in chosen}}
    sizes = {(case.backbone, case.side_px) for case in chosen}
    flops = {(name, side_px): arithmetic(plain[name], side_px) for name, side_px in sizes}
    for case, network, times in zip(chosen, networks, timings, strict=True):
        peak_mib = _peak_mib(network, case, device)
        each_s = statistics.median(times[1:]) / case.batch
        yield _row(case, each_s, flops[case.backbone, case.side_px], rates[case.dtype], peak_mib)


def drawn(backbone: SwinConfig) -> BiRefNet:
    """A plain network with torch's own random weights, ready to infer."""
    torch.manual_seed(0)
    network = BiRefNet(backbone).requires_grad_(False).eval()
    for key, parameter in network.named_parameters():
        if key.endswith("bias_table"):  # the one kind that torch leaves as the memory was
            parameter.normal_(0, 0.02)
    return network


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP a second of a large square matrix product; the best of a few."""
    side = _MATRIX[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: a @ b, device) for _ in range(5))


def _built(form: str, plain: BiRefNet, against: Path | None) -> nn.Module:
    """A network of its own, that may be converted without touching `plain`."""
    if form == "public":
        assert against is not None
        return public_network(against, plain)
    if form == "plain":
        return BiRefNet.from_state_dict({key: value.clone() for key, value in plain.state_dict().items()})
    return channels_last(fuse(plain)) if torch.cuda.is_available() else fuse(plain)


def _work(case: Case, network: nn.Module, device: torch.device, graphs: CudaGraphs) -> Callable[[], object]:
    """What is timed: one pass over the same pictures."""
    x = torch.randn(case.batch, 3, case.side_px, case.side_px, device=device, dtype=case.dtype)
    if case.form not in ("graph", "compiled"):
        return lambda: network(x)
    compiled = torch.compile(network, mode="max-autotune-no-cudagraphs") if case.form == "compiled" else network
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        return graphs(lambda x: (compiled(x),), (x,)).replay


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds for one call, by the device's own clock where it has one."""
    with torch.inference_mode():
        if device.type == "cpu":
            begun_s = time.perf_counter()
            work()
            return time.perf_counter() - begun_s
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
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
    """FLOP of the published network for one frame: convolutions and matrix products.

    Scores and sums of the attention, some 3 % more by count at 1024x1024, torch does not count on a CPU.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain(torch.zeros(1, 3, side_px, side_px))
    return int(counter.get_total_flops())


def _peak_mib(network: nn.Module, case: Case, device: torch.device) -> int:
    """On a GPU that of the network and one pass without a graph, apart from what else is there; else the process's."""
    if device.type == "cpu":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    x = torch.randn(case.batch, 3, case.side_px, case.side_px, device=device, dtype=case.dtype)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    timed(lambda: network(x), device)
    return round((torch.cuda.max_memory_allocated() - before + weights) / 2**20)
