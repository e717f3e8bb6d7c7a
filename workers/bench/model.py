"""`mattebox bench model`: BiRefNet alone, on tensors: milliseconds per frame, and utilisation of the device.

Weights are random: speed does not depend on them. "plain" is the network as published, in eager mode; "fused" is what
the engine runs without a graph; "graph" is the same as a CUDA graph; "compiled" is the same through torch.compile, as a
graph too; "public" is the public code. TFLOP/s always counts the plain network's arithmetic. It is compared with the
device's own rate for a large matrix product in the same dtype, measured in the same run.
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
from workers.device.precision import best_device, half_precision
from workers.models.birefnet.fuse import channels_last, fuse
from workers.models.birefnet.network import BiRefNet
from workers.models.birefnet.swin import SwinConfig

BACKBONES = {"swin-t": SwinConfig(96, (2, 2, 6, 2), 7), "swin-l": SwinConfig(192, (2, 2, 18, 2), 12)}
_MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}  # of the product that measures the device's peak rate


@dataclass(frozen=True)
class Case:
    """One measurement to make. form: "plain", "fused", "graph", "compiled" or "public"."""

    backbone: str
    side_px: int
    batch: int
    dtype: torch.dtype
    form: str


@dataclass(frozen=True)
class Row:
    """ms: median per frame. peak_mib: device memory, or memory of the process on a CPU. tflops: TFLOP/s. share: of the
    device's peak rate."""

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
    """Cases for the public code, which builds Swin-L."""
    return [Case("swin-l", side_px, batch, dtype, "public") for batch in batches]


def bench_model(
    settings: Settings,
    repeats: int,
    say: Callable[[str], None],
    cases: Sequence[Case] | None = None,
    against: Path | None = None,
) -> Iterator[Row]:
    """Measure the cases alternately; by default those for this device.

    against: a checkout of the public code, for cases of form "public".
    """
    device = best_device()
    torch.set_num_threads(settings.cores())
    chosen = list(default_cases(device) if cases is None else cases)
    plain = {name: random_network(BACKBONES[name]) for name in {case.backbone for case in chosen}}
    kinds = {(case.backbone, case.form, case.dtype) for case in chosen}
    built = {kind: _built(kind[1], plain[kind[0]], against).to(device, kind[2]) for kind in kinds}
    networks = [built[case.backbone, case.form, case.dtype] for case in chosen]
    say(f"preparing {len(chosen)} cases")
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


def random_network(backbone: SwinConfig) -> BiRefNet:
    """A plain network with random weights, ready for inference."""
    torch.manual_seed(0)
    network = BiRefNet(backbone).requires_grad_(False).eval()
    for key, parameter in network.named_parameters():
        if key.endswith("bias_table"):  # the only parameters without initialisation
            parameter.normal_(0, 0.02)
    return network


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large square matrix product; the best of five."""
    side = _MATRIX_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: a @ b, device) for _ in range(5))


def _built(form: str, plain: BiRefNet, against: Path | None) -> nn.Module:
    """A separate network, which can be converted without changing `plain`."""
    if form == "public":
        assert against is not None
        return public_network(against, plain)
    if form == "plain":
        return BiRefNet.from_state_dict({key: value.clone() for key, value in plain.state_dict().items()})
    return channels_last(fuse(plain)) if torch.cuda.is_available() else fuse(plain)


def _work(case: Case, network: nn.Module, device: torch.device, graphs: CudaGraphs) -> Callable[[], object]:
    """The timed function: one pass over a fixed batch."""
    x = torch.randn(case.batch, 3, case.side_px, case.side_px, device=device, dtype=case.dtype)
    if case.form not in ("graph", "compiled"):
        return lambda: network(x)
    compiled = torch.compile(network, mode="max-autotune-no-cudagraphs") if case.form == "compiled" else network
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        return graphs(lambda x: (compiled(x),), (x,)).replay


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds for one call, by CUDA events on a GPU."""
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

    Without the products inside the attention, which torch does not count on a CPU: 3 % more at 1024x1024.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        plain(torch.zeros(1, 3, side_px, side_px))
    return int(counter.get_total_flops())


def _peak_mib(network: nn.Module, case: Case, device: torch.device) -> int:
    """Peak memory: on a GPU of the network and one pass without a graph, excluding other allocations; on a CPU of the
    process."""
    if device.type == "cpu":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    x = torch.randn(case.batch, 3, case.side_px, case.side_px, device=device, dtype=case.dtype)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    timed(lambda: network(x), device)
    return round((torch.cuda.max_memory_allocated() - before + weights) / 2**20)
