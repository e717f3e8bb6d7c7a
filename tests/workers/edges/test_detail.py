"""Refinement inside the band: exact with a network that knows the truth, without seams, nothing outside the band."""

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.picture.frames import Alpha, Plane
from tests.workers.edges.oracle import Oracle
from tests.workers.engines.engine_runs import disc, over
from workers.edges import detail, trimap
from workers.edges.detail import SIDE_PX, Tile

WIDTH, HEIGHT = 1500, 1100


def coarse(alpha: Alpha) -> Alpha:
    """As a poor engine's: small, soft, and shifted a pixel to the right."""
    small = cv2.resize(alpha, (256, 144), interpolation=cv2.INTER_AREA)
    return np.asarray(np.roll(cv2.GaussianBlur(small, (0, 0), 1.0), 1, axis=1), np.float32)


def test_inside_the_band_it_is_the_networks_and_outside_the_engines() -> None:
    """MAD is far below a third of the engine's."""
    true = disc(WIDTH, HEIGHT)
    frame, raw, oracle = over((255, 255, 255), true, (0, 0, 0)), coarse(true), Oracle()
    refined = detail.refine(frame, raw, oracle, batch=3)
    band = trimap.draw(raw, WIDTH, HEIGHT, frame.planes()[0]) == trimap.UNKNOWN
    plain = cv2.resize(raw, (WIDTH, HEIGHT))
    assert refined.dtype == np.float32
    assert np.abs(refined - true)[band].max() < 0.01, "two levels of the conversion to RGB"
    np.testing.assert_array_equal(refined[~band], plain[~band])
    assert np.abs(refined - true).mean() < np.abs(plain - true).mean() / 3
    assert 0.01 < band.mean() < 0.12
    assert max(oracle.calls) == 3
    assert sum(oracle.calls) < 12, "only along the band"
    assert all((part == trimap.UNKNOWN).any() for part in oracle.trimaps)


def test_tiles_are_blended_without_seams() -> None:
    """Even with a network whose tiles contradict each other."""

    def opposite(pictures: Plane, trimaps: Plane) -> Alpha:
        levels = np.arange(len(pictures), dtype=np.float32) % 2
        return np.repeat(levels, trimaps[0].size).reshape(trimaps.shape)

    frame = over((200, 90, 60), np.ones((HEIGHT, WIDTH), np.float32), (0, 0, 0))
    refined = detail.refine(frame, np.full((9, 16), 0.5, np.float32), opposite, batch=99)
    assert refined.min() == 0
    assert refined.max() == 1
    steps = max(np.abs(np.diff(refined, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.05, "the margin of 64 pixels blends them"


def test_without_edges_the_network_does_not_run() -> None:
    frame, oracle = over((255, 255, 255), disc(320, 240), (0, 0, 0)), Oracle()
    for level in (0.0, 1.0):
        assert (detail.refine(frame, np.full((9, 16), level, np.float32), oracle, batch=4) == level).all()
    assert not oracle.calls


def test_a_grey_picture() -> None:
    true = disc(320, 240)
    frame = over((255, 255, 255), true, (0, 0, 0)).with_pixels(np.rint(true * 255).astype(np.uint8), gray=True)
    refined = detail.refine(frame, coarse(true), Oracle(), batch=4)
    assert np.abs(refined - true).mean() < 0.001


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_every_pixel_of_the_band_is_well_inside_a_tile(width: int, height: int, count: int, seed: int) -> None:
    width, height = 2 * width, 2 * height
    rng = np.random.default_rng(seed)
    band = np.zeros((height, width), np.bool_)
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    band[rows, columns] = True
    found = list(detail.tiles(band))
    for tile in found:
        for side, length in ((tile.rows, height), (tile.columns, width)):
            assert 0 <= side.start < side.stop <= length
            assert side.stop - side.start == min(SIDE_PX, length)
            assert side.start % 2 == 0
    inner = np.zeros_like(band)
    for tile in found:
        inner[_inside(tile, band)] = True
    assert inner[band].all()
    assert len(found) <= max(1, count)


def _inside(tile: Tile, band: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The tile without the outer part in which its weight is below one half, except at the picture's sides."""
    sides = []
    for side, length in zip(tile.slices, band.shape, strict=True):
        start = side.start + 32 if side.start else 0
        sides.append(slice(start, side.stop - 32 if side.stop < length else length))
    return sides[0], sides[1]
