"""The studio's states and their texts, and its accessibility."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests import waiting
from tests.web.running_site import Site
from tests.web.static.pages import SLATE, Worker, corner_is, opened, ready, state, until

FIRST_LOAD_BYTES, FIRST_LOAD_SENT_BYTES = 300_000, 150_000
# Chromium's fake camera cannot be in use by another program, and a headless browser answers the permission prompt
# itself, so these two cases replace getUserMedia. `tests/end_to_end` tests denied, allowed and lost cameras for real.
IN_USE = (
    "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotReadableError') } }"
)
NEVER = "() => { navigator.mediaDevices.getUserMedia = () => new Promise(() => {}) }"
WARNINGS = "async sample => (await import('/static/shared/measure.js')).warnings(sample)"


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_axe_finds_nothing_serious(page: Any, video_site: Site, audited: Callable[[str], None]) -> None:
    page.goto(video_site.url)
    page.wait_for_selector(".tile-choice img")
    state(page, "idle")
    audited("idle")
    page.click("#open")
    state(page, "live")
    page.click("#tool-compare")
    page.wait_for_selector("#measurements-open:enabled")
    page.click("#measurements-open")
    audited("live")
    page.click("#tool-microphone")
    page.wait_for_selector("#tool-microphone[aria-checked=true]")
    page.click("#devices summary")
    audited("devices")
    page.click("#drawer-open")
    audited("all controls")
    page.click("#share-open")
    for tab in ("watch", "obs", "publish"):
        page.click(f"#share-tab-{tab}")
        page.wait_for_selector(".tab-panels > :not([inert]) .copy:enabled")
        audited(f"share, {tab}")


@pytest.mark.long
def test_axe_finds_nothing_serious_on_the_viewers_page(page: Any, site: Site, audited: Callable[[str], None]) -> None:
    page.goto(f"{site.url}/view/nobody")
    state(page, "notLive")
    audited("nobody is live")


@pytest.mark.long
def test_the_first_load_is_small_and_comes_from_this_server_only(page: Any, site: Site) -> None:
    sizes: dict[str, int] = {}
    sent: dict[str, int] = {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.on("requestfinished", lambda request: sent.update({request.url: request.sizes()["responseBodySize"]}))
    page.goto(site.url)
    until(page, "[...document.images].length > 8 && [...document.images].every(i => i.complete)")
    waiting.until(lambda: page.evaluate("true") and sent.keys() == sizes.keys(), "all requests have ended")
    print(f"first load: {sum(sizes.values()):,} bytes in {len(sizes)} files, sent as {sum(sent.values()):,} bytes")
    assert all(url.startswith(site.url) for url in sizes)
    assert sum(sizes.values()) < FIRST_LOAD_BYTES
    assert sum(sent.values()) < FIRST_LOAD_SENT_BYTES


@pytest.mark.long
def test_a_camera_in_use_by_another_program(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.evaluate(IN_USE)
    page.click("#open")
    state(page, "busyCamera")
    assert "Another program is using the camera" in page.inner_text("#card")
    assert page.is_enabled("#open")


@pytest.mark.long
def test_the_page_shows_that_the_browser_asks_for_permission(page: Any, site: Site) -> None:
    page.goto(site.url)
    page.evaluate(NEVER)
    page.click("#open")
    state(page, "asking")
    assert "Allow this page to use your camera" in page.inner_text("#card")
    assert page.is_hidden("#open")


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_an_unreachable_server_is_retried(page: Any, site: Site) -> None:
    page.route("**/api/login", lambda route: route.abort())
    page.goto(site.url)
    state(page, "unreachable")
    assert "keeps trying" in page.inner_text("#card")
    page.unroute("**/api/login")
    state(page, "idle")


@pytest.mark.long
@pytest.mark.clocked  # the page counts down the seconds
def test_a_full_server_is_retried(page: Any, workerless: Site) -> None:
    page.goto(workerless.url)
    page.click("#open")
    state(page, "full")
    assert "connected as soon as one is free" in page.inner_text("#card")
    assert re.search(r"Trying again in \d+ s", page.inner_text("#card .extra"))
    assert page.is_enabled("#stop"), "the user can stop waiting"


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_the_page_shows_that_a_worker_drains(page: Any, video_site: Site) -> None:
    opened(page, video_site)
    seen = "new MutationObserver(() => seen.push(document.getElementById('status').dataset.state))"
    page.evaluate(f"() => {{ window.seen = []; {seen}.observe(document.body, {{ subtree: true, attributes: true }}) }}")
    with video_site.client() as http:
        session = http.get("/api/sessions").json()["sessions"][0]["id"]
    video_site.call(video_site.store.end(session, "drained"))
    until(page, "seen.includes('draining')")
    state(page, "live")


@pytest.mark.long
def test_an_option_of_one_engine_is_kept_until_the_workers_engine_is_known(
    page: Any, workerless: Site, start_worker: Callable[[str], Worker]
) -> None:
    page.goto(workerless.url)
    state(page, "idle")
    page.evaluate("localStorage.setItem('mattebox.options', JSON.stringify({ roi: true }))")
    page.reload()
    state(page, "idle")
    roi = page.locator("#control-roi")
    assert roi.is_checked()
    assert roi.is_enabled()
    start_worker("one")
    ready(workerless, 1)
    page.reload()
    state(page, "idle")
    assert not roi.is_checked()
    assert roi.is_disabled(), "the worker has another engine"


@pytest.mark.long
@pytest.mark.usefixtures("hasty")
def test_the_page_shows_that_an_engine_is_loading(page: Any, video_site: Site) -> None:
    opened(page, video_site)
    page.click("#drawer-open")
    page.select_option("#control-engine", "rvm")
    page.wait_for_selector("#notice:has-text('Loading Sharp. Until it is ready, double stays in use.')")
    page.click("#reset-all")
    page.wait_for_selector("#notice", state="hidden")
    corner_is(page, SLATE)


@pytest.mark.long
def test_warnings(studio: Any) -> None:
    def warned(**changes: Any) -> list[Any]:
        meters = {"fps_in": 30.0, "matte_fps": changes.pop("matte_fps", 30.0)}
        sample = {"meters": meters, "sentFps": 30.0, "limit": "", "glassMs": 60.0} | changes
        return list(studio.evaluate(WARNINGS, sample))

    assert warned() == []
    assert warned(matte_fps=12.0) == [["capacity", 12, 30]]
    assert warned(matte_fps=0.0) == [["warming"]]
    assert warned(limit="bandwidth") == [["uplink"]]
    assert warned(sentFps=8.2) == [["camera", 8]]
    assert warned(glassMs=612.3) == [["delay", 612]]
    assert warned(meters=None) == []


@pytest.mark.parametrize("width", [320, 360, 390, 820, 2560])
def test_nothing_is_cut_off(studio: Any, width: int) -> None:
    """The page does not scroll sideways, not even with a signed-in user's name in the header."""
    page = studio
    page.set_viewport_size({"width": width, "height": 800})
    page.reload()
    page.wait_for_selector(".tile-choice img")
    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    page.evaluate("""() => {
        const user = document.getElementById('user');
        user.hidden = false;
        user.querySelector('span').textContent = 'somebody-with-a-name';
    }""")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for button in ("#share-open", "#sign-out"):
        box = page.locator(button).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width, button
