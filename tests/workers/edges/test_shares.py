"""A matte divided among subjects: apart, touching, fading, and beyond their regions."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from stream.picture.frames import Alpha, Plane
from workers.edges.shares import Shares, shares, split

WIDTH, HEIGHT = 320, 180
GRID = (80, 45)
Image = npt.NDArray[np.uint8]


def disc(x: int, y: int = 90, radius: int = 40) -> Plane:
    canvas = np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8)
    cv2.circle(canvas, (2 * x, 2 * y), 2 * radius, 255, -1)
    return np.asarray(cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def region(matte: Plane) -> Alpha:
    """At a quarter of the picture's size."""
    return np.asarray(cv2.resize(matte, GRID, interpolation=cv2.INTER_AREA) / 255, np.float32)


def painted(*layers: tuple[Plane, int]) -> Plane:
    """The luma of a picture: layers of (matte, luma) in front of 128."""
    luma = np.full((HEIGHT, WIDTH), 128, np.float32)
    for matte, level in layers:
        luma += matte / np.float32(255) * (level - luma)
    return np.rint(luma).astype(np.uint8)


ANN, BOB = disc(80), disc(240)
FLAT = painted()


def test_subjects_apart_keep_their_mattes_to_the_last_level() -> None:
    found = split(ANN | BOB, shares({"ann": region(ANN), "bob": region(BOB)}), painted((ANN, 40), (BOB, 200)))
    assert list(found) == ["ann", "bob"]
    np.testing.assert_array_equal(found["ann"], ANN)
    np.testing.assert_array_equal(found["bob"], BOB)


@pytest.mark.parametrize("names", [("ann", "bob", "eve"), ("eve", "bob", "ann")])
def test_together_they_are_the_matte_wherever_they_touch(names: tuple[str, ...]) -> None:
    mattes = {"ann": disc(120), "bob": disc(170), "eve": disc(150, 130, 30)}
    union = np.maximum.reduce(list(mattes.values()))
    soft = np.asarray(cv2.GaussianBlur(union, (0, 0), 3), np.uint8)
    regions = {name: region(mattes[name]) for name in names}
    noise = np.random.default_rng(1).integers(0, 256, soft.shape).astype(np.uint8)
    found = split(soft, shares(regions), noise)
    total = np.sum([part.astype(int) for part in found.values()], axis=0)
    np.testing.assert_array_equal(total, soft)


@pytest.mark.parametrize("levels", [(40, 200), (120, 135)])
def test_two_that_touch_are_divided_where_one_covers_the_other(levels: tuple[int, int]) -> None:
    bob = disc(190)
    ann = np.minimum(disc(130), 255 - bob)
    luma = painted((ann, levels[0]), (bob, levels[1]))
    found = split(np.maximum(disc(130), bob), shares({"ann": region(ann), "bob": region(bob)}), luma)
    inside, outside = cv2.erode(bob, np.ones((7, 7))), cv2.dilate(bob, np.ones((7, 7)))
    assert found["ann"][inside == 255].max() < 8
    assert found["bob"][outside == 0].max() < 8
    for name, true in (("ann", ann), ("bob", bob)):
        assert np.abs(found[name].astype(int) - true).mean() / 0.255 < 3.5, name


def test_what_is_beyond_the_regions_is_that_of_the_nearest_subject() -> None:
    """A hat, or an edge that the user widens."""
    wide = disc(80, radius=52) | disc(240, radius=52)
    found = split(wide, shares({"ann": region(ANN), "bob": region(BOB)}), FLAT)
    np.testing.assert_array_equal(found["ann"], disc(80, radius=52))
    np.testing.assert_array_equal(found["bob"], disc(240, radius=52))


def test_what_is_far_from_all_regions_is_nobodys() -> None:
    """Smoothing over time may know a subject before its first prompt: it is not part of another one."""
    found = split(ANN | BOB, shares({"ann": region(ANN), "bob": region(BOB) * 0}), FLAT)
    np.testing.assert_array_equal(found["ann"], ANN)
    assert not found["bob"].any()
    assert not any(part.any() for part in split(ANN, shares({"ann": region(ANN) * 0}), FLAT).values())
    assert split(ANN, shares({}), FLAT) == {}


def test_one_subject_has_the_whole_matte_around_it() -> None:
    np.testing.assert_array_equal(split(ANN, shares({"ann": region(ANN)}), FLAT)["ann"], ANN)


def test_shares_are_those_of_the_regions() -> None:
    def both(ann: float, bob: float) -> Shares:
        return shares({"ann": np.full((4, 4), ann, np.float32), "bob": np.full((4, 4), bob, np.float32)})

    for ann, bob, expected in ((1.0, 1.0, 0.5), (1.0, 0.25, 0.8), (0.2, 0.0, 1.0), (0.0, 0.0, 0.0)):
        found = both(ann, bob)
        assert found["ann"] == pytest.approx(np.full((4, 4), expected)), (ann, bob)


def test_regions_may_have_any_sizes() -> None:
    large = {"ann": (ANN / 255).astype(np.float32), "bob": region(BOB)}
    found = split(ANN | BOB, shares(large), FLAT)
    np.testing.assert_array_equal(found["ann"], ANN)
    parts = shares({"ann": np.ones((900, 1600), np.float32)})
    assert parts["ann"].shape == (180, 180)
