"""Every way to choose a background in the studio, tested by the pixels beside a known subject."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.camera_scene import CORNER, SCREEN, STRIPES
from tests.end_to_end.serving import Served
from tests.media import write_video

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from tests.end_to_end.browser import CHROMIUM, go_live, page, seen, watch
from tests.end_to_end.page_video import becomes, look

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
RED, BLUE, MAGENTA = (220, 20, 20), (20, 20, 220), (255, 0, 255)
_GIVE = """async ([bytes, how]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], 'mine.png', { type: 'image/png' }));
  const init = { bubbles: true, cancelable: true };
  if (how === 'paste') document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, ...init }));
  else for (const name of ['dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(name, { dataTransfer: files, ...init }));
  }
}"""


@pytest.fixture(scope="module")
def studio(scene_server: Served, scene: Path) -> Iterator[Any]:
    with page(scene) as tab:
        go_live(tab, scene_server.url)
        yield tab


def off(tab: Any, colour: tuple[int, int, int]) -> float:
    """Levels between the corner and a colour, in the worst channel."""
    return float(np.abs(look(tab, CORNER).mean((0, 1, 2)) - colour).max())


def shows(tab: Any, colour: tuple[int, int, int]) -> None:
    becomes(lambda: off(tab, colour), lambda levels: levels < 25)


def contrast(tab: Any) -> float:
    """Amplitude of the room's three pairs of stripes, in levels."""
    columns = look(tab, STRIPES).mean((0, 1, 3))
    wave = np.exp(-2j * np.pi * 3 * np.arange(len(columns)) / len(columns))
    return float(2 * np.abs((columns * wave).mean()))


def picture(colour: tuple[int, int, int]) -> list[int]:
    data = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(data, "PNG")
    return list(data.getvalue())


def test_the_strength_of_the_blur(studio: Any) -> None:
    studio.click("[data-kind=blur] input")
    studio.fill("#blur", "0.05")
    narrow = becomes(lambda: contrast(studio), lambda levels: levels > 55)
    studio.fill("#blur", "0.5")
    middle = becomes(lambda: contrast(studio), lambda levels: 18 < levels < 38)
    studio.fill("#blur", "1")
    wide = becomes(lambda: contrast(studio), lambda levels: levels < 14)
    studio.fill("#blur", "0.05")
    becomes(lambda: contrast(studio), lambda levels: levels > 55)
    print(f"contrast of the stripes: 5 % {narrow:.1f}, 50 % {middle:.1f}, 100 % {wide:.1f} levels")


def test_a_gallery_picture_and_back_with_a_key(studio: Any) -> None:
    studio.click("input[value='gallery:dusk']")
    becomes(lambda: off(studio, SCREEN), lambda levels: levels > 60)
    studio.keyboard.press("1")
    shows(studio, SCREEN)


def test_a_preset_colour_and_the_colour_picker(studio: Any) -> None:
    studio.click("input[value='color:#1f2937']")
    shows(studio, (31, 41, 55))
    studio.fill("#colour", "#ff00ff")
    shows(studio, MAGENTA)


def test_transparent_is_shown_as_a_checkerboard(studio: Any) -> None:
    studio.click("input[value=transparent]")

    def checks() -> float:
        """The standard deviation of a grey corner; 0 if it is not grey."""
        corner = look(studio, CORNER)
        return float(corner.std() if np.ptp(corner.mean((0, 1, 2))) < 10 else 0)

    becomes(checks, lambda levels: levels > 12)


def test_the_room_as_background(studio: Any) -> None:
    studio.click("input[value=none]")
    shows(studio, SCREEN)
    becomes(lambda: contrast(studio), lambda levels: levels > 80)


@pytest.mark.parametrize(("how", "colour"), [("drop", RED), ("paste", BLUE)])
def test_an_uploaded_picture(studio: Any, how: str, colour: tuple[int, int, int]) -> None:
    studio.evaluate(_GIVE, [picture(colour), how])
    shows(studio, colour)
    studio.press(".tile-choice:has(input:checked) .remove", "Enter")  # clicks in quick succession there are ignored
    shows(studio, SCREEN)


def test_an_uploaded_video_plays(studio: Any, tmp_path: Path) -> None:
    red, blue = (np.full((90, 160, 3), colour, np.uint8) for colour in (RED, BLUE))
    studio.set_input_files("#upload", str(write_video(tmp_path / "own.mp4", [red] * 24 + [blue] * 24)))
    for colour in (RED, BLUE, RED, BLUE):
        shows(studio, colour)
    studio.click(".tile-choice:has(input:checked) .remove")
    shows(studio, SCREEN)


def test_backgrounds_fade_into_each_other(studio: Any) -> None:
    """It takes a tenth of a second, of which a busy machine may show little, so it is done several times."""
    watch(studio, [(0.96, 0.06)])
    between: list[int] = []
    for colour, levels in [("#000000", 0), ("#ffffff", 255)] * 3:
        before = len(seen(studio))
        studio.fill("#colour", colour)
        shows(studio, (levels,) * 3)
        between += [red for _, _, (red, *_) in seen(studio)[before:] if 30 < red < 225]
    print(f"levels in between: {between}")
    assert len(between) >= 3
    assert len(between) <= 6 * 4
