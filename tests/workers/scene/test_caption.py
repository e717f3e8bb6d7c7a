"""The text of slates, drawn by OpenCV with its own fonts."""

import cv2
import numpy as np
import pytest

from stream.picture.frames import Plane, split_i420
from stream.records.slate import drawn_characters
from workers.scene.caption import caption


def glyph(character: str) -> Plane:
    picture = np.zeros((48, 64), np.uint8)
    cv2.putText(picture, character, (12, 34), 255, cv2.FontFace("sans"), 24, 500)
    return picture


@pytest.mark.long
def test_every_character_is_drawn() -> None:
    """OpenCV draws a question mark, or nothing, in place of others."""
    unknown = glyph("?").tobytes()
    characters = [character for character in drawn_characters() if character not in "?" and not character.isspace()]
    missing = [c for c in characters if not (picture := glyph(c)).any() or picture.tobytes() == unknown]
    assert missing == []
    assert glyph("😀").tobytes() == unknown, "the check finds what is missing"


def letters(text: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the letters."""
    rows, columns = np.nonzero(split_i420(caption(text, width, height).pixels)[0] > 100)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 360), (320, 180), (720, 1280), (360, 640)])
@pytest.mark.parametrize(
    "text",
    [
        "Back soon",
        "We are back in a few minutes – please stay with us, thank you for waiting today!",
        "しばらくお待ちください。" * 6,
        "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenfabrikantengattinnen",
        "W" * 80,
    ],
)
def test_it_fits_into_the_lower_part_of_any_picture(text: str, size: tuple[int, int]) -> None:
    width, height = size
    left, top, right, bottom = letters(text, width, height)
    assert width * 0.05 < left
    assert abs(left - (width - 1 - right)) <= width * 0.03, "centred"
    assert height * 0.5 < top
    assert bottom < height * 0.91


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360)])
def test_letters_are_large_and_stand_on_a_dark_strip(size: tuple[int, int]) -> None:
    width, height = size
    drawn = caption("HHH", width, height)
    _, top, _, bottom = letters("HHH", width, height)
    assert (bottom - top) / height > 0.05
    luma = split_i420(drawn.pixels)[0]
    assert (luma.max(), luma.min()) == (235, 16)
    strip = np.flatnonzero(drawn.alpha[:, 0])
    assert strip[0] < top - 5
    assert strip[-1] > bottom + 5
    assert set(np.unique(drawn.alpha[:, 0])) == {0, 160}
    assert (drawn.alpha[luma > 230] > 220).all(), "letters are opaque"


def test_lines_are_of_similar_length() -> None:
    text = "We are back in a few minutes – please stay with us, thank you for waiting today!"
    luma = split_i420(caption(text, 1280, 720).pixels)[0] > 100
    rows = np.flatnonzero(luma.any(axis=1))
    lines = np.split(rows, np.flatnonzero(np.diff(rows) > 8) + 1)
    widths = [np.ptp(np.flatnonzero(luma[line].any(axis=0))) for line in lines]
    assert len(widths) == 3
    assert min(widths) > 0.7 * max(widths)


def test_a_text_is_drawn_once_for_each_size() -> None:
    first = caption("Once", 320, 180)
    assert caption("Once", 320, 180) is first
    assert caption("Once", 180, 320) is not first
    assert not first.pixels.flags.writeable


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (64, 2), (2, 64), (7680, 16)])
def test_a_picture_that_is_too_small_for_text_is_no_error(size: tuple[int, int]) -> None:
    drawn = caption("Back soon", *size)
    assert drawn.alpha.shape == size[::-1]
