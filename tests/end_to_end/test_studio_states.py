"""The studio's states from real causes: the browser's permissions and devices, and the server.

Two causes cannot be produced here, and are tested in `tests/web/static/test_studio.py` with a replaced `getUserMedia`:
a permission prompt without an answer, which a headless Chromium answers itself, and a camera that another program
uses. An insecure page and a restarted server are tested in `tests/web/static/test_page.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.camera_scene import CORNER, SCREEN
from tests.end_to_end.serving import Served, serving

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, page, states, watch_states
from tests.end_to_end.page_video import becomes, look

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with room for one live video and with engines that are not loaded yet."""
    limits = {"live_sessions": "1", "udp_address": "127.0.0.1"}
    with serving(
        tmp_path_factory.mktemp("small"), "-v", program="tests.end_to_end.mattebox_with_scene_engines", **limits
    ) as running:
        yield running


def visit(tab: Any, served: Served) -> None:
    tab.goto(served.url)
    tab.wait_for_selector(".tile-choice img")
    becomes_state(tab, "idle")


def becomes_state(tab: Any, state: str, *words: str) -> None:
    """Wait for the state in the status line, and check that the card contains these texts."""
    tab.wait_for_selector(f"#status[data-state={state}]", timeout=20_000)
    card = "" if tab.is_hidden("#card") else tab.inner_text("#card")
    assert all(each in card for each in words), card
    assert bool(card) == (state != "live")


def is_live(tab: Any) -> None:
    becomes_state(tab, "live")
    becomes(lambda: abs(look(tab, CORNER).mean((0, 1, 2)) - SCREEN).max(), lambda levels: levels < 40)


def goes_live(tab: Any, served: Served) -> None:
    visit(tab, served)
    tab.click("#open")
    is_live(tab)


NOT_MISTAKEN_MS = 700  # a click sooner after another, on a button that has changed, counts as a mistake and is ignored


def test_a_camera_denied_then_allowed_then_removed(small: Served, scene: Path) -> None:
    with page(scene, allowed=False) as tab:
        visit(tab, small)
        tab.click("#open")
        becomes_state(tab, "refused", "Camera access was denied", "left of the address", "Try again")
        tab.context.grant_permissions(["camera"])
        watch_states(tab)
        tab.wait_for_timeout(NOT_MISTAKEN_MS)
        tab.click("#open")
        is_live(tab)
        assert states(tab) == ["refused", "asking", "connecting", "live"]
        tab.context.clear_permissions()
        becomes_state(tab, "cameraLost", "The camera was disconnected", "Open camera again")
        assert tab.evaluate("document.querySelector('.stage .shown')") is None
        tab.context.grant_permissions(["camera"])
        tab.wait_for_timeout(NOT_MISTAKEN_MS)
        tab.click("#open")
        is_live(tab)
        tab.click("#stop")
        becomes_state(tab, "idle", "Open camera")


def test_no_camera(small: Served) -> None:
    with page(None) as tab:
        visit(tab, small)
        tab.click("#open")
        becomes_state(tab, "noCamera", "No camera was found", "Connect a camera", "Try again")


def test_offline_and_back(small: Served, scene: Path) -> None:
    with page(scene) as tab:
        visit(tab, small)
        tab.context.set_offline(True)
        tab.click("#open")
        becomes_state(tab, "unreachable", "cannot be reached", "keeps trying")
        tab.context.set_offline(False)
        is_live(tab)
        tab.click("#stop")


def test_the_old_engine_works_while_another_is_loaded(small: Served, scene: Path) -> None:
    with page(scene) as tab:
        goes_live(tab, small)
        tab.click("#drawer-open")
        tab.select_option("#control-engine", "rvm")
        tab.wait_for_selector("#notice:has-text('Loading Sharp. Until it is ready, Smooth stays in use.')")
        is_live(tab)
        tab.wait_for_selector("#meters:has-text('rvm on test')", state="attached")
        tab.wait_for_selector("#notice", state="hidden")
        tab.click("#stop")


def test_a_full_server_until_a_user_leaves(small: Served, scene: Path) -> None:
    with page(scene) as tab:
        goes_live(tab, small)
        other = tab.context.new_page()
        visit(other, small)
        other.click("#open")
        becomes_state(other, "full", "The server is full", "connected as soon as one is free", "Trying again in")
        tab.click("#stop")
        is_live(other)


def test_an_engine_below_one_frame_per_second_does_not_count_as_a_lost_connection(small: Served, scene: Path) -> None:
    """BiRefNet on a CPU is this slow. The page learns the frame rate after a few reconnections."""
    with page(scene) as tab:
        goes_live(tab, small)
        tab.click("#drawer-open")
        tab.select_option("#control-foreground", "estimate")
        tab.select_option("#control-engine", "rvm")
        tab.wait_for_selector("#meters:has-text('rvm on test')", state="attached", timeout=20_000)
        tab.wait_for_timeout(15_000)
        before = tab.evaluate("mattebox.live.reconnects")
        tab.wait_for_timeout(8000)
        assert tab.evaluate("mattebox.live.reconnects") == before <= 3
        becomes_state(tab, "live")
