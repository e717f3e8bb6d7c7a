"""Regions and alpha combined, measured on a clip with true alpha, and on drawn subjects."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from stream.picture.frames import Alpha, Plane
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, mad, run, truth
from workers.edges import combine
from workers.edges.shape import full_size
from workers.engines.selfie import Selfie

WIDTH, HEIGHT, FRAMES = 320, 180, 4


def reduced(alpha: Alpha, times: int) -> Alpha:
    """What an ideal chooser finds: the hard shape, in a size of its own."""
    size = alpha.shape[1] // times, alpha.shape[0] // times
    return np.asarray(cv2.resize((alpha > 0.5).astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def enlarged(alphas: Sequence[Alpha], like: Alpha) -> list[Alpha]:
    size = like.shape[::-1]
    return [np.asarray(cv2.resize(alpha, size), np.float32) for alpha in alphas]


def soft_disc(x: float, radius: float = 40.0, soft_px: float = 3.0) -> Alpha:
    """A disc with a soft edge, as of hair; the middle of the edge is at the radius."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot(columns + 0.5 - x, rows + 0.5 - HEIGHT / 2)
    return np.asarray(np.clip((radius - distance) / soft_px + 0.5, 0, 1), np.float32)


def picture(*alphas: Alpha) -> Plane:
    """Luma of bright subjects in front of a dark room."""
    return np.asarray(50 + 130 * np.max(alphas, axis=0), np.uint8)


def error(alpha: Alpha, true: Alpha) -> float:
    return float(np.abs(alpha - true).mean())


LEFT, RIGHT, BESIDE = soft_disc(90), soft_disc(230), soft_disc(160, 34)


@pytest.mark.long
def test_it_is_better_than_the_region_and_than_the_engine() -> None:
    """On the first frames. docs/architecture.md has the figures of whole clips."""
    frames, true = clip(count=FRAMES), truth()[:FRAMES]
    alphas = [result.alpha for result in run(Selfie(Options(), Settings()), frames)]
    for times, share in ((8, 0.9), (16, 1.0)):
        regions = [reduced(alpha, times) for alpha in true]
        luma = [frame.planes()[0] for frame in frames]
        both = [combine.within(*parts) for parts in zip(alphas, regions, luma, strict=True)]
        combined = mad(enlarged(both, true[0]), true)
        assert combined < 0.85 * mad(enlarged(regions, true[0]), true)
        assert combined < share * mad(enlarged(alphas, true[0]), true)


@pytest.mark.parametrize(("times", "share"), [(2, 0.6), (4, 0.4), (8, 0.4)])
def test_a_precise_engine_gives_the_edge(times: int, share: float) -> None:
    combined = combine.within(LEFT, reduced(LEFT, times), picture(LEFT))
    assert combined.shape == LEFT.shape
    assert error(combined, LEFT) < share * error(enlarged([reduced(LEFT, times)], LEFT)[0], LEFT)


def test_a_subject_that_the_engine_does_not_see_is_whole_and_fits_the_picture() -> None:
    region = reduced(LEFT, 4)
    combined = combine.within(np.zeros_like(LEFT), region, picture(LEFT))
    assert combined[LEFT == 1].min() > 0.85
    assert combined[LEFT == 0].mean() < 0.01
    assert error(combined, LEFT) < error(enlarged([region], LEFT)[0], LEFT)


def test_a_hole_that_only_the_engine_sees_is_filled() -> None:
    torn = LEFT.copy()
    torn[HEIGHT // 2 - 15 : HEIGHT // 2 + 15, 75:105] = 0
    np.testing.assert_array_equal(combine.within(torn, reduced(LEFT, 4), picture(LEFT))[LEFT == 1], 1)


def test_what_is_outside_the_region_is_gone() -> None:
    alpha = np.maximum(LEFT, RIGHT)
    combined = combine.within(alpha, reduced(LEFT, 4), picture(LEFT, RIGHT))
    assert combined[RIGHT > 0].max() == 0
    assert error(combined, LEFT) < 0.5 * error(enlarged([reduced(LEFT, 4)], LEFT)[0], LEFT)


@pytest.mark.parametrize("removes", [True, False], ids=["removed", "not chosen"])
def test_a_neighbour_that_touches_the_subject_is_cut_off_at_the_regions_border(removes: bool) -> None:
    alpha, kept = np.maximum(LEFT, BESIDE), np.minimum(LEFT, 1 - BESIDE)
    luma = np.asarray(50 + 130 * kept + 60 * BESIDE, np.uint8)
    removed = reduced(BESIDE, 4) if removes else None
    combined = combine.within(alpha, reduced(kept, 4), luma, removed)
    assert combined[BESIDE == 1].mean() < 0.04
    assert combined[kept == 1].mean() > 0.96


def test_where_both_regions_are_full_the_removed_one_wins() -> None:
    combined = combine.within(LEFT, reduced(LEFT, 4), picture(LEFT), reduced(LEFT, 4))
    assert combined.max() < 0.1


def test_removal_takes_the_soft_edge_too_and_leaves_others_alone() -> None:
    alpha = np.maximum(LEFT, RIGHT)
    left = combine.without(alpha, reduced(RIGHT, 8), picture(LEFT, RIGHT))
    assert left[RIGHT > 0].max() < 1e-3
    np.testing.assert_array_equal(left[LEFT > 0], LEFT[LEFT > 0])


def test_removal_stops_at_a_neighbour() -> None:
    alpha, others = np.maximum(LEFT, BESIDE), np.minimum(LEFT, 1 - BESIDE)
    luma = np.asarray(50 + 130 * others + 60 * BESIDE, np.uint8)
    left = combine.without(alpha, reduced(BESIDE, 4), luma)
    assert left[others == 1].mean() > 0.96
    assert left[BESIDE == 1].mean() < 0.05


def test_a_region_with_the_pictures_own_resolution_is_not_blurred() -> None:
    combined = combine.within(np.zeros_like(LEFT), LEFT, picture(LEFT))
    assert error(combined, LEFT) < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (144, 256), (500, 700)])
def test_any_sizes_work(shape: tuple[int, int]) -> None:
    region = np.asarray(cv2.resize(LEFT, shape[::-1]), np.float32)
    for alpha in (LEFT, enlarged([LEFT], region)[0]):
        for combined in (
            combine.within(alpha, region, picture(LEFT), 1 - region),
            combine.within(alpha, region, picture(LEFT)),
            combine.without(alpha, region, picture(LEFT)),
        ):
            assert combined.dtype == np.float32
            assert np.isfinite(combined).all()
            assert combined.min() >= 0.0
            assert combined.max() <= 1.0


def test_nothing_is_changed_in_place() -> None:
    parts = LEFT.copy(), reduced(LEFT, 2), picture(LEFT), reduced(RIGHT, 2)
    before = [part.copy() for part in parts]
    combine.within(*parts)
    combine.without(parts[0], parts[1], parts[2])
    combine.union([parts[1], parts[3]])
    for part, copy in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_the_union_of_regions_of_different_sizes() -> None:
    both = combine.union([reduced(LEFT, 4), reduced(RIGHT, 2)])
    assert both.shape == reduced(LEFT, 4).shape
    assert both[22, 22] == both[22, 57] == 1
    assert full_size(both, clip(count=1)[0]).max() == 255
