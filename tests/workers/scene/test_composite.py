from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.picture.frames import Frame, Plane, VideoInfo, split_i420
from stream.records.options import Options, View
from stream.sources.pattern import PatternSource
from workers.scene import composite

SIZES = [(2, 2), (6, 2), (2, 6), (14, 6), (64, 48), (66, 50), (130, 98)]
GREEN = (173, 42, 26)


def noise(width: int, height: int, seed: int) -> Plane:
    return np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), dtype=np.uint8)


def noisy_alpha(width: int, height: int, seed: int = 5) -> Plane:
    """Every kind of alpha: nothing, everything, and all between."""
    rng = np.random.default_rng(seed)
    alpha = rng.integers(0, 256, (height, width))
    kind = rng.integers(0, 3, (height, width))
    return np.where(kind == 0, 0, np.where(kind == 1, 255, alpha)).astype(np.uint8)


def frame_of(pixels: Plane, alpha: Plane | None = None) -> Frame:
    return Frame(pixels, 7, Fraction(1, 30), alpha=alpha)


def mean_of_four(plane: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    height, width = plane.shape
    return np.asarray(plane.reshape(height // 2, 2, width // 2, 2).astype(np.float64).mean((1, 3)))


def exact_blend(foreground: Plane, background: Plane, alpha: Plane) -> list[npt.NDArray[np.float64]]:
    """Plane by plane in floating point."""
    chroma = np.floor(mean_of_four(alpha) + 0.5)
    weights = (alpha / 255, chroma / 255, chroma / 255)
    planes = zip(split_i420(foreground), split_i420(background), weights, strict=True)
    return [f * w + b * (1 - w) for f, b, w in planes]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_blend_is_within_a_level_of_floating_point(width: int, height: int) -> None:
    fg, bg, alpha = noise(width, height, 1), noise(width, height, 2), noisy_alpha(width, height)
    out = split_i420(composite.blend(fg, bg, alpha))
    for actual, expected in zip(out, exact_blend(fg, bg, alpha), strict=True):
        assert np.abs(actual - expected).max() <= 1.0


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_blend_is_exact_at_alpha_0_and_255_and_where_both_agree(fg: int, bg: int, alpha: int) -> None:
    front, behind = (composite.flat(v, v, v, 4, 2) for v in (fg, bg))
    mask = np.full((2, 4), alpha, np.uint8)
    assert (composite.blend(front, behind, np.full_like(mask, 255)) == fg).all()
    assert (composite.blend(front, behind, np.zeros_like(mask)) == bg).all()
    assert (composite.blend(front, front, mask) == fg).all()


def test_blend_does_not_modify_its_inputs() -> None:
    fg, bg, alpha = noise(16, 8, 1), noise(16, 8, 2), noisy_alpha(16, 8)
    copies = [a.copy() for a in (fg, bg, alpha)]
    composite.blend(fg, bg, alpha)
    assert all((a == b).all() for a, b in zip((fg, bg, alpha), copies, strict=True))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_blank_is_black_where_alpha_is_zero_and_unchanged_elsewhere(width: int, height: int) -> None:
    pixels, alpha = noise(width, height, 1), noisy_alpha(width, height)
    y, u, v = split_i420(composite.blank(pixels, alpha))
    source_y, source_u, source_v = split_i420(pixels)
    assert (y == np.where(alpha > 0, source_y, 16)).all()
    any_visible = mean_of_four(alpha) > 0
    assert (u == np.where(any_visible, source_u, 128)).all()
    assert (v == np.where(any_visible, source_v, 128)).all()


def test_the_faintest_alpha_keeps_its_chroma() -> None:
    """Alpha 1 of 255 in one pixel of four rounds to a mean of 0, but must not be blanked."""
    alpha = np.zeros((4, 4), np.uint8)
    alpha[1, 2] = 1
    _, u, _ = split_i420(composite.blank(composite.flat(*GREEN, 4, 4), alpha))
    assert u.tolist() == [[128, GREEN[1]], [128, 128]]


def test_alpha_of_the_input_and_the_matte_are_multiplied() -> None:
    own, matte = noisy_alpha(16, 8, 1), noisy_alpha(16, 8, 2)
    both = composite.combined_alpha(frame_of(noise(16, 8, 1), own), matte)
    assert (both == np.rint(own.astype(float) * matte / 255)).all()
    assert composite.combined_alpha(frame_of(noise(16, 8, 1)), matte) is matte


def test_composite_over_a_background() -> None:
    pixels, own, background = noise(66, 50, 1), noise(66, 50, 3), composite.flat(*GREEN, 66, 50)
    alpha = noisy_alpha(66, 50)
    out = composite.render(frame_of(pixels), alpha, own, background, View.COMPOSITE)
    assert (out.pixels == composite.blend(own, background, alpha)).all()
    assert (out.alpha, out.gray, out.pts, out.time_base) == (None, False, 7, Fraction(1, 30))


def test_composite_shows_the_background_where_the_input_itself_is_transparent() -> None:
    source = frame_of(noise(16, 8, 1), alpha=np.zeros((8, 16), np.uint8))
    background = composite.flat(*GREEN, 16, 8)
    out = composite.render(source, np.full((8, 16), 255, np.uint8), None, background, View.COMPOSITE)
    assert (out.pixels == background).all()


def test_transparent_has_alpha_and_nothing_of_the_room() -> None:
    pixels, alpha = noise(66, 50, 1), noisy_alpha(66, 50)
    out = composite.render(frame_of(pixels), alpha, None, None, View.COMPOSITE)
    assert out.alpha is not None
    assert (out.alpha == alpha).all()
    assert (out.pixels[:50][alpha == 0] == 16).all()
    assert (out.pixels[:50][alpha > 0] == pixels[:50][alpha > 0]).all()


def test_background_none_returns_the_input_even_with_an_estimated_foreground() -> None:
    source = frame_of(noise(16, 8, 1))
    out = composite.render(source, noisy_alpha(16, 8, 2), noise(16, 8, 3), source.pixels, View.COMPOSITE)
    assert out is source


def test_background_none_keeps_the_alpha_of_the_input_and_blanks_hidden_pixels() -> None:
    alpha = noisy_alpha(16, 8)
    alpha[:4] = 0
    source = frame_of(noise(16, 8, 1), alpha=alpha)
    out = composite.render(source, noisy_alpha(16, 8, 2), noise(16, 8, 3), source.pixels, View.COMPOSITE)
    assert out.alpha is alpha
    assert np.array_equal(out.pixels, composite.blank(source.pixels, alpha))
    assert set(np.unique(out.pixels[:4])) == {16}


def test_matte_is_alpha_as_full_range_grey() -> None:
    alpha = noisy_alpha(16, 8)
    out = composite.render(frame_of(noise(16, 8, 1)), alpha, None, None, View.MATTE)
    assert out.gray
    assert (out.pixels == alpha).all()
    assert (out.width, out.height) == (16, 8)


def test_overlay_keeps_the_subject_and_tints_and_dims_the_rest() -> None:
    source = composite.flat(150, 128, 128, 16, 8)
    alpha = np.zeros((8, 16), np.uint8)
    alpha[:, :8] = 255
    out = composite.render(frame_of(source), alpha, None, None, View.OVERLAY)
    y, u, v = out.planes()
    assert ((y[:, :8] == 150).all(), (u[:, :4] == 128).all(), (v[:, :4] == 128).all()) == (True, True, True)
    assert (y[:, 8:] < 140).all()
    assert (v[:, 4:] > 145).all()


def test_overlay_stays_in_limited_range() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(6).reshape(96, 16)
    out = composite.overlay(ramp, np.zeros((64, 16), np.uint8))
    assert out.min() >= 16
    assert out.max() <= 240


def test_side_by_side_is_the_input_and_the_composite() -> None:
    pixels, background, alpha = noise(66, 50, 1), composite.flat(*GREEN, 66, 50), noisy_alpha(66, 50)
    out = composite.render(frame_of(pixels), alpha, None, background, View.SIDE_BY_SIDE)
    assert (out.width, out.height, out.alpha) == (132, 50, None)
    expected = split_i420(composite.blend(pixels, background, alpha))
    for plane, left, right in zip(out.planes(), split_i420(pixels), expected, strict=True):
        assert (plane[:, : plane.shape[1] // 2] == left).all()
        assert (plane[:, plane.shape[1] // 2 :] == right).all()


def test_side_by_side_shows_transparency_as_a_checkerboard() -> None:
    out = composite.render(frame_of(noise(64, 60, 1)), np.zeros((60, 64), np.uint8), None, None, View.SIDE_BY_SIDE)
    y, u, v = out.planes()
    right = y[:, 64:]
    assert len(np.unique(right)) == 2
    assert right[0, 0] == right[2, 2] != right[0, 2]
    assert (u[:, 32:] == 128).all()
    assert (v[:, 32:] == 128).all()


@pytest.mark.parametrize("background", [None, composite.flat(*GREEN, 66, 50)])
def test_stacked_is_blanked_colour_above_limited_range_alpha(background: Plane | None) -> None:
    pixels, alpha = noise(66, 50, 1), noisy_alpha(66, 50)
    out = composite.render(frame_of(pixels), alpha, None, background, View.STACKED)
    assert (out.width, out.height, out.alpha) == (66, 100, None)
    y, u, v = out.planes()
    blank_y, blank_u, blank_v = split_i420(composite.blank(pixels, alpha))
    assert (y[:50] == blank_y).all()
    assert (y[50:] == np.rint(16 + alpha * (219 / 255))).all()
    assert ((u[:25] == blank_u).all(), (v[:25] == blank_v).all()) == (True, True)
    assert ((u[25:] == 128).all(), (v[25:] == 128).all()) == (True, True)


@pytest.mark.parametrize("view", [v for v in View if v is not View.MATTE])
@pytest.mark.parametrize("background", ["green", "transparent", "none"])
def test_shape_predicts_the_output_of_render(view: View, background: str) -> None:
    source = PatternSource(66, 50, 1)
    frame, alpha = source.frame(0), source.alpha(0)
    behind = {"green": composite.flat(*GREEN, 66, 50), "transparent": None, "none": frame.pixels}[background]
    info = composite.shape(source.info, Options.read(background=background, view=view))
    out = composite.render(frame, alpha, None, behind, view)
    assert (info.width, info.height, info.gray) == (out.width, out.height, out.gray)
    assert info.has_alpha == (out.alpha is not None)
    assert (info.rate, info.frames) == (source.info.rate, source.info.frames)


def test_shape_of_a_matte_is_grey_and_of_an_untouched_input_unchanged() -> None:
    info = VideoInfo(66, 50, Fraction(1, 30), Fraction(30), has_alpha=True)
    matte = composite.shape(info, Options.read(view="matte", background="transparent"))
    assert (matte.gray, matte.has_alpha) == (True, False)
    assert composite.shape(info, Options.read(background="none")).has_alpha
    assert not composite.shape(info, Options.read(background="green")).has_alpha


def test_centre_takes_luma_and_chroma_from_the_same_place() -> None:
    y, x = np.indices((12, 20), dtype=np.uint8)
    chroma = (10 * y + x)[::2, ::2]
    pixels = np.concatenate([(10 * y + x).ravel(), chroma.ravel(), chroma.ravel()]).reshape(18, 20)
    luma, u, v = split_i420(composite.centre(pixels, 8, 4))
    assert (luma == (10 * y + x)[4:8, 6:14]).all()
    assert ((u == luma[::2, ::2]).all(), (v == luma[::2, ::2]).all()) == (True, True)


def test_different_sizes_are_refused() -> None:
    frame = frame_of(noise(16, 8, 1))
    with pytest.raises(ValueError, match="alpha is"):
        composite.render(frame, np.zeros((8, 14), np.uint8), None, None, View.COMPOSITE)
    with pytest.raises(ValueError, match="pictures are"):
        composite.render(frame, np.zeros((8, 16), np.uint8), None, noise(16, 10, 1), View.COMPOSITE)


def half_and_half(width: int = 320, height: int = 180) -> Plane:
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, width // 2 :] = 255
    return alpha


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_light_wraps_only_along_the_edge(strength: float) -> None:
    subject, red = composite.flat(60, 128, 128, 320, 180), composite.flat(150, 100, 200, 320, 180)
    y, _, v = split_i420(composite.light_wrap(subject, red, half_and_half(), strength))
    row = y[90, 160:].astype(int)
    assert row[0] > 60 + 10 * strength
    assert (np.diff(row) <= 0).all()
    assert (row[20:] == 60).all()  # 0.02 of 180 pixels is the blur's deviation
    assert v[45, 80] > 128 + 8 * strength
    assert (v[:, 90:] == 128).all()


def test_strength_scales_the_light_and_0_adds_none() -> None:
    subject, white = composite.flat(60, 110, 140, 320, 180), composite.flat(235, 128, 128, 320, 180)
    lit = [composite.light_wrap(subject, white, half_and_half(), s) for s in (0.0, 0.25, 0.5, 1.0)]
    assert np.array_equal(lit[0], subject)
    at_edge = [int(p[90, 162]) for p in lit]
    assert at_edge == sorted(set(at_edge))


def test_a_black_background_adds_no_light() -> None:
    subject = noise(320, 180, 1)
    black = composite.flat(16, 128, 128, 320, 180)
    assert np.array_equal(composite.light_wrap(subject, black, half_and_half(), 1.0), subject)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_light_wrap_only_adds_light_up_to_that_of_the_background(width: int, height: int) -> None:
    subject, background = noise(width, height, 1), composite.flat(120, 90, 160, width, height)
    out = composite.light_wrap(subject, background, noisy_alpha(width, height), 1.0)[:height].astype(int)
    before = subject[:height].astype(int)
    assert (out >= before - 1).all()
    assert (out <= np.maximum(before, 120) + 1).all()
