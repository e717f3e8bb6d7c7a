import cv2
import numpy as np
import numpy.typing as npt
import pytest

from stream.picture.frames import Alpha, Frame, Plane, split_i420, to_av
from stream.records.options import Options, Rgb
from stream.settings import Settings
from tests.workers.engines.engine_runs import Picture, clip, disc, infer, mad, over, run, truth
from workers.engines.base import Result
from workers.engines.chroma import Chroma

PURE, STUDIO, DIM, BLUE = (0, 255, 0), (50, 150, 70), (40, 90, 50), (0, 60, 255)
ORDINARY = [(128, 128, 128), (235, 235, 235), (15, 15, 15), (220, 170, 140), (200, 30, 30), (230, 220, 30)]
SIZE = 320, 240


def matte(frame: Frame, key: Rgb | None = None) -> Result:
    (result,) = infer(Chroma(Options(key=key), Settings()), [frame], [None])
    return result


def inside(mask: npt.NDArray[np.bool_], by: int = 9) -> npt.NDArray[np.bool_]:
    return cv2.erode(mask.astype(np.uint8), np.ones((by, by), np.uint8)) > 0


def foreground(result: Result) -> Plane:
    assert result.foreground is not None
    return result.foreground


def picture(frame: Frame) -> Picture:
    return to_av(frame, "rgb24").to_ndarray().astype(np.float64)


@pytest.mark.parametrize("screen", [PURE, STUDIO, DIM, BLUE])
@pytest.mark.parametrize("subject", ORDINARY)
def test_a_subject_is_keyed_from_a_screen(screen: Rgb, subject: Rgb) -> None:
    alpha = disc(*SIZE)
    found = matte(over(subject, alpha, screen)).alpha
    assert found.shape == alpha.shape
    assert found[inside(alpha == 1)].min() == 1.0
    assert found[inside(alpha == 0)].max() == 0.0
    assert mad([found], [alpha]) < 6.0  # all of it is within two pixels of the edge


@pytest.mark.parametrize("screen", [PURE, STUDIO, BLUE])
def test_shadows_and_noise_on_the_screen_are_transparent(screen: Rgb) -> None:
    alpha, light = disc(*SIZE), np.tile(np.linspace(0.65, 1, SIZE[0]), (SIZE[1], 1))
    found = matte(over((220, 170, 140), alpha, screen, light, noise=2.0)).alpha
    assert found[inside(alpha == 0)].mean() < 0.002
    assert found[inside(alpha == 1)].mean() > 0.998


def test_a_half_transparent_subject_has_half_alpha() -> None:
    veil = (0.5 * disc(*SIZE)).astype(np.float32)
    found = matte(over((128, 128, 128), veil, PURE)).alpha
    assert found[inside(veil == 0.5)].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.long
@pytest.mark.parametrize(("screen", "limit"), [(PURE, 2.0), (STUDIO, 4.0), (BLUE, 3.0)])
def test_people_with_hair_and_texture(screen: Rgb, limit: float) -> None:
    true = truth()[::20]
    frames = [over(picture(f), t, screen) for f, t in zip(clip()[::20], true, strict=True)]
    alphas: list[Alpha] = [result.alpha for result in run(Chroma(Options(), Settings()), frames)]
    assert mad(alphas, true) < limit


@pytest.mark.long
@pytest.mark.parametrize("screen", [PURE, STUDIO, BLUE])
def test_the_colours_of_the_subject_are_unchanged(screen: Rgb) -> None:
    alpha, frame = truth()[0], clip(count=1)[0]
    mixed = over(picture(frame), alpha, screen)
    core = inside(alpha == 1, 15)
    for actual, expected in zip(split_i420(foreground(matte(mixed))), mixed.planes(), strict=True):
        where = core if actual.shape == core.shape else core[::2, ::2]
        assert np.abs(actual[where].astype(int) - expected[where]).mean() < 3


@pytest.mark.parametrize("screen", [PURE, BLUE])
def test_spill_is_removed_from_the_edge(screen: Rgb) -> None:
    """A grey subject is grey up to its edge."""
    frame = over((128, 128, 128), disc(*SIZE), screen)
    result = matte(frame)

    def cast(pixels: Plane) -> float:
        return float((np.ptp(picture(frame.with_pixels(pixels)), axis=2) * result.alpha).mean())

    assert cast(foreground(result)) < 0.15 * cast(frame.pixels)


@pytest.mark.long
@pytest.mark.parametrize("screen", [PURE, STUDIO, BLUE])
def test_the_foreground_makes_a_composite_over_grey_more_accurate(screen: Rgb) -> None:
    person, alpha = picture(clip(count=1)[0]), truth()[0]
    frame, expected = over(person, alpha, screen), picture(over(person, alpha, (128, 128, 128)))
    result = matte(frame)

    def away(pixels: Plane) -> float:
        weight = result.alpha[..., None]
        return float(np.abs(picture(frame.with_pixels(pixels)) * weight + 128 * (1 - weight) - expected).mean())

    assert away(foreground(result)) < 0.9 * away(frame.pixels)


def test_light_reflected_from_the_screen_is_removed() -> None:
    tinted = (150, 190, 150)
    alpha = disc(*SIZE)
    frame = over(tinted, alpha, PURE)
    core = inside(alpha == 1)
    clean = picture(frame.with_pixels(foreground(matte(frame))))[core].mean(axis=0)
    assert clean[1] - clean[[0, 2]].max() < 20


def test_the_key_is_measured_only_once() -> None:
    frames = [over((128, 128, 128), disc(*SIZE, x), STUDIO, noise=2.0) for x in (0.3, 0.5, 0.7)]
    results = run(Chroma(Options(), Settings()), frames)
    assert results[0].state is results[1].state is results[2].state


def test_a_subject_at_the_border_is_not_taken_for_the_screen() -> None:
    alpha = np.zeros((240, 320), np.float32)
    alpha[60:, 90:230] = 1
    found = matte(over((210, 40, 40), alpha, STUDIO)).alpha
    assert mad([found], [alpha]) < 6.0


def test_a_given_key_finds_a_screen_of_a_similar_colour() -> None:
    alpha = disc(*SIZE)
    found = matte(over((128, 128, 128), alpha, STUDIO), key=PURE).alpha
    assert mad([found], [alpha]) < 6.0


def test_a_given_key_takes_precedence_over_a_more_saturated_border() -> None:
    alpha = np.zeros((240, 320), np.float32)
    alpha[:, :110] = 1
    found = matte(over((220, 20, 20), alpha, STUDIO), key=(0, 177, 64)).alpha
    assert mad([found], [alpha]) < 8.0


def test_without_a_screen_nothing_is_shown_and_the_next_frame_is_searched() -> None:
    chroma, alpha = Chroma(Options(), Settings()), disc(*SIZE)
    room = over((128, 128, 128), alpha, (60, 58, 57), noise=2.0)
    (dark,) = infer(chroma, [room], [None])
    assert dark.alpha.max() == 0.0
    (lit,) = infer(chroma, [over((128, 128, 128), alpha, PURE)], [dark.state])
    assert mad([lit.alpha], [alpha]) < 6.0
