import numpy as np
import pytest

from stream.picture.frames import Alpha
from workers.edges.face_parts import Box, heads, united


def alpha(width: int, height: int, *rectangles: tuple[int, int, int, int]) -> Alpha:
    """1 in each rectangle (left, top, right, bottom), else 0."""
    out = np.zeros((height, width), np.float32)
    for left, top, right, bottom in rectangles:
        out[top:bottom, left:right] = 1
    return out


BODY = alpha(100, 100, (30, 50, 70, 100))
FACE = alpha(100, 100, (40, 35, 60, 60))
HAT = alpha(100, 100, (35, 20, 65, 35))
NOTHING = alpha(100, 100)


def test_parts_that_touch_the_matte_are_added() -> None:
    scarf = alpha(100, 100, (70, 60, 80, 70))
    np.testing.assert_array_equal(united(BODY, scarf, NOTHING), np.maximum(BODY, scarf))


def test_parts_that_touch_a_face_of_the_matte_are_added_without_the_face() -> None:
    """The hat touches the face, of which only the chin is in the matte."""
    np.testing.assert_array_equal(united(BODY, HAT, FACE), np.maximum(BODY, HAT))


@pytest.mark.parametrize("face", [NOTHING, alpha(100, 100, (0, 10, 20, 25))])
def test_parts_of_people_that_are_not_in_the_matte_are_not_added(face: Alpha) -> None:
    hat = alpha(100, 100, (0, 0, 20, 10))
    np.testing.assert_array_equal(united(BODY, hat, face), BODY)


def test_nothing_is_removed_and_no_skin_is_added() -> None:
    soft = BODY * np.float32(0.7)
    np.testing.assert_array_equal(united(soft, NOTHING, FACE), soft)


def test_a_soft_part_has_a_soft_edge() -> None:
    ramp = np.repeat(np.linspace(1, 0, 100, dtype=np.float32)[None], 100, axis=0)
    found = united(alpha(100, 100, (0, 0, 10, 100)), ramp, NOTHING)[50]
    assert found[20] == 1
    assert 0.4 < found[50] < 0.6
    assert (found[60:] < found[50]).all()
    assert found[80] == 0


def test_values_stay_in_range() -> None:
    rng = np.random.default_rng(1)
    values = [rng.random((40, 60), np.float32) for _ in range(3)]
    found = united(*values)
    assert found.dtype == np.float32
    assert (found >= values[0]).all()
    assert found.max() <= 1


def test_a_head_is_expected_at_the_upper_end_of_a_person() -> None:
    standing = alpha(320, 180, (150, 40, 190, 180))
    (box,) = heads(standing)
    assert box.right - box.left == box.bottom - box.top
    assert box.left < 150
    assert box.right > 190
    assert box.top < 30  # with room for a hat
    assert 70 < box.bottom < 100


def test_every_large_piece_has_a_head_and_specks_have_none() -> None:
    found = heads(alpha(320, 180, (20, 60, 80, 180), (200, 40, 300, 180), (150, 90, 153, 93)))
    assert len(found) == 2
    assert found[0].left < 250 < found[0].right  # the larger piece first
    assert found[1].left < 50 < found[1].right


def test_pieces_of_one_head_have_one_box() -> None:
    """Lost glasses cut the forehead off."""
    whole = alpha(320, 180, (130, 60, 190, 180), (145, 20, 175, 60))
    cut = alpha(320, 180, (130, 60, 190, 180), (145, 44, 175, 60), (145, 20, 175, 32))
    assert heads(cut) == heads(whole)
    assert len(heads(whole)) == 1


def test_boxes_do_not_depend_on_the_resolution() -> None:
    small = alpha(160, 90, (60, 20, 90, 90))
    (one,), (two,) = heads(small), heads(np.kron(small, np.ones((12, 12), np.float32)))
    np.testing.assert_allclose(one.relative(small), np.array((two.left, two.top, two.right, two.bottom)) /
                               (1920, 1080, 1920, 1080), atol=0.02)  # fmt: skip


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (64, 2), (3, 50), (640, 360)])
def test_boxes_lie_in_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    for found in (heads(np.ones((height, width), np.float32)), heads(np.zeros((height, width), np.float32))):
        for box in found:
            assert 0 <= box.left < box.right <= width
            assert 0 <= box.top < box.bottom <= height
    assert not found


def test_a_box_in_shares_of_the_picture() -> None:
    assert Box(10, 20, 30, 40).relative(np.zeros((80, 40), np.float32)) == (0.25, 0.25, 0.75, 0.5)
