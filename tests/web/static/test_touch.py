"""The studio on a phone: controls keep their places, are large enough for fingers, and ignore mistaken taps."""

from typing import Any

import pytest

from tests.web.running_site import Site
from tests.web.static.pages import png, state, until

PLACES = """() => Object.fromEntries([...document.querySelectorAll(
  '.tools button, .tools input, div.line, #backgrounds input, #colours input, #presets input, #drawer-open',
)].map((each) => {
  const { x, y, width, height } = each.getBoundingClientRect();
  return [each.id || each.value || each.className, [x, y + scrollY, width, height].map(Math.round)];
}))"""
SMALL = """() => [...document.querySelectorAll('a, button, select, summary, input, [role=slider]')].filter((each) => {
  const { width, height } = each.getBoundingClientRect();
  return each.checkVisibility({ visibilityProperty: true }) && Math.min(width, height) < 44;
}).map((each) => each.id || each.className || each.textContent)"""
SHARE_OF_STAGE = """() => {
  const boxes = ['tile', 'stage'].map((id) => document.getElementById(id).getBoundingClientRect());
  const [tile, stage] = boxes.map(({ width, height }) => width * height);
  return tile / stage;
}"""
FREEZE = "() => { window.nowMs = performance.now(); performance.now = () => nowMs }"


