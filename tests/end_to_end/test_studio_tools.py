"""The studio's tools with the real server: what they show, save and copy."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.camera_scene import CORNER, DISC, MIDDLE, SCREEN, Box, inside
from tests.end_to_end.serving import Served
from tests.web.static.pages import SHARE_TABS, until

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page
from tests.end_to_end.page_video import Pictures, becomes, look

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
SLATE = (31, 41, 55)


@pytest.fixture(scope="module")
def studio(scene_server: Served, scene: Path) -> Iterator[Any]:
    with page(scene) as tab:
        tab.context.grant_permissions(["clipboard-read", "clipboard-write", "camera"])
        go_live(tab, scene_server.url, "input[value='color:#1f2937']", "input[value=best]")
        becomes(lambda: off(look(tab, CORNER), SLATE), lambda levels: levels < 20)
        becomes(lambda: off(look(tab, MIDDLE), DISC), lambda levels: levels < 25)
        tab.click("#tile-hide")
        yield tab


def off(pictures: Pictures, colour: tuple[int, int, int]) -> float:
    """Levels between the pictures' mean and a colour, in the worst channel."""
    return float(np.abs(pictures.reshape(-1, 3).mean(0) - colour).max())


def transparent(tab: Any) -> float:
    """The share of a page's pixels that are transparent; 0 if none is opaque."""
    image = Image.open(io.BytesIO(tab.screenshot(omit_background=True))).convert("RGBA")
    alpha = np.asarray(image, np.uint8)[..., 3]
    return float((alpha == 0).mean()) if alpha.max() == 255 else 0.0


def part(image: Pictures, box: Box) -> Pictures:
    return image[inside(box, *image.shape[:2])]


def mirrored(box: Box) -> Box:
    left, top, right, bottom = box
    return 1 - right, top, 1 - left, bottom


def screen(tab: Any) -> Pictures:
    """A screenshot of the theatre."""
    data = tab.locator("#theatre").screenshot()
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"), np.int64)


def test_mirror(studio: Any) -> None:
    assert off(part(screen(studio), MIDDLE), DISC) < 25
    studio.keyboard.press("m")
    becomes(lambda: off(part(screen(studio), mirrored(MIDDLE)), DISC), lambda levels: levels < 25)
    assert off(part(screen(studio), MIDDLE), SLATE) < 25
    assert off(look(studio, MIDDLE), DISC) < 25, "the received video is not mirrored"
    studio.keyboard.press("m")


def test_before_and_after(studio: Any) -> None:
    studio.keyboard.press("c")
    until(studio, "document.querySelector('#compare video').videoWidth > 0")
    left, right = (0.02, 0.85, 0.06, 0.9), (0.94, 0.85, 0.98, 0.9)
    becomes(lambda: off(part(screen(studio), left), SCREEN), lambda levels: levels < 40)
    assert off(part(screen(studio), right), SLATE) < 20
    studio.locator("#compare-handle").press("Home")
    becomes(lambda: off(part(screen(studio), left), SLATE), lambda levels: levels < 20)
    studio.keyboard.press("c")


def test_full_screen(studio: Any) -> None:
    studio.keyboard.press("f")
    until(studio, "document.querySelector('.stage .shown').clientHeight === innerHeight")
    assert off(part(screen(studio), (0.49, 0.9, 0.51, 0.95)), SLATE) < 20
    studio.keyboard.press("f")
    until(studio, "!document.fullscreenElement")


def test_picture_in_picture(studio: Any) -> None:
    studio.evaluate(
        "document.querySelectorAll('#stage video').forEach(video => video.addEventListener('enterpictureinpicture',"
        " event => { window.floating = event.pictureInPictureWindow }))"
    )
    studio.keyboard.press("p")
    until(studio, "window.floating?.width > 0 && document.pictureInPictureElement.classList.contains('shown')")
    studio.keyboard.press("p")
    until(studio, "!document.pictureInPictureElement")


def test_snapshot(studio: Any, tmp_path: Path) -> None:
    with studio.expect_download() as waiting:
        studio.keyboard.press("s")
    waiting.value.save_as(tmp_path / "snapshot.png")
    with Image.open(tmp_path / "snapshot.png") as image:
        saved = np.array(image.convert("RGB"), np.int64)
    assert saved.shape == (240, 320, 3)
    assert off(part(saved, CORNER), SLATE) < 20


