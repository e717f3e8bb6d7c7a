import cv2
import numpy as np
import pytest

from tests.workers.smoothing_clips import clip
from workers.steady.grid import HEIGHT, WIDTH
from workers.steady.motion import Thumbnail, difference, flow, inverse, is_cut, match, thumbnail, warp


@pytest.fixture(scope="module")
def current() -> Thumbnail:
    return thumbnail(clip(lambda n: [300.0], 1).frames[0])


def shifted(picture: Thumbnail, x: float, y: float) -> Thumbnail:
    def shift(plane: np.ndarray, times: int) -> np.ndarray:
        matrix = np.array([[1, 0, x * times], [0, 1, y * times]], np.float32)
        return np.asarray(cv2.warpAffine(plane, matrix, plane.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))

    return Thumbnail(shift(picture.colour, 1), shift(picture.luma, 2))


@pytest.mark.parametrize(("x", "y"), [(3.0, 0.0), (-5.0, 2.0), (0.0, 1.5)])
def test_the_flow_follows_a_shift(current: Thumbnail, x: float, y: float) -> None:
    reference = shifted(current, x, y)
    motion = flow(current, reference)
    inner = motion[20:-20, 20:-20]
    assert np.abs(np.median(inner, (0, 1)) - (x, y)).max() < 0.25
    warped = warp(reference.colour, motion)
    assert (
        difference(current.colour, warped)[20:-20, 20:-20].mean()
        < 0.3 * difference(current.colour, reference.colour).mean()
    )


def test_a_still_picture_has_no_flow(current: Thumbnail) -> None:
    np.testing.assert_array_equal(flow(current, current), np.zeros((HEIGHT, WIDTH, 2), np.float32))


def test_the_inverse_leads_back(current: Thumbnail) -> None:
    motion = flow(current, shifted(current, -5.0, 2.0))
    there_and_back = motion + warp(inverse(motion), motion)
    assert np.abs(there_and_back[20:-20, 20:-20]).mean() < 0.05 * np.abs(motion).mean()


def test_a_new_scene_is_a_cut_and_motion_is_not(current: Thumbnail) -> None:
    other = thumbnail(clip(lambda n: [120.0], 1, room=2).frames[0])
    reference = shifted(current, 6.0, 0.0)
    assert is_cut(current.colour, match(current, other).residual)
    assert not is_cut(current.colour, match(current, reference).residual)
    black = np.zeros_like(current.colour)
    assert not is_cut(black, difference(black, black))
