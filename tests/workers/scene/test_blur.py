"""The room behind a subject, blurred: no halo, no hole, no detail."""

import numpy as np
import pytest

from stream.picture.frames import Plane, split_i420
from workers.scene import composite
from workers.scene.blur import GREY, blurred

RED = (63, 102, 240)  # Y, U, V


def disc(width: int, height: int, radius: float = 0.3) -> Plane:
    y, x = np.indices((height, width))
    distance = np.hypot(x - width / 2, y - height / 2)
    return np.asarray(np.clip((height * radius - distance) * 64 + 128, 0, 255), np.uint8)


def room_with_red_subject(alpha: Plane) -> Plane:
    height, width = alpha.shape
    return composite.blend(composite.flat(*RED, width, height), composite.flat(120, 128, 128, width, height), alpha)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(640, 480), (322, 182), (66, 50), (6, 4), (2, 2)])
def test_blur_has_no_halo_of_the_subject(size: tuple[int, int], strength: float) -> None:
    alpha = disc(*size)
    y, u, v = split_i420(blurred(room_with_red_subject(alpha), alpha, strength))
    if (alpha < 3).sum() > 40:
        assert np.abs(y.astype(int) - 120).max() <= 2
    assert np.abs(u.astype(int) - 128).max() <= 2
    assert np.abs(v.astype(int) - 128).max() <= 2


def test_blur_has_no_halo_if_the_matte_is_too_small() -> None:
    truth, matte = disc(640, 480), disc(640, 480, 0.29)  # 5 pixels short
    _, _, v = split_i420(blurred(room_with_red_subject(truth), matte, 0.5))
    assert np.abs(v.astype(int) - 128).max() <= 2


def test_blur_is_grey_if_the_subject_fills_the_picture() -> None:
    pixels = room_with_red_subject(np.full((100, 130), 255, np.uint8))
    out = blurred(pixels, np.full((100, 130), 255, np.uint8), 0.5)
    assert tuple(np.unique(plane).tolist() for plane in split_i420(out)) == tuple([level] for level in GREY)


def test_blur_fills_wide_holes_with_surrounding_colours() -> None:
    """Behind a subject much wider than the blur there are colours of the room, neither black nor grey."""
    alpha = np.zeros((480, 640), np.uint8)
    alpha[20:, 40:-40] = 255
    y, _, _ = split_i420(blurred(composite.flat(220, 128, 128, 640, 480), alpha, 0.0))
    assert np.abs(y.astype(int) - 220).max() <= 3


@pytest.mark.parametrize(("strength", "sigma_px"), [(0.0, 4), (0.5, 18), (1.0, 30)])
def test_blur_widens_with_strength_and_keeps_brightness(strength: float, sigma_px: float) -> None:
    step = composite.flat(40, 128, 128, 640, 480)
    step[:480, 320:] = 200
    y, _, _ = split_i420(blurred(step, np.zeros((480, 640), np.uint8), strength))
    row = y[240].astype(float)
    slope = np.diff(row) / (row[-1] - row[0])
    middle = (np.arange(639) * slope).sum()
    sigma = np.sqrt(((np.arange(639) - middle) ** 2 * slope).sum())
    assert 0.6 * sigma_px < sigma < 1.6 * sigma_px
    assert abs(middle - 319) < 4
    assert (abs(row[0] - 40) <= 1, abs(row[-1] - 200) <= 1) == (True, True)


def test_blur_hides_detail() -> None:
    noise = np.random.default_rng(3).integers(16, 235, (720, 640), dtype=np.uint8)
    out = blurred(noise, np.zeros((480, 640), np.uint8), 0.5)
    assert out[:480].std() < 0.05 * noise[:480].std()
