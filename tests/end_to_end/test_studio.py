"""The studio's controls, tested by their effect on the pixels that the real server sends back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.end_to_end.camera_scene import ALL
from tests.end_to_end.serving import Served

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page
from tests.end_to_end.page_video import look

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
Picture = npt.NDArray[np.int64]
SCREEN = "#00b140"
HOLE, SPECK, INSIDE, OUTSIDE = (0.5, 0.62), (0.12, 0.2), (0.4, 0.5), (0.92, 0.1)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera clip in front of a green screen: a subject with a soft edge and a hole, and a speck beside it."""
    height, width = 240, 320
    subject = np.zeros((height, width), np.uint8)
    cv2.ellipse(subject, (160, 130), (80, 90), 0, 0, 360, 255, -1)
    cv2.circle(subject, (round(HOLE[0] * width), round(HOLE[1] * height)), 8, 0, -1)
    cv2.circle(subject, (round(SPECK[0] * width), round(SPECK[1] * height)), 8, 255, -1)
    alpha = cv2.GaussianBlur(subject, (0, 0), 3)[..., None].astype(np.float32) / 255
    image = alpha * np.array((110, 140, 205), np.float32) + (1 - alpha) * np.array((64, 177, 0), np.float32)
    path = tmp_path_factory.mktemp("still") / "still.mjpeg"
    path.write_bytes(cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() * 8)
    return path


@pytest.fixture(scope="module")
def studio(served: Served, still: Path) -> Iterator[Any]:
    """The studio, live with the chroma engine, which was chosen in the drawer; the drawer is open."""
    with page(still) as tab:
        go_live(tab, served.url)
        tab.click("#drawer-open")
        tab.select_option("#control-engine", "chroma")
        tab.wait_for_selector("#meters:has-text('chroma')", state="attached")
        yield tab


@pytest.fixture
def matte(studio: Any) -> Iterator[Any]:
    """The studio in the matte view; afterwards every control except the engine is reset."""
    studio.check("input[name=view][value=matte]")
    eventually(studio, lambda p: at(p, OUTSIDE) < 20 and at(p, INSIDE) > 230)
    yield studio
    reset(studio)


def reset(studio: Any) -> None:
    studio.click("#reset-all")
    studio.select_option("#control-engine", "chroma")


def see(tab: Any) -> Picture | None:
    pictures = look(tab, ALL)
    return pictures[0] if len(pictures) else None


def at(picture: Picture, point: tuple[float, float]) -> float:
    """Mean of the channels at a point, given as shares of width and height."""
    return float(picture[round(point[1] * picture.shape[0]), round(point[0] * picture.shape[1])].mean())


def soft(picture: Picture) -> float:
    """The share of pixels that are neither subject nor background."""
    return float(((picture > 50) & (picture < 205)).mean())


def eventually(tab: Any, holds: Callable[[Picture], bool], limit_s: float = 8.0) -> Picture:
    end_s = time.monotonic() + limit_s
    while True:
        picture = see(tab)
        if picture is not None and holds(picture):
            return picture
        assert time.monotonic() < end_s, "the picture never met the condition"
        time.sleep(0.05)


def settled(tab: Any) -> Picture:
    """The picture once it no longer changes: backgrounds fade into each other, and the encoding gets finer."""
    last: list[Picture] = []

    def stays(picture: Picture) -> bool:
        last.append(picture)
        return len(last) > 8 and all(float(np.abs(picture - old).mean()) < 1 for old in last[-8:])

    return eventually(tab, stays)


def near(picture: Picture, point: tuple[float, float], colour: tuple[int, int, int], limit: int = 20) -> bool:
    found = picture[round(point[1] * picture.shape[0]), round(point[0] * picture.shape[1])]
    return bool(np.abs(found - colour).max() <= limit)


