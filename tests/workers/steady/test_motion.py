import cv2
import numpy as np
import pytest

from tests.workers.scenes import clip
from workers.steady.grid import HEIGHT, WIDTH
from workers.steady.motion import SmallPicture, carry, difference, flow, is_cut, look


@pytest.fixture(scope="module")
def here() -> SmallPicture:
    return look(clip(lambda n: [300.0], 1).frames[0])


def moved(picture: SmallPicture, x: float, y: float) -> SmallPicture:
    def shift(plane: np.ndarray, times: int) -> np.ndarray:
        matrix = np.array([[1, 0, x * times], [0, 1, y * times]], np.float32)
        return np.asarray(cv2.warpAffine(plane, matrix, plane.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))

    return SmallPicture(shift(picture.colour, 1), shift(picture.luma, 2))


@pytest.mark.parametrize(("x", "y"), [(3.0, 0.0), (-5.0, 2.0), (0.0, 1.5)])
def test_the_flow_is_where_things_went(here: SmallPicture, x: float, y: float) -> None:
    there = moved(here, x, y)
    found = flow(here, there)
    inner = found[20:-20, 20:-20]
    assert np.abs(np.median(inner, (0, 1)) - (x, y)).max() < 0.25
    brought = carry(there.colour, found)
    assert difference(here.colour, brought)[20:-20, 20:-20].mean() < 0.3 * difference(here.colour, there.colour).mean()


def test_what_stands_still_has_no_flow(here: SmallPicture) -> None:
    np.testing.assert_array_equal(flow(here, here), np.zeros((HEIGHT, WIDTH, 2), np.float32))


def test_another_scene_is_a_cut_and_a_moving_one_is_not(here: SmallPicture) -> None:
    other = look(clip(lambda n: [120.0], 1, room=2).frames[0])
    there = moved(here, 6.0, 0.0)
    assert is_cut(here.colour, carry(other.colour, flow(here, other)))
    assert not is_cut(here.colour, carry(there.colour, flow(here, there)))
    black = np.zeros_like(here.colour)
    assert not is_cut(black, black)
