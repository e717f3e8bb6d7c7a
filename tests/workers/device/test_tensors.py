from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream.picture.frames import Frame
from tests.workers.engines.engine_runs import Picture, clip, i420
from workers.device import tensors


def smooth_picture(width: int, height: int) -> Picture:
    seeds = np.random.default_rng(1).integers(0, 256, (3, 4, 3)).astype(np.float32)
    return np.asarray(cv2.resize(seeds, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)


def frame(rgb: Picture) -> Frame:
    return Frame(i420(rgb), 0, Fraction(1, 25))


@pytest.mark.parametrize("size", [(320, 240), (322, 178), (854, 480), (100, 320)])
def test_rgb_follows_the_standard(size: tuple[int, int]) -> None:
    expected = smooth_picture(*size)
    actual = tensors.rgb(frame(expected))
    assert actual.shape == (3, size[1], size[0])
    assert actual.dtype == np.float32
    error = np.abs(actual * 255 - expected.transpose(2, 0, 1))
    assert error.mean() < 2.0
    assert error.max() < 40.0  # half-size chroma cannot follow sharp colour changes; garbage differs far more


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 140, 200)])
def test_flat_colours_are_accurate_to_a_few_levels(colour: tuple[int, int, int]) -> None:
    flat = frame(np.full((16, 16, 3), colour, np.float64))
    for actual in (tensors.rgb(flat), tensors.rgb_small(flat, 8, 8)):
        np.testing.assert_allclose(actual.mean(axis=(1, 2)) * 255, colour, atol=2.5)
    np.testing.assert_allclose(tensors.rgb_bytes(flat, 8, 8).mean(axis=(0, 1)), colour, atol=2.5)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (100, 60)])
def test_rgb_small_matches_the_resized_full_picture(size: tuple[int, int]) -> None:
    expected = cv2.resize(smooth_picture(*size), (256, 144), interpolation=cv2.INTER_LINEAR)
    actual = tensors.rgb_small(frame(smooth_picture(*size)), 256, 144)
    assert actual.shape == (3, 144, 256)
    assert actual.dtype == np.float32
    assert actual.flags.c_contiguous
    assert np.abs(actual * 255 - expected.transpose(2, 0, 1)).mean() < 2.0


def test_rgb_small_of_a_real_picture_matches_resizing_after_conversion() -> None:
    (real,) = clip(count=1)
    expected = [cv2.resize(plane, (256, 144), interpolation=cv2.INTER_AREA) for plane in tensors.rgb(real)]
    assert np.abs(tensors.rgb_small(real, 256, 144) - expected).mean() * 255 < 2.0


def test_grey_frames_keep_their_full_range() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    grey = Frame(ramp, 0, Fraction(1, 25), gray=True)
    for actual in (tensors.rgb(grey), tensors.rgb_small(grey, 256, 4)):
        np.testing.assert_allclose(actual, np.repeat(ramp[None] / 255, 3, axis=0), atol=0.5 / 255)


@pytest.mark.parametrize("size", [(640, 480), (100, 60)])
def test_rgb_bytes_is_rgb_small_rounded(size: tuple[int, int]) -> None:
    source = frame(smooth_picture(*size))
    actual = tensors.rgb_bytes(source, 256, 144)
    assert actual.shape == (144, 256, 3)
    assert actual.dtype == np.uint8
    assert np.abs(actual - 255 * tensors.rgb_small(source, 256, 144).transpose(1, 2, 0)).max() <= 1.0


def test_rgb_bytes_of_a_grey_frame_keep_its_range() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    actual = tensors.rgb_bytes(Frame(ramp, 0, Fraction(1, 25), gray=True), 256, 4)
    np.testing.assert_array_equal(actual, np.repeat(ramp[:, :, None], 3, axis=2))
