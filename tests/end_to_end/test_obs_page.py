"""The page for OBS in a real Chromium: true transparency, nothing of the room, and connections that come back."""

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.conftest import PICTURES

pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM
from tests.end_to_end.obs_scene import (
    Image8,
    Scene,
    Stream,
    live_screenshot,
    median_screenshot,
    obs_page,
    paint,
    save,
    screenshot,
    until_state,
)
from tests.servers import asynctest

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PAGES = [(30, 200, 90), (255, 255, 255), (200, 0, 220)]
SETTLED_S = 1.5  # the encoder refines a still picture


def errors(shown: Image8, truth: Image8, where: Any, what: str) -> tuple[float, float]:
    """99th percentile and maximum of the differences, in levels."""
    levels = np.abs(shown.astype(int) - truth).reshape(*where.shape, -1).max(-1)[where]
    p99 = float(np.percentile(levels, 99))
    print(f"{what}: mean {levels.mean():.2f}, p99 {p99:.0f}, max {levels.max()}")
    return p99, float(levels.max())


async def nothing_is_shown(tab: Any) -> None:
    """Within 3 s, every pixel is the page's own."""
    for _ in range(30):
        shot = await screenshot(tab)
        if not shot.any():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"alpha up to {shot[..., 3].max()}")


@pytest.mark.parametrize(
    ("size", "flags"),
    [
        ((640, 360), []),
        pytest.param((640, 360), ["--disable-3d-apis"], marks=pytest.mark.slow),  # without WebGL
        pytest.param((1280, 720), [], marks=pytest.mark.slow),
    ],
)
@asynctest
async def test_the_page_shines_through_and_edges_are_the_exact_blend(size: tuple[int, int], flags: list[str]) -> None:
    scene = Scene(*size)
    async with Stream(scene).running() as stream, obs_page(stream, flags=flags) as tab:
        has_webgl = "Boolean(document.createElement('canvas').getContext('webgl'))"
        assert await tab.evaluate(has_webgl) is not bool(flags)
        await until_state(tab, "live")
        await asyncio.sleep(SETTLED_S)
        clear, mixed, solid = scene.alpha == 0, (scene.alpha > 0) & (scene.alpha < 255), scene.alpha == 255
        shown = await median_screenshot(tab)
        assert shown.shape[:2] == scene.alpha.shape
        assert errors(shown[..., 3], scene.alpha, clear, "alpha where 0")[0] <= 2
        assert errors(shown[..., 3], scene.alpha, mixed, "alpha between")[0] <= 6
        assert errors(shown[..., 3], scene.alpha, solid, "alpha where 255")[0] <= 2
        for page in PAGES:
            await paint(tab, page)
            shown = (await median_screenshot(tab))[..., :3]
            truth = scene.over(page)
            p99, worst = errors(shown, truth, clear, f"{page} where alpha is 0")
            assert p99 <= 4
            assert worst <= 24, "the room has at least 120 levels, and noise"
            assert errors(shown, truth, mixed, f"{page} at edges")[0] <= 8
            assert errors(shown, truth, solid, f"{page} inside the subject")[0] <= 10
            save(shown, PICTURES / f"obs-{size[1]}-{page[0]}.png")
        level = int(stream.answer.partition("profile-level-id=")[2][4:6], 16)
        assert level == (40 if size[1] == 720 else 31), "a level that allows the stack"
        assert await tab.evaluate("document.body.innerText.trim()") == ""


@pytest.mark.slow
@pytest.mark.alone
@asynctest
async def test_the_blend_is_exact_while_everything_moves() -> None:
    """Each screenshot is compared with the frame that it shows."""
    scene, steps, page = Scene(640, 360), 40, PAGES[0]
    async with Stream(scene, steps).running() as stream, obs_page(stream) as tab:
        await until_state(tab, "live")
        await paint(tab, page)
        await asyncio.sleep(SETTLED_S)
        scenes = [scene.moved(n) for n in range(steps)]
        truths = [each.over(page) for each in scenes]
        numbers, found = [], []
        for _ in range(7):
            shown = (await live_screenshot(tab))[..., :3]
            n = int(np.argmin([np.abs(shown[::4, ::4].astype(int) - truth[::4, ::4]).mean() for truth in truths]))
            numbers.append(n)
            alpha = scenes[n].alpha
            clear, mixed = alpha == 0, (alpha > 0) & (alpha < 255)
            found.append([errors(shown, truths[n], where, f"frame {n}")[0] for where in (clear, mixed)])
        assert len(set(numbers)) > 1, "it moves"
        clear_p99, mixed_p99 = np.median(found, axis=0)
        assert clear_p99 <= 4
        assert mixed_p99 <= 8


