"""Picking in the studio with the real server, by what is received: two moving subjects in front of a green screen."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.looking_chooser import write_scene
from tests.end_to_end.serving import Served, serving

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page
from tests.end_to_end.camera_scene import ALL
from tests.end_to_end.page_video import becomes, look
from tests.web.static.pages import until
from tests.web.static.test_pick import click, drag

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
RED, BLUE = (0.3, 0.5), (0.7, 0.5)  # always inside the subjects, wherever they have moved
SLATE = (31, 41, 55)
DISC = 0.07  # of the picture
OPTIONS = "localStorage.setItem('mattebox.options', JSON.stringify({ background: 'color:#1f2937', engine: 'chroma' }))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {"live_sessions": "8", "max_offers": "1000", "udp_address": "127.0.0.1"}
    with serving(tmp_path_factory.mktemp("pick"), program="tests.end_to_end.looking_chooser", **limits) as served:
        yield served


@pytest.fixture(scope="module")
def studio(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with page(write_scene(tmp_path_factory.mktemp("camera") / "scene.mjpeg")) as tab:
        tab.goto(server.url)
        tab.evaluate(OPTIONS)
        go_live(tab, server.url)
        shows(tab, red=True, blue=True)
        yield tab


def shares(tab: Any) -> tuple[float, float, float]:
    """Of the received picture: what is red, blue, and the green of the room."""
    red, green, blue = look(tab, ALL)[-1].reshape(-1, 3).T
    masks = (red > green + 60) & (red > blue + 60), (blue > red + 60) & (blue > green + 60), green > red + 60
    return tuple(float(mask.mean()) for mask in masks)  # type: ignore[return-value]


def behind(tab: Any) -> float:
    """The share of the chosen background."""
    return float((np.abs(look(tab, ALL)[-1] - SLATE).max(-1) < 25).mean())


def shows(tab: Any, red: bool, blue: bool) -> None:
    """Wait until the received picture has exactly these subjects, and nothing of the room."""

    def wrong() -> float:
        *found, room = shares(tab)
        misses = [abs(share - DISC) if wanted else share for share, wanted in zip(found, (red, blue), strict=True)]
        return max(*misses, room)

    becomes(wrong, lambda share: share < 0.015, 20)


def result(tab: Any) -> None:
    """End picking: the result is shown again."""
    tab.keyboard.press("Escape")
    until(tab, "document.querySelector('[name=view][value=composite]').checked")


@pytest.fixture
def picking(studio: Any) -> Iterator[Callable[[], None]]:
    """Begin picking, without subjects; delete all afterwards."""

    def begin() -> None:
        studio.keyboard.press("k")
        until(studio, "!document.getElementById('pick-layer').hidden")

    yield begin
    studio.keyboard.press("Escape")
    while studio.locator(".subject").count():
        studio.locator(".subject button[aria-label^=Delete]").first.press("Enter")
    shows(studio, red=True, blue=True)


def test_a_click_chooses_one_of_two_moving_subjects(studio: Any, picking: Callable[[], None]) -> None:
    picking()
    becomes(lambda: behind(studio), lambda share: share < 0.01)  # the user sees the room, tinted
    assert shares(studio)[1] > DISC / 2, "what is kept is not tinted"
    click(studio, *RED)
    becomes(lambda: shares(studio)[1], lambda blue: blue < DISC / 10)
    result(studio)
    shows(studio, red=True, blue=False)
    studio.keyboard.press("Control+z")  # not while the user does not pick
    picking()
    studio.click("text=New subject")
    click(studio, *BLUE)
    result(studio)
    shows(studio, red=True, blue=True)
    studio.locator(".subject:nth-child(1) .keep").press("Enter")
    shows(studio, red=False, blue=True)
    picking()
    studio.keyboard.press("Control+z")
    studio.keyboard.press("Control+z")
    result(studio)
    shows(studio, red=True, blue=False)


def test_a_box_and_not_this(studio: Any, picking: Callable[[], None]) -> None:
    picking()
    drag(studio, (0.95, 0.9), (0.5, 0.1))
    result(studio)
    shows(studio, red=False, blue=True)
    picking()
    drag(studio, (0.05, 0.1), (0.95, 0.9))
    result(studio)
    shows(studio, red=True, blue=True)
    picking()
    click(studio, *BLUE, key="Alt")
    result(studio)
    shows(studio, red=True, blue=False)
    assert studio.locator(".subject").count() == 1, "it is still the same subject"


def test_not_this_alone_leaves_the_rest_to_the_engine(studio: Any, picking: Callable[[], None]) -> None:
    picking()
    click(studio, *BLUE, key="Alt")
    result(studio)
    shows(studio, red=True, blue=False)


def test_the_mirrored_picture(studio: Any, picking: Callable[[], None]) -> None:
    studio.keyboard.press("m")
    picking()
    click(studio, 1 - RED[0], RED[1])
    result(studio)
    shows(studio, red=True, blue=False)
    studio.keyboard.press("m")


def test_a_reload_keeps_the_subjects(studio: Any, server: Served, picking: Callable[[], None]) -> None:
    picking()
    click(studio, *BLUE)
    result(studio)
    shows(studio, red=False, blue=True)
    go_live(studio, server.url)
    assert studio.locator(".subject").count() == 1
    shows(studio, red=False, blue=True)