EFFECTS: list[tuple[str, str, Callable[[Picture, Picture], bool]]] = [
    ("expand", "10", lambda old, new: new.mean() > old.mean() + 10),
    ("expand", "-10", lambda old, new: new.mean() < old.mean() - 10),
    ("feather", "15", lambda old, new: soft(new) > soft(old) + 0.03),
    ("contrast", "1", lambda old, new: soft(new) < 0.7 * soft(old)),
    ("threshold", "0.1", lambda old, new: new.mean() > old.mean() + 2),
    ("threshold", "0.9", lambda old, new: new.mean() < old.mean() - 2),
    ("specks", "0.1", lambda old, new: at(old, SPECK) > 200 and at(new, SPECK) < 40),
    ("holes", "0.1", lambda old, new: at(old, HOLE) < 60 and at(new, HOLE) > 200),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value", "shows"), EFFECTS, ids=[f"{name} {value}" for name, value, _ in EFFECTS])
def test_a_slider_changes_the_matte(
    matte: Any, name: str, value: str, shows: Callable[[Picture, Picture], bool]
) -> None:
    old = see(matte)
    assert old is not None
    matte.fill(f"#control-{name}", value)
    eventually(matte, lambda new: shows(old, new))
    matte.click(f".control:has(#control-{name}) .reset")
    eventually(matte, lambda new: float(np.abs(new - old).mean()) < 3)


@pytest.mark.slow
def test_the_screen_colour(matte: Any) -> None:
    """With a colour that is not the screen's, nothing is background."""
    matte.select_option("#control-key", "pick")
    matte.fill("#control-key + input", "#0000ff")
    eventually(matte, lambda picture: at(picture, OUTSIDE) > 200)


@pytest.mark.slow
def test_light_wrap(studio: Any) -> None:
    studio.click("#drawer-close")
    studio.check("input[value='color:#f4f1ea']")
    old = eventually(studio, lambda picture: near(picture, OUTSIDE, (244, 241, 234)))
    studio.click("#drawer-open")
    studio.fill("#control-light_wrap", "1")
    eventually(studio, lambda new: new.mean() > old.mean() + 1)
    reset(studio)


def test_views(studio: Any) -> None:
    studio.click("#drawer-close")
    studio.check("input[value='color:#1f2937']")
    whole = eventually(studio, lambda picture: near(picture, OUTSIDE, (31, 41, 55)))
    studio.check("input[name=view][value=side-by-side]")
    wide = eventually(studio, lambda picture: picture.shape[1] == 2 * whole.shape[1])
    assert near(wide, (OUTSIDE[0] / 2, OUTSIDE[1]), (0, 177, 64), 30), "the room on the left"
    assert studio.is_disabled("#tool-compare")
    studio.check("input[name=view][value=overlay]")
    eventually(studio, lambda p: p.shape == whole.shape and not near(p, OUTSIDE, (31, 41, 55), 40))
    studio.check("input[name=view][value=composite]")
    eventually(studio, lambda picture: near(picture, OUTSIDE, (31, 41, 55)))
    studio.click("#drawer-open")


@pytest.mark.long
def test_backgrounds(studio: Any, tmp_path: Path) -> None:
    studio.click("#drawer-close")
    studio.keyboard.press("1")
    eventually(studio, lambda picture: near(picture, OUTSIDE, (0, 177, 64), 40))
    studio.keyboard.press("7")  # dusk, which is blue at the top
    eventually(studio, lambda picture: not near(picture, OUTSIDE, (0, 177, 64), 60))
    dusk = settled(studio)
    path = tmp_path / "own.png"
    cv2.imwrite(str(path), np.full((90, 160, 3), (255, 0, 255), np.uint8))
    studio.set_input_files("#upload", str(path))
    eventually(studio, lambda picture: near(picture, OUTSIDE, (255, 0, 255), 30))
    studio.keyboard.press("7")  # still dusk: the user's own picture has a key of its own
    eventually(studio, lambda picture: float(np.abs(picture - dusk).mean()) < 6)
    studio.keyboard.press("Shift+Digit1")
    eventually(studio, lambda picture: near(picture, OUTSIDE, (255, 0, 255), 30))
    studio.check("input[value=none]")
    eventually(studio, lambda picture: near(picture, OUTSIDE, (0, 177, 64), 20))
    studio.click(".remove")
    studio.keyboard.press("1")
    studio.click("#drawer-open")