def test_record(studio: Any, tmp_path: Path) -> None:
    studio.keyboard.press("r")
    studio.wait_for_selector("#recording:has-text('0:02')")
    with studio.expect_download() as waiting:
        studio.keyboard.press("r")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24").astype(np.int64) for frame in file.decode(video=0)]
    print(f"{path.name}: {len(frames)} pictures")
    assert len(frames) > 10
    assert off(part(frames[-1], CORNER), SLATE) < 20


def test_the_stacked_view(studio: Any) -> None:
    """This view is meant for other programs, and only the drawer offers it."""
    studio.click("#drawer-open")
    studio.select_option("#control-view", "stacked")
    until(studio, "document.querySelector('.stage .shown')?.videoHeight === 480")
    (left, top, right, bottom) = MIDDLE
    becomes(lambda: float(look(studio, (left, top / 2, right, bottom / 2)).mean()), lambda level: level > 150)
    below = (0.94, 0.9, 0.99, 0.95)
    becomes(lambda: float(look(studio, below).max()), lambda level: level < 20)
    studio.select_option("#control-view", "composite")
    until(studio, "document.querySelector('.stage .shown')?.videoHeight === 240")
    studio.click("#drawer-close")


def copied(tab: Any, name: str) -> str:
    """The clipboard after a click on the Copy of a field in the share dialog; the field is masked before and after."""
    tab.click(f"#share-tab-{SHARE_TABS[name]}")
    tab.evaluate("navigator.clipboard.writeText('')")
    tab.click(f".address:has(#share-{name}) .copy")
    until(tab, "navigator.clipboard.readText()")
    tab.wait_for_selector("#share-copied:has-text('Copied.')")
    text = str(tab.evaluate("navigator.clipboard.readText()"))
    assert text
    assert (tab.input_value(f"#share-{name}") == text) is (name == "whip"), "only the WHIP address is no secret"
    return text


def test_links_are_copied_and_show_the_picture(studio: Any) -> None:
    studio.click("#share-open")
    found = {name: copied(studio, name) for name in ("view", "obs", "clean", "whip", "token")}
    studio.fill("#share-name", "stage")
    studio.select_option("#share-lasts", "3600")
    until(studio, "document.getElementById('share-whip').value.includes('/whip/stage')")
    assert copied(studio, "token") != found["token"]
    studio.click("#share-go")
    studio.wait_for_selector("#share-state:has-text('On air as “stage”.')", timeout=20_000)
    viewer = studio.context.new_page()
    viewer.goto(copied(studio, "clean"))
    viewer.wait_for_selector(".stage .shown", timeout=20_000)
    becomes(lambda: off(look(viewer, CORNER), SLATE), lambda levels: levels < 20)
    viewer.goto("about:blank")
    viewer.goto(copied(studio, "obs"))
    viewer.wait_for_selector("body[data-state=live]", timeout=20_000)
    becomes(lambda: transparent(viewer), lambda share: 0.3 < share < 0.95)
    viewer.goto("about:blank")
    viewer.goto(found["view"].replace("/view/studio", "/view/stage"))
    viewer.click("#sound")
    assert viewer.evaluate("[...document.querySelectorAll('.stage video')].some(video => video.muted)") is False
    viewer.goto("about:blank")
    viewer.goto(studio.input_value("#share-view"))
    viewer.wait_for_selector("#status[data-state=live]", timeout=20_000)
    studio.click("#share-go")
    studio.wait_for_selector("#share-state:has-text('Nobody can see you.')")
    viewer.wait_for_selector("#card:has-text('The stream has ended')", timeout=20_000)
    viewer.close()
    studio.click("#share-close")


def test_stop(studio: Any) -> None:
    studio.wait_for_selector("#status[data-state=live]", timeout=20_000)
    studio.click("#stop")
    studio.wait_for_selector("#status[data-state=idle]")
    assert studio.evaluate("document.querySelector('.stage .shown')") is None
    assert studio.evaluate("document.querySelector('#tile video').srcObject") is None
