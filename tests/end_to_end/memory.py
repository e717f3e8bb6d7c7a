"""A tab's memory while the studio is open and in use; `python -m tests.end_to_end.memory URL MINUTES` prints it."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.browser import page
from tests.end_to_end.camera import write_mjpeg
from tests.end_to_end.serving import memory_mib

_EVERY_S = 10.0


@dataclass(frozen=True)
class Tab:
    """heap_mib: the scripts' heap after garbage collection. tab_mib: the tab process's resident memory. nodes: of the
    DOM."""

    at_s: float
    heap_mib: float
    tab_mib: float
    nodes: int


def used(tab: Any, minutes: float) -> list[Tab]:
    """Samples of a live page with open charts, in which every few seconds another background is chosen."""
    devtools = tab.context.new_cdp_session(tab)
    renderer = _renderer(tab)
    tab.wait_for_selector("#measurements-open:enabled")
    tab.click("#measurements-open")
    samples: list[Tab] = []
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < 60 * minutes:
        tab.keyboard.press(str(1 + len(samples) % 9))
        tab.wait_for_timeout(1000 * _EVERY_S)
        samples.append(_sample(devtools, renderer, at_s))
    return samples


def growth(samples: list[Tab], name: str) -> float:
    """Growth from the second sixth of the time to its last, as a share; the first sixth is for loading."""
    part = max(1, len(samples) // 6)
    values = [getattr(sample, name) for sample in samples]
    early, late = (sorted(some)[len(some) // 2] for some in (values[part : 2 * part], values[-part:]))
    return float(late / early - 1)


def _sample(devtools: Any, renderer: int, at_s: float) -> Tab:
    devtools.send("HeapProfiler.collectGarbage")
    heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
    nodes = devtools.send("Memory.getDOMCounters")["nodes"]
    return Tab(at_s, heap / 2**20, memory_mib(renderer), nodes)


def _renderer(tab: Any) -> int:
    """The tab's renderer process: the one with the most CPU time."""
    devtools = tab.context.browser.new_browser_cdp_session()
    found = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
    return int(max((p for p in found if p["type"] == "renderer"), key=lambda p: p["cpuTime"])["id"])


def main(url: str, minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder, page(write_mjpeg(Path(folder) / "camera.mjpeg")) as tab:
        tab.goto(url)
        tab.click("#open")
        tab.wait_for_selector("#status[data-state=live]", timeout=20_000)
        samples = used(tab, minutes)
    for sample in samples[:: max(1, len(samples) // 16)]:
        print(
            f"{sample.at_s:5.0f} s: heap {sample.heap_mib:.2f} MiB, tab {sample.tab_mib:.1f} MiB, {sample.nodes} nodes"
        )
    for name in ("heap_mib", "tab_mib", "nodes"):
        print(f"{name}: {100 * growth(samples, name):+.1f} %")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
