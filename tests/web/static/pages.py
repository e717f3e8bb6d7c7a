"""What tests of the page share: Chromium's flags, scripts that look at the picture, and waiting for what is to come."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.web.site import Site

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SLATE, PAPER = (31, 41, 55), (244, 241, 234)
CORNER = """() => {
  const shown = document.querySelector('.stage .shown');
  if (!shown) return null;
  const c = document.createElement('canvas'); c.width = 64; c.height = 48;
  const x = c.getContext('2d'); x.drawImage(shown, 0, 0, 64, 48);
  return [...x.getImageData(3, 3, 1, 1).data].slice(0, 3);
}"""
WATCH = """() => {
  window.seen = { states: [], held: false };
  new MutationObserver(() => {
    seen.states.push(document.getElementById('status').dataset.state);
    seen.held ||= document.querySelector('canvas').classList.contains('shown');
  }).observe(document.body, { subtree: true, attributes: true });
}"""


class Worker:
    """A double in a process of its own."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "tests.web.double", redis_url, name])

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def state(page: Any, name: str, timeout_s: float = 15) -> None:
    page.wait_for_selector(f"#status[data-state={name}]", timeout=1000 * timeout_s)


def corner_is(page: Any, colour: tuple[int, int, int], timeout_s: float = 5) -> None:
    """What is shown has that colour in its corner, as video has colours."""
    end_s = time.monotonic() + timeout_s
    while True:
        seen = page.evaluate(CORNER)
        if seen and max(abs(a - b) for a, b in zip(seen, colour, strict=True)) < 12:
            return
        assert time.monotonic() < end_s, f"{seen} is not {colour}"
        time.sleep(0.05)


def ready(site: Site, workers: int) -> None:
    with site.client() as http:
        while (answer := http.get("/readyz")).status_code != 200 or answer.json()["workers"] < workers:
            time.sleep(0.05)


def opened(page: Any, site: Site) -> None:
    """The camera is open, in front of slate."""
    ready(site, 1)
    page.goto(site.url)
    page.check("input[value='color:#1f2937']")
    page.click("#open")
    state(page, "live")
    corner_is(page, SLATE)


def until(page: Any, script: str, timeout_s: float = 10) -> None:
    """The script's value is true. Playwright's own way needs `eval`, which the page's content policy forbids."""
    end_s = time.monotonic() + timeout_s
    while not page.evaluate(script):
        assert time.monotonic() < end_s, f"never: {script}"
        time.sleep(0.03)
