"""The eight orientations of EXIF, compared with Pillow's."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from stream.picture.orientation import Orientation


@pytest.mark.parametrize("value", range(1, 9))
def test_each_case_turns_a_picture_upright_as_pillow_does(value: int) -> None:
    pixels = np.random.default_rng(value).integers(0, 255, (5, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[Base.Orientation] = value
    upright = Orientation.of_exif(value).upright(pixels)
    assert np.array_equal(upright, np.asarray(ImageOps.exif_transpose(image)))
    assert Orientation.of_exif(value).swaps_sides is (upright.shape[:2] == (8, 5))


@pytest.mark.parametrize("value", [None, 0, 9, "6", 6.0, [6], b"\6"])
def test_an_invalid_value_counts_as_upright(value: object) -> None:
    assert Orientation.of_exif(value) == Orientation()


def test_a_plane_is_turned_without_a_copy() -> None:
    plane = np.zeros((3, 4), np.uint8)
    assert np.shares_memory(Orientation(True, 1).upright(plane), plane)
