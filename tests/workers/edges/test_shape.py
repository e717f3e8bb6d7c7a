"""The effect of each control on pixels."""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.picture.frames import Alpha, Frame, Plane
from stream.records.options import Edges, View
from stream.sources.pattern import PatternSource
from workers.edges import shape
from workers.edges.shape import EdgeState
from workers.scene.composite import flat

PLANES = arrays(np.uint8, st.tuples(st.integers(1, 33), st.integers(1, 33)))


def ramp(width: int = 200, height: int = 40, foot: int = 90, top: int = 110) -> Plane:
    """Alpha that rises from left to right between two columns."""
    row = np.interp(np.arange(width), [foot, top], [0, 255])
    return np.tile(np.rint(row).astype(np.uint8), (height, 1))


def crossing(alpha: Plane) -> float:
    """The column, with its fraction, where the middle row crosses one half."""
    row = alpha[alpha.shape[0] // 2].astype(float)
    after = int(np.argmax(row >= 127.5))
    return float(after - (row[after] - 127.5) / (row[after] - row[after - 1]))


def any_edges() -> st.SearchStrategy[Edges]:
    def number(low: float, high: float) -> st.SearchStrategy[float]:
        return st.floats(low, high) | st.sampled_from([low, high])

    limits = {"threshold": (0.05, 0.95), "contrast": (0.0, 1.0), "specks": (0.0, 0.25), "holes": (0.0, 0.25)}
    limits |= {"expand": (-20.0, 20.0), "feather": (0.0, 30.0), "light_wrap": (0.0, 1.0), "spill": (0.0, 1.0)}
    numbers = {name: number(*ends) for name, ends in limits.items()}
    return st.builds(Edges, refine=st.sampled_from(["auto", "on", "off", "vitmatte"]), **numbers)


def test_rounding_before_enlarging_changes_at_most_one_level_and_keeps_solid_parts() -> None:
    alpha = np.random.default_rng(4).random((36, 64)).astype(np.float32)
    alpha[:, :20], alpha[:, 20:40] = 0.0, 1.0
    frame = Frame(np.zeros((270, 320), np.uint8), 0, Fraction(1, 30))
    full = shape.full_size(alpha, frame)
    rounded_after = np.rint(np.asarray(cv2.resize(alpha, (320, 180), interpolation=cv2.INTER_LINEAR)) * 255)
    assert np.abs(full - rounded_after).max() <= 1
    assert (full[:, :97] == 0).all()
    assert (full[:, 104:196] == 255).all()


@pytest.mark.long
@given(
    any_edges(),
    arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(0, 1, width=32)),
    st.sampled_from([(2, 2), (2, 6), (34, 2), (66, 50), (160, 96)]),
    st.integers(0, 99),
)
@settings(max_examples=150)
def test_any_controls_bring_any_matte_to_the_frame_size(
    chosen: Edges, alpha: Alpha, size: tuple[int, int], seed: int
) -> None:
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (2, height * 3 // 2, width), dtype=np.uint8)
    frame = Frame(noise[0], 0, Fraction(1, 30))
    state = EdgeState()
    for _ in range(2):
        state, shaped = shape.shape_alpha(state, alpha, frame, chosen)
        state, subject = shape.dress(state, frame, shaped, None, noise[1], chosen, View.COMPOSITE)
        assert shaped.shape == (height, width)
        assert shaped.dtype == np.uint8
        assert subject is None or subject.shape == frame.pixels.shape


@given(any_edges(), st.sampled_from([0.0, 1.0]))
@settings(max_examples=60)
def test_full_and_empty_mattes_are_unchanged(chosen: Edges, level: float) -> None:
    """Whatever the controls, a matte without an edge does not change."""
    frame = PatternSource(64, 48, 1, scene="room").frame(0)
    alpha = np.full((48, 64), level, np.float32)
    _, shaped = shape.shape_alpha(EdgeState(), alpha, frame, chosen)
    assert (shaped == round(255 * level)).all()


def test_defaults_change_nothing_but_the_size() -> None:
    frame = PatternSource(96, 64, 1, scene="room").frame(0)
    alpha = np.random.default_rng(1).random((64, 96), np.float32)
    state, shaped = shape.shape_alpha(EdgeState(), alpha, frame, Edges())
    assert np.array_equal(shaped, np.rint(alpha * 255))
    assert state == EdgeState()
    background = flat(235, 128, 128, 96, 64)
    for foreground in (None, frame.pixels.copy()):
        assert shape.dress(state, frame, shaped, foreground, background, Edges(), View.COMPOSITE)[1] is foreground


def test_the_threshold_places_the_edge_at_any_contrast() -> None:
    for threshold in (0.2, 0.5, 0.8):
        for contrast in (0.0, 0.4, 0.9):
            shaped = shape.curve(ramp(), threshold, contrast)
            assert crossing(shaped) == pytest.approx(90 + 20 * threshold, abs=0.2)


def test_contrast_narrows_the_edge() -> None:
    widths = []
    for contrast in (0.0, 0.3, 0.6, 0.9, 1.0):
        row = shape.curve(ramp(), 0.5, contrast)[20]
        widths.append(int(((row > 25) & (row < 230)).sum()))
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 16
    assert widths[-1] <= 1


@given(st.floats(0.05, 0.95), st.floats(0, 1))
def test_the_curve_rises_and_keeps_its_ends(threshold: float, contrast: float) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    shaped = shape.curve(levels, threshold, contrast)[0]
    assert (shaped[0], shaped[255]) == (0, 255)
    assert (np.diff(shaped.astype(int)) >= 0).all()


@pytest.mark.parametrize("radius", [0.25, 0.5, 1.0, 1.5, 3.0, 4.0, 6.75, 12.0, 20.0, -0.5, -1.0, -1.5, -8.0, -20.0])
def test_expansion_moves_a_soft_edge_and_keeps_it_soft(radius: float) -> None:
    before = ramp()
    after = shape.expand(before, radius)
    assert crossing(after) == pytest.approx(crossing(before) - radius, abs=0.05)
    slopes = [np.abs(np.diff(a[20].astype(int))).max() for a in (before, after)]
    assert slopes[1] <= slopes[0] + 1


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.5, 5.0, 9.0, 20.0])
def test_an_expanded_disc_is_a_disc(radius: float) -> None:
    y, x = np.mgrid[-60:61, -60:61]
    disc = ((np.hypot(x, y) <= 30) * 255).astype(np.uint8)
    for sign in (1, -1):
        area = float(shape.expand(disc, sign * radius).sum()) / 255
        assert np.sqrt(area / np.pi) == pytest.approx(30 + sign * radius, abs=0.06 * radius + 0.15)


