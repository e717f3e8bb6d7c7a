from fractions import Fraction

import numpy as np
import pytest

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Plane, split_i420, to_av


def ramp(width: int, height: int = 48) -> Plane:
    x = np.linspace(0, 255, width)
    red, blue = np.tile(x, (height, 1)), np.tile(x[::-1], (height, 1))
    return np.stack([red, np.full((height, width), 128), blue], -1).astype(np.uint8)


def test_planes_are_views_of_one_array() -> None:
    frame = Frame(np.zeros((9, 4), np.uint8), 0, Fraction(1, 30))
    y, u, v = frame.planes()
    assert (y.shape, u.shape, v.shape) == ((6, 4), (3, 2), (3, 2))
    v[...] = 7
    assert (frame.pixels.reshape(-1)[-6:] == 7).all()


def test_pure_green_is_173_42_26() -> None:
    planes = split_i420(rgb_to_i420(np.full((4, 4, 3), (0, 255, 0), np.uint8)))
    assert [int(p[0, 0]) for p in planes] == [173, 42, 26]


@pytest.mark.parametrize("width", [320, 322, 324, 328, 854, 1366])
@pytest.mark.parametrize("pix_fmt", ["rgb24", "rgba"])
def test_rgb_is_exact_in_every_column_at_any_even_width(width: int, pix_fmt: str) -> None:
    """swscale's YUV to RGBA is wrong at widths that are not a multiple of 8."""
    rgb = ramp(width)
    alpha = np.tile(np.linspace(0, 255, width).astype(np.uint8), (48, 1))
    out = to_av(Frame(rgb_to_i420(rgb), 3, Fraction(1, 30), alpha=alpha), pix_fmt)
    image = out.to_ndarray()
    assert np.abs(image[..., :3].astype(int) - rgb).max() <= 6
    if pix_fmt == "rgba":
        assert np.array_equal(image[..., 3], alpha)
    assert (out.pts, out.time_base) == (3, Fraction(1, 30))


def test_a_frame_without_alpha_is_opaque_in_formats_with_alpha() -> None:
    out = to_av(Frame(np.full((72, 64), 128, np.uint8), 0, Fraction(1, 30)), "yuva420p")
    assert set(bytes(out.planes[3])[:64]) == {255}


@pytest.mark.parametrize(("pix_fmt", "low", "high"), [("gray", 0, 255), ("yuv420p", 16, 235), ("rgb24", 0, 255)])
def test_grey_planes_keep_black_and_white_in_every_range(pix_fmt: str, low: int, high: int) -> None:
    plane = np.zeros((48, 64), np.uint8)
    plane[:, 32:] = 255
    image = to_av(Frame(plane, 0, Fraction(1, 30), gray=True), pix_fmt).to_ndarray()
    assert (image[10, 5] == low).all()
    assert (image[10, 60] == high).all()
