"""A scene with known colours and a known alpha, and the page for OBS in a real Chromium that views it.

The subject has soft and sharp edges and a half-transparent part; the room behind it is bright and noisy. Frames pass
through `LiveMatte`, the encoder and a real connection; only HTTP and Redis are replaced, by the browser's routes.
"""

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.async_api import async_playwright

from stream.errors import EngineError, SdpError
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, VideoInfo, split_i420
from stream.records.options import Options
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from tests.end_to_end.browser import CHROMIUM, FLAGS
from tests.media import ROOT
from tests.rtc import SETTINGS
from web.http.guard import CSP
from workers.engines.base import Engine, EngineState, Result
from workers.live.matte import LiveMatte

Image8 = npt.NDArray[np.uint8]
_STATIC = ROOT / "web/static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_RATE = 20
STEP_PX = 4


class Scene:
    """colours: RGB (H, W, 3) of the subject everywhere. alpha: uint8 (H, W). frame: what the camera sees, I420.

    In motion everything moves to the right by `STEP_PX` pixels from frame to frame, and comes in again on the left.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        y, x = np.mgrid[:height, :width].astype(np.float32) * (360 / height)
        waves = [130 + 85 * np.sin(x / 60), 110 + 70 * np.cos(y / 50), 110 + 80 * np.sin((x + y) / 80)]
        self.colours = np.stack(waves, axis=-1).round().astype(np.uint8)
        away = np.hypot(x - 320, (y - 180) * 1.1)
        soft = np.clip((130 - away) / 40 + 0.5, 0, 1)  # 40 pixels wide
        sharp = np.clip(50 - np.hypot(x - 560, y - 90) + 0.5, 0, 1)  # one pixel wide
        half = np.where((x > 20) & (x < 100) & (y > 200) & (y < 300), 128 / 255, 0)
        floor = np.where((y > 340) & (x < 200), 1, 0)  # down to the lower edge, beside alpha in the stack
        self.alpha = (255 * np.max([soft, sharp, half, floor], axis=0)).round().astype(np.uint8)
        room = np.random.default_rng(1).integers(120, 256, (height, width, 3))
        share = self.alpha[..., None] / 255
        self.foreground = rgb_to_i420(self.colours)
        self.frame = rgb_to_i420((self.colours * share + room * (1 - share)).round().astype(np.uint8))

    def moved(self, n: int) -> "Scene":
        """The scene at frame `n`."""
        if not n:
            return self
        moved = copy(self)
        moved.colours, moved.alpha = (np.roll(each, n * STEP_PX, axis=1) for each in (self.colours, self.alpha))
        moved.frame, moved.foreground = _moved(self.frame, n), _moved(self.foreground, n)
        return moved

    def over(self, page: tuple[int, int, int]) -> Image8:
        """The exact blend with a page of one colour."""
        share = self.alpha[..., None] / 255
        return np.asarray(np.rint(self.colours * share + np.array(page) * (1 - share)), np.uint8)


def _moved(pixels: Image8, n: int) -> Image8:
    out = pixels.copy()
    for plane, step in zip(split_i420(out), (STEP_PX, STEP_PX // 2, STEP_PX // 2), strict=True):
        plane[...] = np.roll(plane, n * step, axis=1)
    return out


class SceneEngine(Engine):
    """Knows the scene that the camera sees now. Raises while `broken`."""

    name, device = "scene", "test"

    def __init__(self, scene: Scene) -> None:
        self.scene, self.broken = scene, False

    def prepare(self, frame: Frame) -> None:
        return None

    def infer(self, prepared: Sequence[None], states: Sequence[EngineState]) -> list[Result]:
        if self.broken:
            raise EngineError("broken for a test")
        alpha = (self.scene.alpha / 255).astype(np.float32)
        return [Result(alpha, foreground=self.scene.foreground) for _ in prepared]


class Stream:
    """A live stream of the scene, published on green, that the page views. Ends and starts again by `live`.

    steps: number of frames after which its motion repeats; 1: a still.
    """

    def __init__(self, scene: Scene, steps: int = 1) -> None:
        self.scene, self.engine, self._steps = scene, SceneEngine(scene), steps
        self.output = LiveOutput(SETTINGS)
        self.live = True
        self.sending = threading.Event()
        self.sending.set()
        self.offers: list[str] = []
        self.refusal = 404
        self._peers: list[Peer] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        matte = LiveMatte(Options.read(temporal="off"), self.engine, SETTINGS, lambda: self.output.wants_stack)
        matte.open(VideoInfo(self.scene.width, self.scene.height, Fraction(1, 90_000), Fraction(_RATE)))
        n = 0
        while not self._stopped.wait(1 / _RATE):
            if self.sending.is_set():
                self.engine.scene = self.scene.moved(n % self._steps)
                frame = Frame(
                    self.engine.scene.frame, n * 90_000 // _RATE, Fraction(1, 90_000), arrived_s=time.monotonic()
                )
                for done in matte(frame):
                    self.output.write(done)
            n += 1
        matte.close()

    async def route(self, route: Any) -> None:
        """The server, as the page sees it."""
        request, path = route.request, urlsplit(route.request.url).path
        if path.startswith(("/static/", "/obs/")):
            file = _STATIC / ("obs/obs.html" if path.startswith("/obs/") else path.removeprefix("/static/"))
            headers = {"Content-Security-Policy": CSP}
            await route.fulfill(body=file.read_bytes(), content_type=_TYPES[file.suffix], headers=headers)
        elif path == "/api/ice-servers":
            await route.fulfill(body=json.dumps({"iceServers": []}), content_type="application/json")
        elif request.method == "POST":
            await self._answer(route)
        else:
            await route.fulfill(status=200)

    async def _answer(self, route: Any) -> None:
        self.offers.append(route.request.url)
        if not self.live:
            await route.fulfill(status=self.refusal, body="{}", headers={"Retry-After": "1"})
            return
        peer = Peer(SETTINGS)
        self._peers.append(peer)
        try:
            text = await peer.answer(route.request.post_data, self.output, incoming=False, stacked=True)
        except SdpError as exc:
            await route.fulfill(status=422, body=str(exc))
            return
        self.answer = text
        await route.fulfill(status=201, body=text, headers={"Location": f"/whep/cam/{len(self._peers)}"})

    async def drop(self) -> None:
        """The server ends all connections."""
        peers, self._peers = self._peers, []
        await asyncio.gather(*(peer.close("deleted") for peer in peers))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stream"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            await self.drop()


@asynccontextmanager
async def obs_page(
    stream: Stream, address: str = "http://127.0.0.1/obs/cam#token=t", flags: Sequence[str] = ()
) -> AsyncIterator[Any]:
    """A tab of the stream's size that shows the page. An error in its scripts fails the test."""
    async with async_playwright() as run:
        browser = await run.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        try:
            tab = await browser.new_page(viewport={"width": stream.scene.width, "height": stream.scene.height})
            faults: list[str] = []
            tab.on("pageerror", lambda error: faults.append(str(error)))
            await tab.route("**/*", stream.route)
            await tab.goto(address)
            yield tab
            assert not faults
        finally:
            await browser.close()


async def until_state(tab: Any, state: str, limit_s: float = 20.0) -> None:
    await tab.wait_for_selector(f"body[data-state={state}]", state="attached", timeout=1000 * limit_s)


async def paint(tab: Any, colour: tuple[int, int, int]) -> None:
    """Give the page a colour, as what lies under a Browser source."""
    await tab.evaluate(f"document.body.style.background = 'rgb{colour}'")


async def screenshot(tab: Any) -> Image8:
    """RGBA (H, W, 4)."""
    png = await tab.screenshot(omit_background=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), np.uint8)


async def live_screenshot(tab: Any) -> Image8:
    """One taken while the page was live: on a busy machine, the video may stall, and the page is empty then."""
    for _ in range(20):
        await until_state(tab, "live")
        shot = await screenshot(tab)
        if await tab.evaluate("document.body.dataset.state") == "live" and shot[..., 3].any():
            return shot
    raise AssertionError("the page is empty")


async def median_screenshot(tab: Any) -> Image8:
    shots = []
    for _ in range(5):
        shots.append(await live_screenshot(tab))
        await asyncio.sleep(0.1)
    return np.asarray(np.median(shots, axis=0), np.uint8)


def save(picture: Image8, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)