@given(PLANES, st.floats(0, 20))
@settings(max_examples=50)
def test_expansion_never_lowers_alpha_and_shrinking_expands_the_background(alpha: Plane, radius: float) -> None:
    grown, shrunk = shape.expand(alpha, radius), shape.expand(alpha, -radius)
    assert (grown >= alpha).all()
    assert (shrunk <= alpha).all()
    assert np.abs(grown.astype(int) - (255 - shape.expand(255 - alpha, -radius)).astype(int)).max() <= 1


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0, 15.0, 30.0])
def test_feather_softens_within_its_radius_and_leaves_the_edge_in_place(radius: float) -> None:
    hard = np.zeros((40, 200), np.uint8)
    hard[:, 100:] = 255
    soft = shape.feather(hard, radius)[20].astype(int)
    reach = int(np.ceil(radius))
    assert (soft[: 100 - reach] == 0).all()
    assert (soft[100 + reach :] == 255).all()
    assert abs(crossing(soft[None].astype(np.uint8)) - crossing(hard)) <= 0.5
    assert np.diff(soft).max() <= 255 / radius
    assert (np.diff(soft) >= 0).all()


def test_more_feather_is_softer() -> None:
    hard = np.zeros((40, 200), np.uint8)
    hard[:, 100:] = 255
    widths = [int(np.count_nonzero(shape.feather(hard, r)[20] % 255)) for r in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)]
    assert widths == sorted(set(widths))


