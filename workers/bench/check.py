"""`make gpu-check`: the checks that need a CUDA device, reported as one table and one JSON file.

Runs the tests marked `gpu`, and times the network at the sizes that have goals (and the public code, if a checkout is
given), the deformable convolution's kernel, and temporal smoothing. Needs few packages: pytest and those of
`workers.device.birefnet_runner`.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from stream.settings import Settings
from workers.bench.kernels import Outcome, attempt, time_kernels, time_steadying
from workers.bench.model import Case, Row, bench_model, default_cases, public_cases
from workers.device.precision import best_device, half_precision

TESTS = (
    "tests/workers/models/birefnet/test_gpu.py",
    "tests/workers/device/test_birefnet_runner_gpu.py",
    "tests/workers/steady/test_smooth_gpu.py",
    "tests/workers/steady/test_steadying.py",
)
# Without the project's own options, which require pytest plug-ins that may not be installed.
OPTIONS = ("-o", "addopts=-ra", "-m", "gpu", "-q", "-W", "default", "-p", "no:cacheprovider")
GOALS_MS = {("swin-l", 1024): 10.0, ("swin-l", 512): 3.5, ("swin-t", 1024): 4.0}
GOAL_RATIO = 3.0
GOAL_STEADY_MS = 0.5  # of issue 4, for a frame of 1280x720 on CUDA
_BATCHES = (1, 4, 8)  # of the public code
_MAP = 256  # side of the largest map at 1024x1024


def main() -> int:
    """Exit code 0 if tests ran, none failed and every goal was met. The file is always written, after each part."""
    arguments = _arguments()
    device = best_device()
    report: dict[str, Any] = {"machine": machine(device)}
    for name, part in _parts(arguments, device).items():
        _say(f"{name} started")
        report[name], failed = attempt(part)
        report["tests"] += [{"name": f"{name}: {reason}", "outcome": "failed", "seconds": 0.0} for reason in failed]
        arguments.save.write_text(json.dumps(report, indent=1, default=asdict))
    rows, timings = report["speed"], report["kernels"] + report["steadying"]
    goals = report["goals"] = judge(rows) + judge_steadying(report["steadying"], device)
    arguments.save.write_text(json.dumps(report, indent=1, default=asdict))
    print("\n".join(table(report["tests"], rows, timings, goals)))
    results = {entry["outcome"] for entry in [*report["tests"], *goals]}
    return 0 if "passed" in results and not results & {"failed", "missed"} else 1


def _parts(arguments: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], list[Any]]]:
    """The parts by duration, shortest first, so that an interruption loses only the longest ones."""
    return {
        "tests": lambda: run_tests(Path(__file__).parents[2]),
        "steadying": lambda: time_steadying(device, (64, 36) if arguments.small else (1280, 720), arguments.repeats),
        "kernels": lambda: time_kernels(device, 16 if arguments.small else _MAP, arguments.repeats),
        "speed": lambda: time_networks(arguments, device),
    }


def time_networks(arguments: argparse.Namespace, device: torch.device) -> list[Row]:
    """Our network, and the public code if a checkout is given."""
    cases = small_cases(device) if arguments.small else default_cases(device)
    if arguments.compiled:
        cases.append(Case("swin-l", 1024, 1, half_precision(device), "compiled"))
    rows = list(bench_model(Settings(), arguments.repeats, _say, cases))
    if arguments.against is not None:
        public = public_cases(
            64 if arguments.small else 1024, (1,) if arguments.small else _BATCHES, half_precision(device)
        )
        rows += bench_model(Settings(), arguments.repeats, _say, public, arguments.against)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.bench.check", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="a checkout of the public BiRefNet")
    parser.add_argument("--save", type=Path, default=Path("gpu-check.json"), metavar="FILE")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--compiled", action="store_true", help="also torch.compile, for batch 1 of Swin-L: takes minutes more"
    )
    parser.add_argument("--small", action="store_true", help="small images, to try the command on any machine")
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
    """The tests of a JUnit report, including files that could not be collected."""
    found: list[Outcome] = []
    for case in report.iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found.append({"name": case.get("name", ""), "outcome": outcome, "seconds": float(case.get("time", 0))})
    return found


def judge(rows: Sequence[Row]) -> list[Outcome]:
    """The goals of issue 3 that apply to these rows, each with the measured value."""
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


def judge_steadying(steadying: Sequence[Outcome], device: torch.device) -> list[Outcome]:
    """The goal of issue 4 for the slowest row; it applies only on CUDA."""
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
    return f", {kernel['host_ms']:.4f} ms on the host" if "host_ms" in kernel else ""


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