@pytest.mark.long
@asynctest
async def test_it_is_empty_while_the_engine_fails_and_comes_back() -> None:
    async with Stream(Scene(320, 192)).running() as stream:
        stream.engine.broken = True
        async with obs_page(stream) as tab:
            await until_state(tab, "live")
            await nothing_is_shown(tab)
            stream.engine.broken = False
            await until_shown(tab)
            await tab.set_viewport_size({"width": 320, "height": 320})
            alpha = (await live_screenshot(tab))[..., 3]
            assert not alpha[:62].any(), "a source of another shape: the picture keeps its own, in the middle"
            assert not alpha[258:].any()
            assert alpha[252:255, 10:90].min() > 240
            stream.engine.broken = True
            await nothing_is_shown(tab)


@pytest.mark.slow
@asynctest
async def test_it_survives_the_loss_of_its_webgl_context() -> None:
    """As when a graphics driver is restarted. If the context does not come back, the page is loaded again."""
    async with Stream(Scene(320, 192)).running() as stream, obs_page(stream) as tab:
        await until_state(tab, "live")
        await until_shown(tab)
        await tab.evaluate("""() => {
          window.lost = document.getElementById('picture').getContext('webgl').getExtension('WEBGL_lose_context');
          lost.loseContext();
        }""")
        await nothing_is_shown(tab)
        await tab.evaluate("lost.restoreContext()")
        await until_shown(tab)
        await tab.clock.install()
        await tab.evaluate("lost.loseContext()")
        await nothing_is_shown(tab)
        await tab.clock.fast_forward(11_000)
        await until_shown(tab)
        assert await tab.evaluate("typeof lost") == "undefined", "it was loaded again"


async def until_shown(tab: Any) -> None:
    for _ in range(100):
        if (await screenshot(tab))[..., 3].max() > 250:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nothing is shown")


@pytest.mark.slow
@asynctest
async def test_it_reconnects_by_itself_and_is_empty_meanwhile() -> None:
    """The stream stalls; the server ends it; nobody publishes; the link is refused; each time it comes back."""
    async with Stream(Scene(320, 192)).running() as stream, obs_page(stream) as tab:
        await tab.evaluate("window.noReload = true")
        await until_state(tab, "live")
        await until_shown(tab)
        stream.sending.clear()
        await until_state(tab, "reconnecting")
        await nothing_is_shown(tab)
        stream.sending.set()
        await until_state(tab, "live")
        stream.live = False
        await stream.drop()
        await until_state(tab, "notLive")
        await nothing_is_shown(tab)
        offers = len(stream.offers)
        while len(stream.offers) < offers + 2:  # it keeps asking
            await asyncio.sleep(0.1)
        stream.live = True
        await until_state(tab, "live")
        await until_shown(tab)
        assert await tab.evaluate("window.noReload"), "the page was never loaded again"
        assert all(url.endswith("/whep/cam?alpha=stacked") for url in stream.offers)


@pytest.mark.long
@asynctest
async def test_a_refused_link_shows_nothing_and_is_tried_again() -> None:
    async with Stream(Scene(320, 192)).running() as stream:
        stream.live, stream.refusal = False, 401
        async with obs_page(stream) as tab:
            await tab.clock.install()
            await until_state(tab, "denied")
            await nothing_is_shown(tab)
            stream.live = True
            await tab.clock.fast_forward(31_000)
            await until_state(tab, "live")


@pytest.mark.long
@asynctest
async def test_sound_is_on_unless_muted() -> None:
    stream = Stream(Scene(320, 192))
    stream.live = False
    muted = {"cam#token=t": False, "cam?muted=1#token=t": True, "cam#token=t&muted=1": True, "cam?muted=0": False}
    async with obs_page(stream) as tab:
        for address, expected in muted.items():
            await tab.goto("about:blank")
            await tab.goto(f"http://127.0.0.1/obs/{address}")
            await until_state(tab, "notLive")
            assert await tab.evaluate("[...document.querySelectorAll('video')].map(v => v.muted)") == [expected] * 2
