"""`mattebox serve`, Chromium and a camera, as a user has them: the video that comes back, also after a worker dies."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PICTURES
from tests.end_to_end.camera import truth
from tests.end_to_end.serving import Served, alive

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, open_camera, page, seen, states, watch_states

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
COLOUR, RGB = "#0040ff", (0, 64, 255)


def distance(a: Any, b: Any) -> int:
    return int(np.abs(np.subtract(a, b, dtype=float)).max())


def assert_no_room(pictures: list[list[Any]]) -> None:
    """Every picture had the chosen colour at nearly all background points: the engine may take some of them for the
    subject, but an unmatted picture would show the room at all of them. Chromium ends a lost video with a black one."""
    for at_ms, _, *colours in pictures:
        wrong = [colour for colour in colours[:12] if distance(colour, RGB) > 60]
        is_end = all(max(colour) < 3 for colour in colours)
        assert len(wrong) <= 4 or is_end, f"at {at_ms:.0f} ms: {wrong}"


def spare_is_loaded(served: Served, limit_s: float = 30.0) -> None:
    until_s = time.monotonic() + limit_s
    while served.idle_spare() is None:
        assert time.monotonic() < until_s, "no spare was loaded"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_camera_comes_back_in_front_of_the_colour(served: Served, clip: Path) -> None:
    where = truth()
    with page(clip) as tab:
        open_camera(tab, served.url, COLOUR, [*where.background, where.subject])
        tab.wait_for_function("seen.length > 60", timeout=20_000)
        PICTURES.mkdir(exist_ok=True)
        tab.screenshot(path=PICTURES / "page.png")
        pictures = seen(tab)
        assert_no_room(pictures)
        assert distance(np.median(where.room, axis=0), RGB) > 60, "the room's colour there differs from the chosen one"
        behind = [np.median([distance(colour, RGB) for colour in picture[2:14]]) for picture in pictures]
        assert np.percentile(behind, 95) <= 16, "the chosen colour comes back"
        nearest = [min(distance(picture[-1], colour) for colour in where.colours) for picture in pictures[10:]]
        assert np.percentile(nearest, 90) <= 40, "the subject has the camera's colours"
        tab.click("#stop")


@pytest.mark.slow  # these run one at a time, without other load
@pytest.mark.parametrize(
    ("number", "state", "limit_ms"),
    [
        (signal.SIGKILL, "reconnecting", 3000),
        (signal.SIGTERM, "draining", 3000),
        (signal.SIGSTOP, "reconnecting", 10_000),
    ],
)
def test_the_video_is_back_soon_after_its_worker_ended_or_hangs(
    served: Served, clip: Path, number: signal.Signals, state: str, limit_ms: int
) -> None:
    """The spare takes over without user action, and no picture shows the room meanwhile."""
    where = truth()
    with page(clip) as tab:
        open_camera(tab, served.url, COLOUR, where.background)
        tab.wait_for_function("seen.length > 30", timeout=20_000)
        spare_is_loaded(served)
        worker = served.busy_worker()
        before = len(seen(tab))
        watch_states(tab)
        os.kill(worker, number)
        tab.wait_for_function("mattebox.live.reconnects >= 1", timeout=10_000)
        tab.wait_for_function(f"states.includes('{state}') && states.at(-1) === 'live'", timeout=15_000)
        tab.wait_for_timeout(1000)
        pictures = seen(tab)
        assert_no_room(pictures)
        gaps_ms = np.diff([picture[0] for picture in pictures[before - 1 :]])
        print(f"{number.name}: no picture for {gaps_ms.max():.0f} ms")
        assert gaps_ms.max() < limit_ms
        assert state in states(tab)
        assert served.busy_worker() != worker
        assert not alive(worker)
        tab.click("#stop")
