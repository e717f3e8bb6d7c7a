"""`make gpu-check`: what only a machine with a CUDA device can show, in one table and one JSON.

Runs the tests marked `gpu`, times the network in the sizes that have goals (and the public code, if a checkout is
given), the deformable convolution's kernel, and the steadying of mattes. Needs few packages: pytest and those of
`workers.runner`.
"""

import argparse
import functools
import importlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from stream.session import Temporal
from stream.settings import Settings
from workers.bench.model import Case, Row, bench_model, default_cases, public_cases, timed
from workers.grid import HEIGHT, WIDTH
from workers.models import deform
from workers.runner import half_precision
from workers.smooth_torch import Seen, State, Steadier
from workers.tuning import choose

TESTS = (
    "tests/workers/models/test_gpu.py",
    "tests/workers/test_runner_gpu.py",
    "tests/workers/test_smooth_gpu.py",
    "tests/workers/test_steadying.py",
)
# Without the project's own options, which want plug-ins of pytest that need not be there.
OPTIONS = ("-o", "addopts=-ra", "-m", "gpu", "-q", "-W", "default", "-p", "no:cacheprovider")
GOALS_MS = {("swin-l", 1024): 10.0, ("swin-l", 512): 3.5, ("swin-t", 1024): 4.0}
GOAL_RATIO = 3.0
GOAL_STEADY_MS = 0.5  # of issue 4, for a frame of 1280x720 on CUDA
_BATCHES = (1, 4, 8)  # of the public code
_TILES = ((64, 4, 1), (64, 4, 2), (64, 8, 1), (64, 8, 2), (128, 8, 1), (32, 4, 1))
_MAP = 256  # side of the largest map at 1024x1024
_IN_A_ROW = 20  # frames that are steadied between two looks at the device's clock

Outcome = dict[str, str | float]


def main() -> int:
    """Exit code 0 if tests ran, none failed and each goal was met; the file is written either way, part by part."""
    asked = _arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report: dict[str, Any] = {"machine": machine(device)}
    for name, part in _parts(asked, device).items():
        _say(f"{name} begins")
        report[name], failed = _attempt(part)
        report["tests"] += [{"name": f"{name}: {reason}", "outcome": "failed", "seconds": 0.0} for reason in failed]
        asked.save.write_text(json.dumps(report, indent=1, default=asdict))
    rows, timed_too = report["speed"], report["kernels"] + report["steadying"]
    goals = report["goals"] = judge(rows) + judge_steadying(report["steadying"], device)
    asked.save.write_text(json.dumps(report, indent=1, default=asdict))
    print("\n".join(table(report["tests"], rows, timed_too, goals)))
    results = {entry["outcome"] for entry in [*report["tests"], *goals]}
    return 0 if "passed" in results and not results & {"failed", "missed"} else 1


def _attempt(part: Callable[[], list[Any]]) -> tuple[list[Any], list[str]]:
    """What it gives, and why it failed: the other parts are worth having all the same."""
    try:
        return part(), []
    except Exception as exc:  # noqa: BLE001 - the device, its libraries and their compilers raise what they like
        traceback.print_exc()
        return [], [f"{type(exc).__name__}: {exc}".splitlines()[0]]


def _parts(asked: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], list[Any]]]:
    """In the order of their time: what is lost when a machine is taken away is the longest."""
    return {
        "tests": lambda: run_tests(Path(__file__).parents[2]),
        "steadying": lambda: time_steadying(device, (64, 36) if asked.small else (1280, 720), asked.repeats),
        "kernels": lambda: time_kernels(device, 16 if asked.small else _MAP, asked.repeats),
        "speed": lambda: time_networks(asked, device),
    }


def time_networks(asked: argparse.Namespace, device: torch.device) -> list[Row]:
    """Ours, and the public code if a checkout is given."""
    cases = small_cases(device) if asked.small else default_cases(device)
    if asked.compiled:
        cases.append(Case("swin-l", 1024, 1, half_precision(device), "compiled"))
    rows = list(bench_model(Settings(), asked.repeats, _say, cases))
    if asked.against is not None:
        public = public_cases(64 if asked.small else 1024, (1,) if asked.small else _BATCHES, half_precision(device))
        rows += bench_model(Settings(), asked.repeats, _say, public, asked.against)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.bench.check", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="a checkout of the public BiRefNet")
    parser.add_argument("--save", type=Path, default=Path("gpu-check.json"), metavar="FILE")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, batch 1 of Swin-L: minutes more")
    parser.add_argument("--small", action="store_true", help="small pictures, to try the command on any machine")
    return parser.parse_args()


def small_cases(device: torch.device) -> list[Case]:
    half = half_precision(device)
    return [
        Case("swin-t", 64, 1, half, "graph" if device.type == "cuda" else "fused"),
        Case("swin-l", 64, 1, half, "fused"),
    ]


