"""`mattebox bench feed`: the delay and the processor time of a feed, each compared with an alternative in the same run.

The benchmark serves numbered frames by RTSP, runs `mattebox stream` on them as a user would, and receives what that
publishes by RTSP. The engine is `chroma`, without temporal smoothing: what is measured is the path, not the engine.
Sending and receiving are timed in one process. Frames are encoded before and decoded after the measurement.

Delay: compared with a plain relay that does not decode. Processor time: two outputs compared with one, of the whole
program with its child processes. The two sides of a comparison alternate; the results are medians, and the medians of
the ratios and differences of the pairs.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.errors import ServerError
from stream.serve.die_with_parent import tied
from stream.settings import Settings
from workers.bench import processes
from workers.bench.camera import RATE, encoded, film
from workers.bench.rtsp import NumberAt, RtspServer

_START_S, _END_S = 60.0, 20.0
_WARM_UP_S = 2.0
_KEY = "#00c83c"  # the generated screen; numbers cover a part of the border where it would be measured
_OPTIONS = ("--engine", "chroma", "--key", _KEY, "--temporal", "off")

Command = Callable[[str, list[str]], list[str]]
"""The arguments of a program for a source and outputs."""


@dataclass(frozen=True)
class Run:
    """One program, measured once. fps: frames that arrived at the first output. cpu_ms: per such frame, of the program
    with its child processes; 0 where there is no /proc. delays_ms: of each frame, from the source to the output."""

    fps: float
    cpu_ms: float
    delays_ms: list[float]


@dataclass(frozen=True)
class Row:
    """One comparison. value, baseline_value: medians. ratio, difference: medians over the pairs, of value to baseline.

    fps: at the output, median. load: of this machine, one-minute average at the end.
    """

    measure: str
    case: str
    baseline: str
    value: float
    baseline_value: float
    ratio: float
    difference: float
    fps: float
    load: float


def bench_feed(
    clip: Path | None,
    size: tuple[int, int],
    seconds: float,
    repeats: int,
    settings: Settings,
    say: Callable[[str], None],
) -> Iterator[Row]:
    """Measure with frames of `clip`, or of a generated scene, scaled to `size`; `seconds` for each run.

    Raises ServerError if a program does not work.
    """
    pictures = encoded(film(clip, *size, settings, "screen"), *size, settings)
    pairs = _alternate(pictures, seconds, repeats, (("relay", relay, 1), ("mattebox", mattebox, 1)), say)
    for percent in (50, 95):
        yield row(f"delay p{percent}, ms", "mattebox", "plain relay", pairs, _percentile(percent))
    if not Path("/proc/self/stat").exists():
        say("processor time is measured on Linux only")
        return
    pairs = _alternate(pictures, seconds, repeats, (("1 output", mattebox, 1), ("2 outputs", mattebox, 2)), say)
    yield row("CPU per frame, ms", "2 outputs", "1 output", pairs, lambda run: run.cpu_ms)


def mattebox(source: str, outputs: list[str]) -> list[str]:
    return [sys.executable, "-m", "mattebox", "stream", source, *outputs, *_OPTIONS]


def relay(source: str, outputs: list[str]) -> list[str]:
    return [sys.executable, "-m", "workers.bench.relay", source, *outputs]


def row(measure: str, case: str, baseline: str, pairs: Sequence[tuple[Run, Run]], value: Callable[[Run], float]) -> Row:
    """The comparison of a figure of the runs. pairs: baseline first."""
    values = [(value(before), value(after)) for before, after in pairs]
    return Row(
        measure,
        case,
        baseline,
        round(statistics.median(after for _, after in values), 1),
        round(statistics.median(before for before, _ in values), 1),
        round(statistics.median(after / before for before, after in values), 2),
        round(statistics.median(after - before for before, after in values), 1),
        round(statistics.median(after.fps for _, after in pairs), 1),
        round(os.getloadavg()[0], 1),
    )


def _percentile(percent: int) -> Callable[[Run], float]:
    return lambda run: float(np.percentile(run.delays_ms, percent))


def _alternate(
    pictures: Sequence[bytes],
    seconds: float,
    repeats: int,
    cases: tuple[tuple[str, Command, int], tuple[str, Command, int]],
    say: Callable[[str], None],
) -> list[tuple[Run, Run]]:
    """Measure both cases (name, command, number of outputs) in turns."""
    runs = []
    for n in range(repeats):
        for name, command, outputs in cases:
            say(f"{name}: {n + 1} of {repeats}")
            runs.append(asyncio.run(measure(command, outputs, pictures, seconds)))
    return list(zip(runs[::2], runs[1::2], strict=True))


async def measure(command: Command, outputs: int, pictures: Sequence[bytes], seconds: float) -> Run:
    """Run a program for so many seconds after it has warmed up. Raises ServerError if it does not work."""
    paths = [f"/output{n}" for n in range(outputs)]
    async with RtspServer(pictures, RATE) as server:
        with _started(command(server.url(), [server.url(path) for path in paths])) as process:
            await _until_live(server, paths, process)
            begin_s, pids = time.monotonic(), processes.tree(process.pid)
            cpu_s = -_cpu_s(pids)
            await asyncio.sleep(seconds)
            cpu_s += _cpu_s(pids)
            end_s = time.monotonic()
    received = [(number, at_s) for number, at_s in server.published[paths[0]].numbers() if begin_s <= at_s < end_s]
    if not received:
        raise ServerError("no frame arrived at the output")
    return Run(len(received) / (end_s - begin_s), 1000 * cpu_s / len(received), delays_ms(server.sent, received))


def delays_ms(sent: Sequence[NumberAt], received: Sequence[NumberAt]) -> list[float]:
    """The delays of the received frames. Numbers repeat: a frame is the last one sent before with its number."""
    times: dict[int, list[float]] = defaultdict(list)
    for number, at_s in sent:
        times[number].append(at_s)
    before = ((at_s, times[number][: bisect_right(times[number], at_s)]) for number, at_s in received)
    return [1000 * (at_s - sent_s[-1]) for at_s, sent_s in before if sent_s]


@contextlib.contextmanager
def _started(argv: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A running program; it is ended with the context. Raises ServerError with its last line if it had failed."""
    with tempfile.TemporaryFile() as messages:
        environment = os.environ | {"MATTEBOX_RTSP_TRANSPORT": "tcp"}
        process = subprocess.Popen(tied(argv), env=environment, stdout=subprocess.DEVNULL, stderr=messages)
        try:
            yield process
        finally:
            code = process.poll()
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if code is not None:
                messages.seek(0)
                lines = messages.read().decode(errors="replace").splitlines() or [f"exit code {code}"]
                raise ServerError(f"{argv[2]} failed: {lines[-1]}")


async def _until_live(server: RtspServer, paths: Sequence[str], process: "subprocess.Popen[bytes]") -> None:
    """Wait until frames arrive at all outputs and the program has warmed up."""
    deadline_s = time.monotonic() + _START_S
    while not all(path in server.published and server.published[path].frames for path in paths):
        if process.poll() is not None:
            raise ServerError("ended before it sent a frame")
        if time.monotonic() > deadline_s:
            raise ServerError(f"no frame arrived within {_START_S:g} s")
        await asyncio.sleep(0.1)
    await asyncio.sleep(_WARM_UP_S)


def _cpu_s(pids: set[int]) -> float:
    try:
        return sum(processes.cpu_s(pid) for pid in pids)
    except OSError:
        raise ServerError("a process of the program ended early") from None
