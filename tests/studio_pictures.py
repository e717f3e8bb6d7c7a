"""Screenshots of the studio in each of its states, for the README and for design reviews. Drives the real page.

    python -m tests.studio_pictures FOLDER [STATE …]

State `compared` also rewrites `docs/studio.webp`. Needs Chromium; starts its own server. A few states depend on a
moment that cannot be waited for (a server out of reach or full), or on another browser (no camera): there the page's
requests are answered by this script. `tests/end_to_end/test_studio_states.py` brings those states about for real.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.end_to_end.browser import ALLOWED, CHROMIUM, FLAGS
from tests.end_to_end.serving import serving
from tests.media import ROOT, TALK

SIZES = ((390, 844), (1280, 800), (2560, 1440))
SCHEMES = ("light", "dark")
README = ROOT / "docs" / "studio.webp"
_MAX_BYTES = 600_000
_FAILS = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', '%s') }"
_NEVER = "navigator.mediaDevices.getUserMedia = () => new Promise(() => {})"


def idle(tab: Any) -> None:
    tab.wait_for_selector("#status[data-state=idle]")


def asking(tab: Any) -> None:
    _without_camera(tab, _NEVER, "asking")


def refused(tab: Any) -> None:
    tab.context.clear_permissions()
    _open(tab, "refused")


def no_camera(tab: Any) -> None:
    _without_camera(tab, _FAILS % "NotFoundError", "noCamera")


def busy_camera(tab: Any) -> None:
    _without_camera(tab, _FAILS % "NotReadableError", "busyCamera")


def insecure(tab: Any) -> None:
    """As on an address without https, where browsers leave the whole thing out."""
    _without_camera(tab, "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })", "insecure")


def signed_out(tab: Any) -> None:
    refusal = '{"code": "login", "detail": "sign in first"}'
    tab.route("**/api/login", lambda route: route.fulfill(status=401, body=refusal))
    tab.reload()
    tab.wait_for_selector("#login[open]")


def unreachable(tab: Any) -> None:
    tab.route("**/api/**", lambda route: route.abort())
    tab.reload()
    tab.wait_for_selector("#status[data-state=unreachable]")


def connecting(tab: Any) -> None:
    tab.route("**/api/sessions", lambda route: None)
    _open(tab, "connecting")


def full(tab: Any) -> None:
    headers = {"Retry-After": "9"}
    tab.route("**/api/sessions", lambda route: route.fulfill(status=503, body="{}", headers=headers))
    _open(tab, "full")


def live(tab: Any) -> None:
    _live(tab)
    tab.keyboard.press("5")
    tab.wait_for_timeout(1500)


def compared(tab: Any) -> None:
    _live(tab)
    tab.keyboard.press("6")
    tab.wait_for_timeout(10_000)  # and what the preset costs was measured
    tab.click("#tool-compare")
    tab.wait_for_timeout(700)


def matte(tab: Any) -> None:
    _viewed(tab, "matte")


def overlay(tab: Any) -> None:
    _viewed(tab, "overlay")


def side_by_side(tab: Any) -> None:
    _viewed(tab, "side-by-side")


def measured(tab: Any) -> None:
    _live(tab)
    tab.keyboard.press("3")
    tab.wait_for_timeout(20_000)
    tab.click("#measurements-open")
    tab.wait_for_timeout(1200)


def recording(tab: Any) -> None:
    _live(tab)
    tab.click("#tool-record")
    tab.wait_for_timeout(3200)


def controls(tab: Any) -> None:
    _live(tab)
    tab.click("#drawer-open")
    tab.fill("#control-expand", "-3")
    tab.wait_for_timeout(900)


def loading(tab: Any) -> None:
    _live(tab)
    tab.route("**/api/sessions/*", _as_if_loading)
    tab.check("input[value=best]")
    tab.wait_for_selector("#notice")


def capacity(tab: Any) -> None:
    _live(tab)
    tab.route("**/api/sessions/*", _as_if_overloaded)
    tab.wait_for_selector("#notice:has-text('too busy')")


def reconnecting(tab: Any) -> None:
    _live(tab)
    tab.keyboard.press("5")
    tab.wait_for_timeout(1500)
    tab.route("**/api/ice-servers", lambda route: None)
    tab.evaluate("mattebox.live.lost('reconnecting')")
    tab.wait_for_selector("#status[data-state=reconnecting]")
    tab.wait_for_timeout(900)


def draining(tab: Any) -> None:
    _live(tab)
    tab.route("**/api/ice-servers", lambda route: None)
    tab.evaluate("mattebox.live.lost('draining')")
    tab.wait_for_selector("#status[data-state=draining]")
    tab.wait_for_timeout(900)


def share(tab: Any) -> None:
    _live(tab)
    tab.click("#share-open")
    tab.click("#share-go")
    tab.wait_for_selector("#share-state:has-text('On air')", timeout=20_000)
    tab.wait_for_selector("#status[data-state=live]", timeout=20_000)


STATES: tuple[Callable[[Any], None], ...] = (
    idle, asking, refused, no_camera, busy_camera, insecure, signed_out, unreachable, connecting, full, live, compared,
    matte, overlay, side_by_side, measured, recording, controls, loading, capacity, reconnecting, draining, share,
)  # fmt: skip


def _without_camera(tab: Any, script: str, state: str) -> None:
    tab.evaluate(f"() => {{ {script} }}")
    _open(tab, state)


def _open(tab: Any, state: str) -> None:
    tab.click("#open")
    tab.wait_for_selector(f"#status[data-state={state}]", timeout=20_000)


def _live(tab: Any) -> None:
    _open(tab, "live")
    tab.wait_for_timeout(500)


def _viewed(tab: Any, view: str) -> None:
    _live(tab)
    tab.check(f"input[name=view][value={view}]")
    tab.wait_for_timeout(1200)


def _as_if_loading(route: Any) -> None:
    _with_meters(route, engine="selfie")


def _as_if_overloaded(route: Any) -> None:
    _with_meters(route, fps_in=30.0, matte_fps=12.0)


def _with_meters(route: Any, **other: Any) -> None:
    answer = route.fetch()
    record = answer.json()
    if record.get("meters"):
        record["meters"] |= other
    route.fulfill(response=answer, json=record)


def _calm(path: Path) -> Path:
    """The clip's first two seconds to and fro as a camera: nobody rides by behind the subject."""
    with av.open(str(TALK)) as file:
        images = [frame.to_ndarray(format="bgr24") for frame in islice(file.decode(video=0), 60)]
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes() for image in images]
    path.write_bytes(b"".join(jpegs + jpegs[::-1]))
    return path


