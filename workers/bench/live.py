"""`mattebox bench live`: cameras made up here against a running server, over HTTP and WebRTC as any client.

Each camera sends a clip in which every picture carries its number; the number is read from the picture that comes back,
so that its age is known from glass to glass. It is shown as `overlay`, where the numbers stay readable outside the
subject too: the matte is made as always, and blended with the tinted picture instead of a background. The same is
measured with background `none`, where no engine runs: what that path costs without a matte. The client is aiortc, which
hands a picture on when the next one begins to arrive: that is in both figures.

A camera is a process of its own and sends pictures that were encoded before, so that it takes little of the machine.
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
from workers.bench.camera import Seen, api, encoded, film

Say = Callable[[str], None]
_CONNECT_S = 8.0  # for clients to start and connect
_WARM_UP_S = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Ages:
    """Of the pictures that came back, glass to glass, in ms."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Row:
    """One measurement. fps: of one video, mean. growth_ms: median age in the last quarter less that in the first.

    cpu_ms: processor time of the worker for each picture that came back; 0 where it runs on another machine, as are
    rss_mib (at the start, at the end, most) then. wait_ms, late_ms: median and 95th percentile of a frame's wait for
    the device. load: of this machine, the mean of the last minute at the end.
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
class _Watch:
    """Looks at the worker once a second."""

    pids: set[int]
    rss_mib: list[int] = field(default_factory=list)

    def cpu_s(self) -> float:
        return sum(_cpu_s(pid) for pid in self.pids)

    def look(self) -> None:
        self.rss_mib.append(round(sum(_rss(pid) for pid in self.pids) / 2**20))


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
                yield _measure(url, token, count, (width, height), options, seconds, pictures)


def _measure(
    url: str, token: str, count: int, size: tuple[int, int], options: dict[str, str], seconds: float, film: list[bytes]
) -> Row:
    begin_s = time.monotonic() + _CONNECT_S + _WARM_UP_S + 0.5 * count
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(_call, url, token, film, options, size, begin_s, begin_s + seconds) for _ in range(count)
        ]
        _sleep_until(begin_s, running)
        watch = _Watch(_workers(url, token))
        cpu_s = watch.cpu_s()
        while time.monotonic() < begin_s + seconds:
            _sleep_until(min(time.monotonic() + 1.0, begin_s + seconds), running)
            watch.look()
        cpu_s = watch.cpu_s() - cpu_s
        waits = _waits(url, token)
        seen = [future.result() for future in running]
    return _row(seen, options, size, seconds, cpu_s, watch.rss_mib or [0], waits)


def _call(*arguments: object) -> Seen:
    """In a process of its own."""
    from workers.bench.camera import call

    return asyncio.run(call(*arguments))  # type: ignore[arg-type]


def _row(
    seen: list[Seen], options: dict[str, str], size: tuple[int, int], seconds: float, cpu_s: float, rss: list[int],
    waits: tuple[float, float],
) -> Row:  # fmt: skip
    ages = np.concatenate([np.array(one.ages_ms, float) for one in seen])
    if not ages.size:
        raise ServerError("no picture came back")
    quarters = [(np.median(a[: len(a) // 4 + 1]), np.median(a[-len(a) // 4 :])) for a in (s.ages_ms for s in seen) if a]
    p50, p95, p99 = (round(float(age), 1) for age in np.percentile(ages, [50, 95, 99]))
    dropped: dict[str, int] = {}
    for one in seen:
        for cause, lost in one.dropped.items():
            dropped[cause] = dropped.get(cause, 0) + lost
    count = len(seen)
    return Row(
        engine=options.get("engine", "none"), width=size[0], height=size[1], videos=count,
        fps_in=round(sum(one.sent for one in seen) / seconds / count, 1),
        fps_out=round(ages.size / seconds / count, 1),
        age_ms=Ages(p50, p95, p99),
        growth_ms=round(max(float(last - first) for first, last in quarters), 1),
        dropped=dropped, cpu_ms=round(1000 * cpu_s / ages.size, 1),
        rss_mib=(rss[0], rss[-1], max(rss)), wait_ms=waits[0], late_ms=waits[1], load=round(os.getloadavg()[0], 1),
    )  # fmt: skip


def _sleep_until(at_s: float, running: "list[Future[Seen]]") -> None:
    """Raises what made a client fail, as soon as it did."""
    while (left_s := at_s - time.monotonic()) > 0:
        for future in running:
            if future.done():
                future.result()
        time.sleep(min(0.1, left_s))


def _workers(url: str, token: str) -> set[int]:
    """Process ids of the workers at work, as far as they run here; their names are HOST-PID-RANDOM."""
    sessions = cast(dict[str, list[dict[str, str]]], api(url, token, "GET", "/api/sessions"))["sessions"]
    names = {session["worker"] for session in sessions if session["state"] == "live"}
    found = {int(name.split("-")[-2]) for name in names if name.startswith(socket.gethostname())}
    return {pid for pid in found if Path(f"/proc/{pid}/stat").exists()}


def _waits(url: str, token: str) -> tuple[float, float]:
    """Longest of all workers, in ms."""
    text = str(api(url, token, "GET", "/metrics"))
    found = (
        re.findall(rf"^mattebox_device_wait_{which}_seconds\{{.*\}} (\S+)", text, re.M) for which in ("median", "p95")
    )
    median, p95 = (round(1000 * max(map(float, values), default=0.0), 2) for values in found)
    return median, p95


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
