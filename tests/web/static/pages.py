"""Shared by tests of the pages: Chromium's flags, scripts that read the video, and functions that wait."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.waiting import PATIENCE_S
from tests.web.running_site import Site

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SHARE_TABS = {"view": "watch", "obs": "obs", "clean": "obs", "whip": "publish", "token": "publish"}
"""The tab of the share dialog with each field."""
SLATE, PAPER = (31, 41, 55), (244, 241, 234)
CORNER = """() => {
  const shown = document.querySelector('.stage .shown');
  if (!shown) return null;
  const c = document.createElement('canvas'); c.width = 64; c.height = 48;
  const x = c.getContext('2d'); x.drawImage(shown, 0, 0, 64, 48);
  return [...x.getImageData(3, 3, 1, 1).data].slice(0, 3);
}"""
HASTE = """(() => {
  const real = setTimeout;
  window.setTimeout = (call, ms, ...args) => real(call, ms >= 1000 ? ms / 5 : ms, ...args);
})()"""
WATCH = """() => {
  window.seen = { states: [], held: false };
  new MutationObserver(() => {
    seen.states.push(document.getElementById('status').dataset.state);
    seen.held ||= document.querySelector('canvas').classList.contains('shown');
  }).observe(document.body, { subtree: true, attributes: true });
}"""


class Worker:
    """A worker double in its own process."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "tests.web.live_worker_double", redis_url, name])

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def state(page: Any, name: str, timeout_s: float = PATIENCE_S) -> None:
    page.wait_for_selector(f"#status[data-state={name}]", timeout=1000 * timeout_s)


def corner_is(page: Any, colour: tuple[int, int, int], timeout_s: float = PATIENCE_S) -> None:
    """Wait until the video's corner has that colour, within video's accuracy."""
    end_s = time.monotonic() + timeout_s
    while True:
        seen = page.evaluate(CORNER)
        if seen and max(abs(a - b) for a, b in zip(seen, colour, strict=True)) < 12:
            return
        assert time.monotonic() < end_s, f"{seen} is not {colour}"
        time.sleep(0.05)


def ready(site: Site, workers: int) -> None:
    with site.client() as http:
        while (response := http.get("/readyz")).status_code != 200 or response.json()["workers"] < workers:
            time.sleep(0.05)


def opened(page: Any, site: Site) -> None:
    """Open the camera with the slate background, and wait for its video."""
    ready(site, 1)
    page.goto(site.url)
    page.check("input[value='color:#1f2937']")
    page.click("#open")
    state(page, "live")
    corner_is(page, SLATE)


def until(page: Any, script: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until the script's value is true; Playwright's wait_for_function needs `eval`, which the CSP forbids."""
    end_s = time.monotonic() + timeout_s
    while not page.evaluate(script):
        assert time.monotonic() < end_s, f"never: {script}"
        time.sleep(0.03)


def png(colour: str) -> bytes:
    """A small picture of one colour."""
    data = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(data, "PNG")
    return data.getvalue()