@contextmanager
def _browser(folder: Path) -> Iterator[Any]:
    camera = _calm(folder / "camera.mjpeg")
    with sync_playwright() as run:
        flags = [flag for flag in FLAGS if flag != ALLOWED] + [f"--use-file-for-fake-video-capture={camera}"]
        browser = run.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


def take(
    browser: Any, url: str, state: Callable[[Any], None], folder: Path, schemes: tuple[str, ...] = SCHEMES
) -> None:
    """Pictures of one state in every size and scheme."""
    for width, height in SIZES:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, color_scheme=schemes[-1], permissions=["camera"])
        tab = context.new_page()
        tab.goto(url)
        tab.wait_for_selector(".tile-choice img")
        state(tab)
        for scheme in schemes:
            tab.emulate_media(color_scheme=scheme)
            tab.wait_for_timeout(150)
            tab.screenshot(path=folder / f"{state.__name__}-{width}-{scheme}.png")
        tab.unroute_all(behavior="ignoreErrors")
        context.close()


def readme(picture: Path) -> None:
    """What README opens with; small enough to load at once."""
    with Image.open(picture) as image:
        image.convert("RGB").save(README, quality=88, method=6)
    assert README.stat().st_size < _MAX_BYTES


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    limits = {"live_sessions": "8", "max_offers": "1000", "udp_address": "127.0.0.1"}
    with (
        tempfile.TemporaryDirectory() as place,
        serving(Path(place), "-v", **limits) as served,
        _browser(Path(place)) as browser,
    ):
        for state in STATES:
            if not names or state.__name__ in names:
                take(browser, served.url, state, folder)
                print(state.__name__, flush=True)
    if not names or "compared" in names:
        readme(folder / "compared-1280-dark.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