def opened(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.wait_for_selector(".tile-choice img")
    state(page, "idle")


@pytest.mark.long
def test_no_control_moves_while_the_state_the_view_or_the_background_changes(phone: Any, video_site: Site) -> None:
    opened(phone, video_site)
    places = phone.evaluate(PLACES)
    assert "stop" in places
    phone.tap("#open")
    state(phone, "live")
    phone.wait_for_selector("#measurements-open:enabled")
    assert phone.evaluate(PLACES) == places, "live"
    for view in ("matte", "overlay", "side-by-side"):
        phone.check(f"input[name=view][value={view}]")
        assert phone.evaluate(PLACES) == places, view
    until(phone, "document.getElementById('summary').textContent === 'Only you see this view'")
    for spec in ("transparent", "none", "gallery:dusk"):
        phone.check(f"input[value='{spec}']")
        assert phone.evaluate(PLACES) == places, spec
    phone.tap("#stop")
    state(phone, "idle")
    phone.check("[data-kind=blur] input")
    assert phone.evaluate(PLACES) == places, "stopped"
    assert phone.is_disabled("#stop")


def test_everything_is_large_enough_for_a_finger(phone: Any, video_site: Site) -> None:
    opened(phone, video_site)
    assert phone.evaluate(SMALL) == []
    phone.tap("#open")
    state(phone, "live")
    phone.tap("#tool-compare")
    assert phone.evaluate(SMALL) == []
    phone.tap("#drawer-open")
    phone.fill("#control-expand", "3")
    assert phone.evaluate(SMALL) == []
    phone.tap("#share-open")
    for tab in ("watch", "obs", "publish"):
        phone.tap(f"#share-tab-{tab}")
        assert phone.evaluate(SMALL) == [], tab
    phone.set_viewport_size({"width": 390, "height": 420})  # what a virtual keyboard leaves
    box = phone.locator("#share").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 420
    sizes = phone.eval_on_selector_all(
        "input[type=text], input[type=password], select",
        "all => all.map((e) => parseFloat(getComputedStyle(e).fontSize))",
    )
    assert min(size for size in sizes if size != 12.5) >= 16, "browsers zoom in on smaller fields"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.long
def test_the_camera_tile_is_small_and_can_be_moved_and_collapsed(phone: Any, video_site: Site) -> None:
    opened(phone, video_site)
    phone.tap("#open")
    state(phone, "live")
    assert phone.evaluate(SHARE_OF_STAGE) < 0.05
    stage, tile = (phone.locator(f"#{name}").bounding_box() for name in ("stage", "tile"))
    phone.mouse.move(tile["x"] + tile["width"] - 8, tile["y"] + 8)
    phone.mouse.down()
    phone.mouse.move(stage["x"] + stage["width"] - 30, stage["y"] + 40, steps=3)
    phone.mouse.up()
    moved = phone.locator("#tile").bounding_box()
    assert moved["x"] > stage["x"] + stage["width"] / 2
    assert moved["y"] < stage["y"] + stage["height"] / 2
    phone.focus("#tile-hide")
    phone.keyboard.press("ArrowDown")
    assert phone.locator("#tile").bounding_box()["y"] > stage["y"] + stage["height"] / 2
    before = phone.locator("#tile-hide").bounding_box()
    phone.tap("#tile-hide")
    assert phone.get_attribute("#tile-hide", "aria-label") == "Show the camera preview"
    assert phone.locator("#tile-hide").bounding_box() == before, "the button stays under the finger"
    assert phone.evaluate(SHARE_OF_STAGE) < 0.02
    phone.reload()
    assert phone.get_attribute("#tile-hide", "aria-expanded") == "false", "remembered"
    assert phone.get_attribute("#tile", "data-x") == "right"


@pytest.mark.long
def test_a_second_tap_does_not_press_a_button_that_has_changed(phone: Any, site: Site) -> None:
    opened(phone, site)
    phone.tap("#share-open")
    phone.wait_for_selector("#share-watch .reveal:enabled")
    phone.evaluate(FREEZE)
    shown = "document.getElementById('share-view').value.includes('token=')"
    phone.tap("#share-watch .reveal")
    assert phone.evaluate(shown)
    phone.tap("#share-watch .reveal")
    assert phone.evaluate(shown), "Show had become Hide"
    phone.tap("#share-tab-obs")
    assert phone.get_attribute("#share-tab-obs", "aria-selected") == "true", "controls elsewhere react at once"
    phone.tap("#share-tab-watch")
    phone.evaluate("() => { nowMs += 601 }")
    phone.tap("#share-watch .reveal")
    assert not phone.evaluate(shown)


@pytest.mark.long
def test_a_second_click_does_not_delete_the_picture_that_moved_under_the_pointer(page: Any, workerless: Site) -> None:
    with workerless.client() as http:
        for colour in ("red", "lime"):
            assert http.post("/api/backgrounds", content=png(colour)).status_code == 201
    deleted: list[str] = []

    def note(request: Any) -> None:
        if request.method == "DELETE":
            deleted.append(request.url)

    page.on("request", note)
    opened(page, workerless)
    page.evaluate(FREEZE)
    box = page.locator(".remove").first.bounding_box()
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(*at)
    until(page, "document.querySelectorAll('.remove').length === 1")
    assert page.locator(".remove").bounding_box() == box
    page.mouse.click(*at)
    page.evaluate("() => { nowMs += 601 }")
    assert len(deleted) == 1
    page.mouse.click(*at)
    until(page, "document.querySelectorAll('.remove').length === 0")
    assert len(deleted) == 2


@pytest.mark.long
def test_a_phone_held_sideways(phone: Any, site: Site) -> None:
    phone.set_viewport_size({"width": 844, "height": 390})
    opened(phone, site)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 844
    stop, panel = (phone.locator(name).bounding_box() for name in ("#stop", ".panel"))
    assert stop["y"] + stop["height"] <= 390
    stage, heading, start = (phone.locator(name).bounding_box() for name in ("#stage", "#card h2", "#open"))
    assert stage["y"] <= heading["y"], "the card is not cut off"
    assert start["y"] + start["height"] <= stage["y"] + stage["height"]
    assert stop["x"] + stop["width"] <= panel["x"], "the settings are beside the video"
    assert phone.evaluate(SMALL) == []


@pytest.mark.long
def test_nothing_moves_by_itself_for_users_who_ask_for_less_motion(page: Any, workerless: Site) -> None:
    opened(page, workerless)
    page.click("#open")
    state(page, "full")
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    until(page, f"{running} > 0")
    page.emulate_media(reduced_motion="reduce")
    until(page, f"{running} === 0")
    page.click("#stop")
