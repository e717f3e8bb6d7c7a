"""The studio's tools and panes, used as a user would: their effect on the video, and what is remembered."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from stream.records.options import Edges, Options
from stream.settings import Settings
from tests import waiting
from tests.web.running_site import Site, running
from tests.web.static.pages import PAPER, SHARE_TABS, SLATE, Worker, corner_is, opened, png, ready, state, until

pytestmark = pytest.mark.slow
CAMERA_RED = (200, 60, 60)
DROP = """async bytes => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], 'mine.png', { type: 'image/png' }));
  const event = (name) => new DragEvent(name, { dataTransfer: files, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event('dragover'));
  window.veiled = !document.getElementById('drop').hidden;
  document.body.dispatchEvent(event('drop'));
}"""
PASTE = """async bytes => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([new Uint8Array(bytes)], 'mine.png', { type: 'image/png' }));
  document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def colouring(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose worker sends video. All tests here share it, each with its own page."""
    url = f"{valkey}?db=2"
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), max_offers=10**6)
    with running(settings, url, worker=False) as site:
        worker = Worker(url, "one")
        yield site
        worker.kill()


@pytest.fixture
def live(page: Any, colouring: Site) -> Any:
    opened(page, colouring)
    return page


def near(a: Any, b: Any, limit: int = 16) -> bool:
    return bool(np.abs(np.subtract(a, b, dtype=float)).max() <= limit)


def screen(page: Any) -> Any:
    """A screenshot of the theatre as an RGB array."""
    return np.array(Image.open(io.BytesIO(page.locator("#theatre").screenshot())).convert("RGB"))


def options(site: Site, until: Callable[[dict[str, Any]], bool], kind: str = "") -> dict[str, Any]:
    """The options of the newest session, of one kind if given, once `until` holds for them."""
    end_s = time.monotonic() + 5
    with site.client() as http:
        while True:
            sessions = http.get("/api/sessions").json()["sessions"]
            found: dict[str, Any] = next(s["options"] for s in sessions if kind in ("", s["kind"]))
            if until(found):
                return found
            assert time.monotonic() < end_s, found
            time.sleep(0.03)


def revealed(page: Any, name: str) -> str:
    """A field of the share dialog, shown if it is masked."""
    page.click(f"#share-tab-{SHARE_TABS[name]}")
    row = page.locator(f".address:has(#share-{name})")
    row.locator(".copy:enabled").wait_for()
    if row.locator(".reveal").count():
        row.locator(".reveal").click()
    return str(page.input_value(f"#share-{name}"))


def test_before_and_after_with_mouse_and_keyboard(live: Any) -> None:
    live.click("#tile-hide")
    live.click("#tool-compare")
    until(live, "document.querySelector('#compare video').videoWidth > 0")
    height, width = screen(live).shape[:2]
    row = height // 10

    def halves() -> tuple[bool, bool]:
        seen = screen(live)
        return near(seen[row, width // 5], CAMERA_RED, 40), near(seen[row, width * 4 // 5], SLATE)

    assert halves() == (True, True), "the camera on the left, the result on the right"
    handle = live.locator("#compare-handle")
    box = live.locator("#theatre").bounding_box()
    handle.hover()
    live.mouse.down()
    live.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 50)
    live.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "10"
    assert near(screen(live)[row, width // 5], SLATE)
    handle.press("End")
    assert near(screen(live)[row, width * 4 // 5], CAMERA_RED, 40)
    handle.press("Home")
    handle.press("ArrowRight")
    assert handle.get_attribute("aria-valuetext") == "2 percent camera"
    live.click("#tool-compare")
    assert live.evaluate("document.querySelector('#compare video').srcObject") is None


def test_mirroring_changes_the_display_only(live: Any) -> None:
    live.click("#tile-hide")

    def right_of_middle() -> float:
        """The ball's position, 0-1; in the camera's picture it is always in the right half."""
        seen = screen(live).astype(int)
        yellow = (seen[..., 0] > 200) & (seen[..., 1] > 180) & (seen[..., 2] < 190)
        return float(np.nonzero(yellow)[1].mean() / seen.shape[1])

    plain = right_of_middle()
    live.keyboard.press("m")
    mirrored = right_of_middle()
    print(f"ball at {plain:.2f}, mirrored at {mirrored:.2f}")
    assert live.get_attribute("#tool-mirror", "aria-pressed") == "true"
    assert live.evaluate("getComputedStyle(document.querySelector('.stage .shown')).scale") == "-1 1"
    live.reload()
    assert live.get_attribute("#tool-mirror", "aria-pressed") == "true", "remembered"


def test_a_snapshot_is_the_received_frame(live: Any, tmp_path: Path) -> None:
    with live.expect_download() as waiting:
        live.click("#tool-snapshot")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (320, 240))
        assert near(image.convert("RGB").getpixel((3, 3)), SLATE)


def test_a_recording_is_the_received_video(live: Any, tmp_path: Path) -> None:
    live.click("#tool-record")
    live.wait_for_selector("#recording:has-text('0:02')")
    with live.expect_download() as waiting:
        live.click("#tool-record")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    print(f"{path.name}: {len(frames)} frames")
    assert len(frames) > 20
    assert all(near(frame[3, 3], SLATE) for frame in frames[5:])
    assert live.is_hidden("#recording")


def test_full_screen_and_picture_in_picture(live: Any) -> None:
    live.keyboard.press("f")
    until(live, "document.fullscreenElement?.id === 'theatre'")
    live.evaluate("document.exitFullscreen()")
    live.wait_for_selector("#tool-full[aria-pressed=false]")
    live.click("#tool-pip")
    until(live, "document.pictureInPictureElement?.classList.contains('shown')")
    live.click("#tool-pip")
    until(live, "!document.pictureInPictureElement")


def test_number_keys_choose_and_the_choice_is_remembered(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.wait_for_selector(".tile-choice img")
    page.keyboard.press("7")
    assert page.is_checked("input[value='gallery:dusk']")
    page.reload()
    page.wait_for_selector(".tile-choice img")
    assert page.is_checked("input[value='gallery:dusk']")
    page.check("input[value=none]")
    page.reload()
    page.wait_for_selector(".tile-choice img")
    assert page.is_checked("[data-kind=blur] input"), "a background that shows the room is not remembered"
    page.fill("#blur", "0.25")
    until(page, "JSON.parse(localStorage['mattebox.options']).background === 'blur:0.25'")


def test_own_pictures_by_drop_paste_and_file_dialog(live: Any, colouring: Site, tmp_path: Path) -> None:
    live.evaluate(DROP, list(png("#ff0000")))
    options(colouring, lambda o: o["background"].startswith("upload:"))
    assert live.evaluate("veiled") is True
    live.evaluate(PASTE, list(png("#00ff00")))
    live.wait_for_selector(".tile-choice:has(.remove) >> nth=1")
    path = tmp_path / "mine.png"
    path.write_bytes(png("#0000ff"))
    live.set_input_files("#upload", str(path))
    live.wait_for_selector(".tile-choice:has(.remove) >> nth=2")
    last = live.locator(".tile-choice:has(.remove)").nth(2)
    assert last.locator("input").is_checked()
    assert last.locator("kbd").inner_text() == "⇧3"
    last.locator(".remove").click()
    until(live, "document.querySelectorAll('.remove').length === 2")
    options(colouring, lambda o: o["background"].startswith("blur:"))
    (tmp_path / "odd.txt").write_text("no picture")
    live.set_input_files("#upload", str(tmp_path / "odd.txt"))
    live.wait_for_selector("#note.bad:has-text('neither a picture nor a video')")


def test_the_colour_picker(live: Any) -> None:
    live.fill("#colour", "#f4f1ea")
    corner_is(live, PAPER)
    assert live.is_checked("input[value='color:#f4f1ea']")


def test_presets_and_their_costs(live: Any, colouring: Site) -> None:
    assert live.is_checked("input[value=balanced]")
    live.check("input[value=fast]")
    found = options(colouring, lambda o: o["engine"] == "selfie")
    assert (found["temporal"], found["edges"]["refine"], found["foreground"]) == ("live", "off", "keep")
    live.check("input[value=balanced]")
    options(colouring, lambda o: o["engine"] == "auto" and o["temporal"] == "auto")
    until(
        live,
        "/^double on cpu: 30 of 30 fps, \\d+ ms$/.test(document.querySelectorAll('#costs dd')[1].textContent)",
        timeout_s=15,
    )
    live.click("#drawer-open")
    live.select_option("#control-temporal", "off")
    live.click("#drawer-close")
    assert "You are using custom settings" in live.inner_text("#custom")


def test_the_drawer_has_every_option_with_its_default(live: Any, colouring: Site) -> None:
    live.click("#drawer-open")
    expected = (set(Options.model_fields) | set(Edges.model_fields)) - {"background", "edges", "subjects"}
    shown = live.evaluate("[...document.querySelectorAll('.control [id^=control-]:not(p)')].map(e => e.id.slice(8))")
    assert set(shown) == expected
    assert live.is_disabled("#reset-all")
    why = live.inner_text("#control-expand-why")
    assert why == f"{Edges.model_fields['expand'].description} Default: 0 px."
    assert "Automatic (default)" in live.inner_text("#control-engine")
    live.fill("#control-expand", "4.5")
    live.fill("#control-feather", "6")
    live.select_option("#control-engine", "birefnet")
    live.check("#control-roi")
    found = options(colouring, lambda o: o["roi"] and o["edges"]["feather"] == 6)
    assert found["edges"]["expand"] == 4.5
    live.click("[aria-label='Reset Feather to its default']")
    options(colouring, lambda o: o["edges"]["feather"] == 0 and o["edges"]["expand"] == 4.5)
    live.click("#reset-all")
    found = options(colouring, lambda o: o["edges"]["expand"] == 0)
    assert not found["roi"]
    assert found["background"] == "color:#1f2937", "resetting the controls keeps the background"
    live.keyboard.press("Escape")
    assert live.is_visible("#presets")


def test_the_line_of_meters_opens_charts(live: Any) -> None:
    live.wait_for_selector("#measurements-open:enabled")
    live.click("#measurements-open")
    live.wait_for_selector("#meters:has-text('30 fps in'):has-text('3 dropped (late)'):has-text('double on cpu')")
    live.wait_for_selector("#meters:has-text(' ms')")
    until(live, "document.querySelectorAll('.chart .line')[0].getAttribute('d').split('L').length > 2")
    assert "late: replaced by a newer frame: 3" in live.inner_text("#facts")
    assert live.get_attribute(".chart svg", "aria-label").startswith("Frames per second, in and out: 30, ")


def live_kinds(site: Site) -> list[str]:
    """The kinds of the sessions that are live. The worker ends a deleted session a moment after the reply."""
    with site.client() as http:
        return [s["kind"] for s in http.get("/api/sessions").json()["sessions"] if s["state"] == "live"]


def test_going_on_air(browser: Any, live: Any, colouring: Site) -> None:
    live.click("#share-open")
    page_link, transparent, obs, whip = (revealed(live, name) for name in ("view", "obs", "clean", "whip"))
    assert transparent == page_link.replace("/view/", "/obs/")
    assert obs == f"{page_link}&clean"
    assert whip == f"{colouring.url}/whip/studio"
    live.click("#share-go")
    live.wait_for_selector("#share-state:has-text('On air as “studio”.')")
    live.click("#share-close")
    state(live, "live")
    corner_is(live, SLATE)
    assert live.is_visible("#on-air")
    viewer = browser.new_context().new_page()
    viewer.goto(obs)
    until(viewer, "document.querySelector('.stage .shown') !== null")
    corner_is(viewer, SLATE)
    assert viewer.is_hidden("header")
    live.check("input[value='color:#f4f1ea']")
    corner_is(viewer, PAPER)
    live.check("input[value=none]")
    live.wait_for_selector("#note:has-text('viewers get the finished picture only')")
    with colouring.client() as http:
        sessions = http.get("/api/sessions").json()["sessions"]
    assert [s["options"]["background"] for s in sessions if s["kind"] == "publish"] == ["blur:1"]
    live.check("[data-kind=blur] input")
    live.fill("#blur", "0.05")
    options(colouring, lambda o: o["background"] == "blur:0.2", "publish")
    live.click("#share-open")
    live.click("#share-go")
    live.wait_for_selector("#share-state:has-text('Nobody can see you.')")
    viewer.close()
    waiting.until(lambda: "publish" not in live_kinds(colouring))


def test_the_menu_lists_options_and_workers(site: Site) -> None:
    ready(site, 1)
    with site.client() as http:
        menu = http.get("/api/options").json()
    assert menu["options"]["properties"]["engine"]["enum"][0] == "auto"
    assert menu["workers"] == [{"engine": "double", "device": "cpu", "load": 0.25}]
    undescribed = [name for name, field in menu["options"]["properties"].items() if "description" not in field]
    assert undescribed == ["edges"]