@given(PLANES, st.floats(0, 30))
@settings(max_examples=50)
def test_feather_stays_within_the_range_of_alpha(alpha: Plane, radius: float) -> None:
    soft = shape.feather(alpha, radius)
    assert (soft.shape, soft.min() >= alpha.min(), soft.max() <= alpha.max()) == (alpha.shape, True, True)


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.0, 13.0, 30.0])
def test_feather_never_grows_the_solid_part(radius: float) -> None:
    y, x = np.mgrid[-60:61, -60:61]
    disc = np.clip((42 - np.hypot(x, y)) * 64, 0, 255).astype(np.uint8)
    soft = shape.feather(disc, radius)
    assert not ((soft == 255) & (disc < 255)).any()
    assert (soft[np.hypot(x, y) > 43 + 1.5 * np.ceil(radius)] == 0).all()


def test_specks_are_removed_before_the_edge_is_shaped() -> None:
    """Even a speck that expansion would make large."""
    frame = PatternSource(256, 144, 1, scene="room").frame(0)
    alpha = np.zeros((144, 256), np.float32)
    alpha[40:140, 60:160] = 1
    alpha[10:14, 230:234] = 1
    _, shaped = shape.shape_alpha(EdgeState(), alpha, frame, Edges(specks=0.01, expand=10))
    assert shaped[5:20, 220:].max() == 0
    assert shaped[35, 100] == 255


def tinted(width: int = 96, height: int = 64) -> Frame:
    """A skin-coloured subject with a green cast in its left half, in front of a green screen."""
    pixels = flat(110, 80, 70, width, height)
    frame = Frame(pixels, 0, Fraction(1, 30))
    y, u, v = frame.planes()
    y[16:, 24:72] = 150
    u[8:, 12:24], v[8:, 12:24] = 110, 106
    u[8:, 24:36], v[8:, 24:36] = 110, 150
    return frame


def spilled(frame: Frame, spill: float, foreground: Plane | None = None) -> Any:
    alpha = np.zeros((frame.height, frame.width), np.uint8)
    return shape.dress(EdgeState(), frame, alpha, foreground, None, Edges(spill=spill), View.COMPOSITE)


def test_spill_is_removed_by_its_strength_and_skin_is_unchanged() -> None:
    frame = tinted()
    casts = []
    for strength in (0.0, 0.5, 1.0):
        _, subject = spilled(frame, strength)
        pixels = frame.pixels if subject is None else subject
        y, u, v = frame.with_pixels(pixels).planes()
        casts.append(128 - int(u[20, 18]) + 128 - int(v[20, 18]))
        assert (u[20, 30], v[20, 30]) == (110, 150)
        assert np.array_equal(y, frame.planes()[0])
    assert casts[0] == 40
    assert casts[0] > casts[1] > casts[2]
    assert casts[2] <= 8


def test_spill_is_removed_from_the_engines_foreground_and_the_screen_is_remembered() -> None:
    frame = tinted()
    state, subject = spilled(frame, 1.0, foreground=tinted().pixels)
    assert subject is not None
    assert state.screen == pytest.approx((110, 80, 70), abs=1)
    plain = Frame(flat(110, 128, 128, 96, 64), 1, Fraction(1, 30))
    again, _ = shape.dress(state, plain, np.zeros((64, 96), np.uint8), None, None, Edges(spill=1.0), View.COMPOSITE)
    assert again.screen == state.screen


@pytest.mark.parametrize("wall", [(150, 128, 128), (150, 105, 150), (120, 120, 124)])
def test_the_walls_of_a_room_are_not_a_screen(wall: tuple[int, int, int]) -> None:
    """Grey, skin-coloured, faintly green."""
    state, subject = spilled(Frame(flat(*wall, 96, 64), 0, Fraction(1, 30)), 1.0)
    assert (state.screen, subject) == (None, None)


def wrapped(view: View, background: Plane | None) -> Plane | None:
    frame = Frame(flat(60, 110, 140, 96, 64), 0, Fraction(1, 30))
    alpha = np.zeros((64, 96), np.uint8)
    alpha[:, 48:] = 255
    return shape.dress(EdgeState(), frame, alpha, None, background, Edges(light_wrap=1.0), view)[1]


def test_light_wraps_only_where_the_background_is_shown() -> None:
    """In outputs with alpha, or in front of the original room, the subject keeps its colours."""
    white = flat(235, 128, 128, 96, 64)
    assert wrapped(View.COMPOSITE, white) is not None
    assert wrapped(View.SIDE_BY_SIDE, white) is not None
    assert wrapped(View.STACKED, white) is None
    assert wrapped(View.COMPOSITE, None) is None
