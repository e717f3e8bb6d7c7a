"""`mattebox bench live`: simulated cameras against a running server, over HTTP and WebRTC like any client.

Each camera sends a clip in which every frame is marked with its number. The number is read from the returned frame,
which gives the glass-to-glass latency. The view is `overlay`, where the numbers stay readable outside the subject too:
the matte is computed as usual, and blended with the tinted picture instead of a background. The same is measured with
background `none`, where no engine runs: the cost of the path without a matte. The client is aiortc, which delivers a
frame only when the next one begins to arrive; that is included in both numbers.

Each camera is a separate process and sends frames that were encoded in advance, so that it uses little CPU.
"""

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np

from stream.errors import ServerError
from stream.settings import Settings
from workers.bench import processes
from workers.bench.camera import Measured, api, encoded, film

Say = Callable[[str], None]
_CONNECT_S = 8.0  # for clients to start and connect
_WARM_UP_S = 3.0


@dataclass(frozen=True)
class Ages:
    """Percentiles of the glass-to-glass latency, in ms."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Row:
    """One measurement. fps_in, fps_out: per video, mean. growth_ms: median age in the last quarter minus the first's.

    cpu_ms: CPU time of the worker per returned frame. rss_mib: of the worker, at the start, at the end and at most.
    Both are 0 if it runs on another machine. wait_ms, late_ms: median and 95th percentile of a frame's wait for the
    device. load: of this machine, one-minute average at the end.
    """

    engine: str
    width: int
    height: int
    videos: int
    fps_in: float
    fps_out: float
    age_ms: Ages
    growth_ms: float
    dropped: dict[str, int]
    cpu_ms: float
    rss_mib: tuple[int, int, int]
    wait_ms: float
    late_ms: float
    load: float


@dataclass
class _ProcessMonitor:
    """Samples the memory of the workers."""

    pids: set[int]
    rss_mib: list[int] = field(default_factory=list)

    def cpu_s(self) -> float:
        return sum(processes.cpu_s(pid) for pid in self.pids)

    def sample(self) -> None:
        self.rss_mib.append(round(sum(processes.rss(pid) for pid in self.pids) / 2**20))


def bench_live(
    url: str, videos: list[int], sizes: list[tuple[int, int]], engine: str, seconds: float, token: str, say: Say,
    clip: Path | None, settings: Settings,
) -> Iterator[Row]:  # fmt: skip
    """Measure each size with each number of videos: without a matte, then with. Raises ServerError."""
    for width, height in sizes:
        pictures = encoded(film(clip, width, height, settings), width, height, settings)
        for count in videos:
            for options in ({"background": "none"}, {"view": "overlay", "engine": engine}):
                say(f"{width}x{height}, {count} videos, {options}: {seconds:g} s")
                yield measure(url, token, count, (width, height), options, seconds, pictures)


def measure(
    url: str, token: str, count: int, size: tuple[int, int], options: dict[str, str], seconds: float, film: list[bytes]
) -> Row:
    """Measure `count` videos with these options. film: from `encoded`, at `size`. Raises ServerError."""
    begin_s = time.monotonic() + _CONNECT_S + _WARM_UP_S + 0.5 * count
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(_call, url, token, film, options, size, begin_s, begin_s + seconds) for _ in range(count)
        ]
        _sleep_until(begin_s, running)
        monitor = _ProcessMonitor(_workers(url, token))
        cpu_s = monitor.cpu_s()
        while time.monotonic() < begin_s + seconds:
            _sleep_until(min(time.monotonic() + 1.0, begin_s + seconds), running)
            monitor.sample()
        cpu_s = monitor.cpu_s() - cpu_s
        waits = _waits(url, token)
        measured = [future.result() for future in running]
    return _row(measured, options, size, seconds, cpu_s, monitor.rss_mib or [0], waits)


def _call(*arguments: object) -> Measured:
    """`camera.call`, in a separate process."""
    from workers.bench.camera import call

    return asyncio.run(call(*arguments))  # type: ignore[arg-type]


def _row(
    measured: list[Measured], options: dict[str, str], size: tuple[int, int], seconds: float, cpu_s: float,
    rss: list[int], waits: tuple[float, float],
) -> Row:  # fmt: skip
    ages = np.concatenate([np.array(one.ages_ms, float) for one in measured])
    if not ages.size:
        raise ServerError("no frame was returned")
    quarters = [
        (np.median(a[: len(a) // 4 + 1]), np.median(a[-len(a) // 4 :])) for a in (s.ages_ms for s in measured) if a
    ]
    p50, p95, p99 = (round(float(age), 1) for age in np.percentile(ages, [50, 95, 99]))
    dropped: dict[str, int] = {}
    for one in measured:
        for cause, lost in one.dropped.items():
            dropped[cause] = dropped.get(cause, 0) + lost
    count = len(measured)
    return Row(
        engine=options.get("engine", "none"), width=size[0], height=size[1], videos=count,
        fps_in=round(sum(one.sent for one in measured) / seconds / count, 1),
        fps_out=round(ages.size / seconds / count, 1),
        age_ms=Ages(p50, p95, p99),
        growth_ms=round(max(float(last - first) for first, last in quarters), 1),
        dropped=dropped, cpu_ms=round(1000 * cpu_s / ages.size, 1),
        rss_mib=(rss[0], rss[-1], max(rss)), wait_ms=waits[0], late_ms=waits[1], load=round(os.getloadavg()[0], 1),
    )  # fmt: skip


def _sleep_until(at_s: float, running: "list[Future[Measured]]") -> None:
    """Sleep until `at_s`. Raises a client's error as soon as it fails."""
    while (remaining_s := at_s - time.monotonic()) > 0:
        for future in running:
            if future.done():
                future.result()
        time.sleep(min(0.1, remaining_s))


def _workers(url: str, token: str) -> set[int]:
    """Process ids of the workers with live sessions that run on this machine. Worker names are HOST-PID-RANDOM."""
    sessions = cast(dict[str, list[dict[str, str]]], api(url, token, "GET", "/api/sessions"))["sessions"]
    names = {session["worker"] for session in sessions if session["state"] == "live"}
    found = {int(name.split("-")[-2]) for name in names if name.startswith(socket.gethostname())}
    return {pid for pid in found if Path(f"/proc/{pid}/stat").exists()}


def _waits(url: str, token: str) -> tuple[float, float]:
    """Median and 95th percentile of the wait for the device, of the slowest worker, in ms."""
    text = str(api(url, token, "GET", "/metrics"))
    found = (
        re.findall(rf"^mattebox_device_wait_{which}_seconds\{{.*\}} (\S+)", text, re.M) for which in ("median", "p95")
    )
    median, p95 = (round(1000 * max(map(float, values), default=0.0), 2) for values in found)
    return median, p95
