"""The studio in Chromium, with scripts that record every picture it draws."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.end_to_end.camera import Point

CHROMIUM = shutil.which("chromium")
FAKE, ALLOWED = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
FLAGS = [
    "--no-sandbox",
    FAKE,
    ALLOWED,
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
]
# Records each picture of the page's two videos: its time, the video's index, and the colours at the given points.
_WATCH = """points => {
  window.seen = [];
  const canvas = document.createElement('canvas'), c = canvas.getContext('2d', { willReadFrequently: true });
  document.querySelectorAll('#stage video').forEach((video, which) => {
    const look = () => {
      if (video.videoWidth) {
        canvas.width = video.videoWidth; canvas.height = video.videoHeight;
        c.drawImage(video, 0, 0);
        const at = points.map(([x, y]) => [...c.getImageData(x * canvas.width, y * canvas.height, 1, 1).data]);
        const drawn = at[0][3] > 0;
        if (drawn) seen.push([performance.now(), which, ...at.map((rgba) => rgba.slice(0, 3))]);
      }
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  });
}"""


@contextmanager
def page(camera: Path | None, allowed: bool = True, cameras: int = 0) -> Iterator[Any]:
    """A tab with `camera` (.mjpeg) as its camera, or without one. A script error in it fails the test.

    allowed: without a permission prompt; else the camera is denied until the context grants the permission.
    cameras: without `camera`, the number of Chromium's own, which show a pattern. Its microphones beep.
    """
    with sync_playwright() as run:
        flags = [flag for flag in FLAGS if allowed or flag != ALLOWED]
        flags.append(f"--use-file-for-fake-video-capture={camera}" if camera else f"{FAKE}=device-count={cameras}")
        browser = run.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
            tab, errors = context.new_page(), []
            tab.on("pageerror", lambda error: errors.append(str(error)))
            yield tab
            assert not errors
        finally:
            browser.close()


def go_live(tab: Any, url: str, *chosen: str) -> None:
    """Open the studio, check these inputs, open the camera and wait for its video."""
    tab.goto(url)
    tab.wait_for_selector(".tile-choice img")
    for selector in chosen:
        tab.check(selector)
    tab.click("#open")
    tab.wait_for_selector("#status[data-state=live]", timeout=20_000)


def open_camera(tab: Any, url: str, colour: str, points: list[Point]) -> None:
    """Choose a background colour, open the camera, and record every picture from the first on."""
    tab.goto(url)
    tab.evaluate(f"localStorage.setItem('mattebox.options', JSON.stringify({{background: 'color:{colour}'}}))")
    tab.reload()
    watch(tab, points)
    tab.click("#open")
    tab.wait_for_selector("#status[data-state=live]", timeout=20_000)


def watch(tab: Any, points: list[Point]) -> None:
    """Record every picture from now on, for `seen`."""
    tab.evaluate(_WATCH, points)


def watch_states(tab: Any) -> None:
    """Record every state that the page shows from now on, for `states`."""
    tab.evaluate("""() => {
      const status = document.getElementById('status');
      window.states = [status.dataset.state];
      new MutationObserver(() => states.push(status.dataset.state)).observe(status, { attributes: true });
    }""")


def states(tab: Any) -> list[str]:
    """The recorded states, in the order in which they first appeared."""
    return list(dict.fromkeys(tab.evaluate("states")))


def seen(tab: Any) -> list[list[Any]]:
    """[milliseconds, the video's index, colour at each point …] of every picture so far."""
    pictures: list[list[Any]] = tab.evaluate("seen")
    return pictures