def machine(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    versions = {package: _version(package) for package in ("torch", "triton", "torchvision")}
    return {"date": time.strftime("%Y-%m-%d"), "device": name, "python": sys.version.split()[0], **versions}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def run_tests(root: Path) -> list[Outcome]:
    """Each test marked `gpu`: name, outcome ("passed", "failed", "skipped") and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.xml"
        options = [*OPTIONS, f"--junitxml={file}"]
        subprocess.run([sys.executable, "-m", "pytest", *options, *TESTS], cwd=root, check=False, stdout=sys.stderr)
        if not file.exists():
            return [{"name": "pytest did not run", "outcome": "failed", "seconds": 0.0}]
        return outcomes(ElementTree.parse(file).getroot())


def outcomes(report: ElementTree.Element) -> list[Outcome]:
    """Of the tests in a JUnit report, and of files that could not be collected."""
    found: list[Outcome] = []
    for case in report.iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found.append({"name": case.get("name", ""), "outcome": outcome, "seconds": float(case.get("time", 0))})
    return found


def judge(rows: Sequence[Row]) -> list[Outcome]:
    """The goals of issue 3 that these rows bear on: each with what was reached."""
    found: list[Outcome] = []
    ours = [row for row in rows if row.form in ("fused", "graph", "compiled")]
    for (backbone, side_px), goal in GOALS_MS.items():
        reached = [row.ms for row in ours if (row.backbone, row.side_px) == (backbone, side_px)]
        if reached:
            best = min(reached)
            found.append(_goal(f"{backbone} {side_px} best, ms a frame, at most {goal}", best, best <= goal))
    public = [row for row in rows if row.form == "public"]
    same = [row for row in ours if public and (row.backbone, row.side_px) == (public[0].backbone, public[0].side_px)]
    for name, batches in (("batch 1", {1}), ("best batch", {row.batch for row in rows})):
        theirs, fps = ([row.fps for row in group if row.batch in batches] for group in (public, same))
        if theirs and fps:
            ratio = round(max(fps) / max(theirs), 2)
            found.append(_goal(f"{name}, times the public code, at least {GOAL_RATIO}", ratio, ratio >= GOAL_RATIO))
    return found


def _goal(name: str, reached: float, met: bool) -> Outcome:
    return {"name": name, "reached": reached, "outcome": "met" if met else "missed"}


def time_kernels(device: torch.device, side: int, repeats: int) -> list[Outcome]:
    """The deformable convolution of each kernel size on the largest map, by path and tile, median milliseconds."""
    found: list[Outcome] = []
    for kernel in (1, 3, 7):
        arguments = _deformation(device, side, kernel)
        for name, work in _ways(*arguments).items():
            part = functools.partial(_time_kernel, f"deform {kernel}x{kernel} {name}", work, device, repeats)
            found += _attempt(part)[0]  # a tile may need more of the device than there is
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
    ways: dict[str, Callable[[], object]] = {"plain": lambda: deform.gathered(x, offset, mask, weight)}
    kernels = deform.kernels() if x.is_cuda else None
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
    steadier, dice = Steadier(), np.random.default_rng(0)
    alphas = list(torch.rand(count, size[1], size[0]).to(device))
    seen = [Seen(dice.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8), 0.0, tuning) for _ in alphas]
    if device.type == "cuda":
        steadier.warm(tuning, (size[1], size[0]), device, [count])
    states: list[State | None] = [None] * count
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


def judge_steadying(steadying: Sequence[Outcome], device: torch.device) -> list[Outcome]:
    """The goal of issue 4 for the slowest, where it is meant: on CUDA."""
    if device.type != "cuda" or not steadying:
        return []
    worst = max(float(row["ms"]) for row in steadying)
    return [_goal(f"steadying live, ms a frame, at most {GOAL_STEADY_MS}", worst, worst <= GOAL_STEADY_MS)]


def table(
    tests: Sequence[Outcome], rows: Sequence[Row], kernels: Sequence[Outcome], goals: Sequence[Outcome]
) -> list[str]:
    counts = {kind: sum(test["outcome"] == kind for test in tests) for kind in ("passed", "failed", "skipped")}
    lines = ["tests: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())]
    lines += [f"  failed: {test['name']}" for test in tests if test["outcome"] == "failed"]
    lines.append("backbone  size batch dtype    form     ms/frame    fps  peak MiB TFLOP/s share")
    for row in rows:
        what = f"{row.backbone:8} {row.side_px:5} {row.batch:5} {row.dtype:8} {row.form:8}"
        lines.append(f"{what} {row.ms:8.2f} {row.fps:6.1f} {row.peak_mib:9} {row.tflops:7.1f} {row.share:5.1%}")
    lines += [f"{kernel['name']:40} {kernel['ms']:9.4f} ms{_host(kernel)}" for kernel in kernels]
    return lines + [f"{goal['outcome']:6} {goal['name']}: {goal['reached']}" for goal in goals]


def _host(kernel: Outcome) -> str:
    return f", {kernel['host_ms']:.4f} ms of the host" if "host_ms" in kernel else ""


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
