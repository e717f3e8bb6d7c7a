"""Specks and holes: what is removed, what is kept, and that nothing blinks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.picture.frames import Alpha
from workers.edges import contours

HEIGHT, WIDTH = 144, 256
AREA = HEIGHT * WIDTH


def discs(*spots: tuple[float, float, float], size: tuple[int, int] = (HEIGHT, WIDTH), soft: float = 3.0) -> Alpha:
    """Discs (x, y, radius), each with an edge 2 * soft pixels wide."""
    y, x = np.mgrid[: size[0], : size[1]]
    parts = [np.clip(0.5 + (r - np.hypot(x - cx, y - cy)) / (2 * soft), 0, 1) for cx, cy, r in spots]
    return np.asarray(np.maximum.reduce(parts), np.float32)


def share(radius: float) -> float:
    return np.pi * radius**2 / AREA


BODY = (90.0, 90.0, 45.0)


def test_a_speck_is_removed_with_its_soft_edge_and_the_body_is_unchanged() -> None:
    _, cleaned = contours.clean(None, discs(BODY, (220, 30, 5)), specks=0.01, holes=0.0)
    assert np.array_equal(cleaned, discs(BODY))


def test_large_parts_are_kept() -> None:
    alpha = discs(BODY, (220, 30, 14))
    _, cleaned = contours.clean(None, alpha, specks=0.01, holes=0.01)
    assert np.array_equal(cleaned, alpha)


def test_removing_a_speck_beside_the_body_preserves_the_soft_edge() -> None:
    """Their soft edges meet."""
    _, cleaned = contours.clean(None, discs(BODY, (146, 90, 5)), specks=0.01, holes=0.0)
    np.testing.assert_allclose(cleaned, discs(BODY), atol=0.1)
    assert np.array_equal(cleaned[:, :137], discs(BODY)[:, :137])


def test_a_part_connected_by_a_faint_bridge_belongs_to_the_body() -> None:
    """A hand is kept when the engine is unsure of the arm."""
    alpha = discs(BODY, (190, 90, 6))
    alpha[84:96, 130:190] = np.maximum(alpha[84:96, 130:190], 0.2)
    _, cleaned = contours.clean(None, alpha, specks=0.01, holes=0.0)
    assert np.array_equal(cleaned, alpha)


def test_haze_without_solid_pixels_is_a_speck_of_any_size() -> None:
    haze = 0.4 * discs((215, 60, 30))
    _, cleaned = contours.clean(None, np.maximum(discs(BODY), haze), specks=0.001, holes=0.0)
    assert np.array_equal(cleaned, discs(BODY))


def test_a_hole_is_filled_with_its_soft_edge_and_the_outline_is_unchanged() -> None:
    body = discs(BODY)
    alpha = np.minimum(body, 1 - discs((90, 90, 5)))
    _, cleaned = contours.clean(None, alpha, specks=0.0, holes=0.01)
    np.testing.assert_allclose(cleaned, body, atol=1e-6)
    _, left = contours.clean(None, alpha, specks=0.0, holes=0.001)
    assert np.array_equal(left, alpha)


def test_background_at_the_border_is_not_a_hole() -> None:
    alpha = 1 - discs((0, 0, 8))
    _, cleaned = contours.clean(None, alpha, specks=0.0, holes=0.05)
    assert np.array_equal(cleaned, alpha)


def test_of_two_people_the_shrinking_one_disappears_only_once() -> None:
    """From the other's size to a dot, with 10 % noise in its area: no jump, and one change in 120 frames."""
    limit = 0.02
    rng = np.random.default_rng(4)
    kept, shown = None, []
    for n in range(120):
        radius = 45 * (1 - n / 120) * np.sqrt(1 + rng.uniform(-0.1, 0.1))
        alpha = discs((60, 80, 45), (190, 80, max(radius, 1.2)))
        kept, cleaned = contours.clean(kept, alpha, specks=limit, holes=0.0)
        assert np.array_equal(cleaned[:, :110], alpha[:, :110])
        shown.append(bool(cleaned[80, 190] > 0.5))
        if share(radius) > 1.1 * limit:
            assert np.array_equal(cleaned, alpha)
        if share(radius) < 0.9 * limit / 2:
            assert not shown[-1]
    assert np.count_nonzero(np.diff(shown)) == 1


@pytest.mark.parametrize(("first", "stays"), [(1.2, True), (0.8, False)])
def test_a_part_near_the_limit_does_not_blink(first: float, stays: bool) -> None:
    """Once kept, it is kept until half the limit; once dropped, dropped until the full limit."""
    limit, kept, shown = 0.01, None, []
    for n in range(30):
        radius = np.sqrt((first if n == 0 else 0.8 + 0.15 * (n % 2)) * limit * AREA / np.pi)
        kept, cleaned = contours.clean(kept, discs(BODY, (210, 40 + n, radius)), specks=limit, holes=0.0)
        shown.append(bool(cleaned[40 + n, 210] > 0.5))
    assert shown == [stays] * 30


def test_a_hole_near_the_limit_does_not_blink() -> None:
    limit, kept, shown = 0.01, None, []
    for n in range(30):
        radius = np.sqrt((1.2 if n == 0 else 0.8 + 0.3 * (n % 2)) * limit * AREA / np.pi)
        alpha = np.minimum(discs(BODY), 1 - discs((90, 90, radius)))
        kept, cleaned = contours.clean(kept, alpha, specks=0.0, holes=limit)
        shown.append(bool(cleaned[90, 90] < 0.5))
    assert shown == [True] * 30


def test_a_full_size_matte_is_cleaned_the_same() -> None:
    """Parts are found at reduced size; the alpha of kept parts is unchanged."""
    body, speck = (450.0, 450.0, 225.0), (1100.0, 150.0, 25.0)
    alpha = discs(body, speck, size=(720, 1280), soft=8)
    _, cleaned = contours.clean(None, alpha, specks=0.01, holes=0.0)
    assert np.array_equal(cleaned, discs(body, size=(720, 1280), soft=8))


def test_a_new_size_or_disabling_starts_over() -> None:
    kept, _ = contours.clean(None, discs(BODY), specks=0.01, holes=0.0)
    wide, _ = contours.clean(kept, discs(BODY, size=(100, 200)), specks=0.01, holes=0.0)
    assert wide is not None
    assert wide.subject.shape == (100, 200)
    alpha = discs(BODY)
    state, same = contours.clean(kept, alpha, specks=0.0, holes=0.0)
    assert state is None
    assert same is alpha


@given(
    arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(0, 1, width=32)),
    st.floats(0, 0.25),
    st.floats(0, 0.25),
)
@settings(max_examples=100)
def test_any_matte_stays_in_range_and_is_only_reduced_or_filled(alpha: Alpha, specks: float, holes: float) -> None:
    kept = None
    for _ in range(2):
        kept, cleaned = contours.clean(kept, alpha, specks, holes)
        assert cleaned.dtype == np.float32
        assert ((cleaned >= 0) & (cleaned <= 1)).all()
    if holes == 0:
        assert (cleaned <= alpha).all()
    if specks == 0:
        assert (cleaned >= alpha - 1e-6).all()
