"""Conversion between the colour space of an ICC profile and sRGB."""

import numpy as np
import pytest

from stream.picture.icc import Space, srgb_profile
from tests.pictures import in_srgb, wide_gamut


@pytest.mark.parametrize("adobe", [False, True])
def test_colours_of_a_wide_gamut_become_those_of_srgb_and_back(adobe: bool) -> None:
    space = Space(wide_gamut(adobe))
    colours = np.array([[[128, 128, 128], [180, 120, 90], [100, 140, 110]]], np.uint8)
    assert np.abs(space.to_srgb(colours).astype(int) - in_srgb(colours, wide_gamut(adobe))).max() <= 1
    assert np.abs(space.from_srgb(space.to_srgb(colours)).astype(int) - colours).max() <= 1
    assert space.to_srgb(np.full((1, 1, 3), (180, 120, 90), np.uint8))[0, 0, 0] > 183, "sRGB needs more for this red"


def test_srgb_leaves_every_value_as_it_is() -> None:
    cube = np.arange(768, dtype=np.int64).reshape(16, 16, 3).astype(np.uint8)
    for profile in (b"", srgb_profile()):
        assert np.array_equal(Space(profile).to_srgb(cube), cube)
        assert np.array_equal(Space(profile).from_srgb(cube), cube)


def test_an_unreadable_profile_is_a_value_error() -> None:
    for profile in (b"x", b"\0" * 200, wide_gamut()[:300]):
        with pytest.raises(ValueError, match="ICC profile"):
            Space(profile)
