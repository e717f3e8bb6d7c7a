"""The small picture of what a live video sends."""

import io
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stream.picture.frames import Frame
from workers.live.thumbnail import Thumbnail
from workers.scene.composite import rgb_flat


def frame(width: int, height: int, rgb: tuple[int, int, int] = (200, 40, 90)) -> Frame:
    return Frame(rgb_flat(rgb, width, height), 0, Fraction(1, 30))


def opened(thumbnail: Thumbnail) -> Image.Image:
    picture = Image.open(io.BytesIO(thumbnail.jpeg()))
    assert picture.format == "JPEG"
    return picture


def test_there_is_none_before_the_first_frame() -> None:
    assert Thumbnail().jpeg() == b""


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1280, 720), (320, 180)),
        ((720, 1280), (180, 320)),
        ((3840, 1080), (320, 90)),
        ((96, 64), (96, 64)),
        ((2, 2), (2, 2)),
        ((4000, 2), (320, 1)),
    ],
)
def test_it_is_small_and_has_the_colours_of_the_frame(size: tuple[int, int], small: tuple[int, int]) -> None:
    thumbnail = Thumbnail()
    thumbnail.show(frame(*size))
    picture = opened(thumbnail)
    assert picture.size == small
    assert np.abs(np.asarray(picture).astype(int) - (200, 40, 90)).max() < 6


def test_a_matte_is_grey() -> None:
    thumbnail = Thumbnail()
    thumbnail.show(Frame(np.full((360, 640), 77, np.uint8), 0, Fraction(1, 30), gray=True))
    picture = opened(thumbnail)
    assert (picture.mode, picture.size) == ("L", (320, 180))
    assert abs(int(np.asarray(picture)[90, 160]) - 77) < 3


def test_it_is_drawn_once_for_each_frame() -> None:
    thumbnail, first = Thumbnail(), frame(640, 360)
    thumbnail.show(first)
    drawn = thumbnail.jpeg()
    assert thumbnail.jpeg() is drawn
    thumbnail.show(replace(first, pts=1, pixels=rgb_flat((0, 0, 255), 640, 360)))
    assert thumbnail.jpeg() != drawn
