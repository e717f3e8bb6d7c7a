from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream.picture.frames import Frame
from tests.workers.engines import Picture, clip, i420
from workers.device import tensors


def smooth(width: int, height: int) -> Picture:
    seeds = np.random.default_rng(1).integers(0, 256, (3, 4, 3)).astype(np.float32)
    return np.asarray(cv2.resize(seeds, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)


def frame(rgb: Picture) -> Frame:
    return Frame(i420(rgb), 0, Fraction(1, 25))


@pytest.mark.parametrize("size", [(320, 240), (322, 178), (854, 480), (100, 320)])
def test_rgb_is_the_standards(size: tuple[int, int]) -> None:
    wanted = smooth(*size)
    got = tensors.rgb(frame(wanted))
    assert got.shape == (3, size[1], size[0])
    assert got.dtype == np.float32
    off = np.abs(got * 255 - wanted.transpose(2, 0, 1))
    assert off.mean() < 2.0
    assert off.max() < 40.0  # where colours bend, chroma of half the size cannot follow; garbage is far more


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 140, 200)])
def test_flat_colours_are_exact_to_the_level(colour: tuple[int, int, int]) -> None:
    flat = frame(np.full((16, 16, 3), colour, np.float64))
    for got in (tensors.rgb(flat), tensors.rgb_small(flat, 8, 8)):
        np.testing.assert_allclose(got.mean(axis=(1, 2)) * 255, colour, atol=2.5)
    np.testing.assert_allclose(tensors.rgb_bytes(flat, 8, 8).mean(axis=(0, 1)), colour, atol=2.5)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (100, 60)])
def test_small_is_the_full_picture_made_small(size: tuple[int, int]) -> None:
    wanted = cv2.resize(smooth(*size), (256, 144), interpolation=cv2.INTER_LINEAR)
    got = tensors.rgb_small(frame(smooth(*size)), 256, 144)
    assert got.shape == (3, 144, 256)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert np.abs(got * 255 - wanted.transpose(2, 0, 1)).mean() < 2.0


def test_small_of_a_real_picture_is_near_to_the_long_way() -> None:
    (real,) = clip(count=1)
    long_way = [cv2.resize(plane, (256, 144), interpolation=cv2.INTER_AREA) for plane in tensors.rgb(real)]
    assert np.abs(tensors.rgb_small(real, 256, 144) - long_way).mean() * 255 < 2.0


def test_grey_frames_keep_their_full_range() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    grey = Frame(ramp, 0, Fraction(1, 25), gray=True)
    for got in (tensors.rgb(grey), tensors.rgb_small(grey, 256, 4)):
        np.testing.assert_allclose(got, np.repeat(ramp[None] / 255, 3, axis=0), atol=0.5 / 255)


@pytest.mark.parametrize("size", [(640, 480), (100, 60)])
def test_bytes_are_the_small_picture_rounded(size: tuple[int, int]) -> None:
    given = frame(smooth(*size))
    got = tensors.rgb_bytes(given, 256, 144)
    assert got.shape == (144, 256, 3)
    assert got.dtype == np.uint8
    assert np.abs(got - 255 * tensors.rgb_small(given, 256, 144).transpose(1, 2, 0)).max() <= 1.0


def test_bytes_of_a_grey_frame_keep_its_range() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    got = tensors.rgb_bytes(Frame(ramp, 0, Fraction(1, 25), gray=True), 256, 4)
    np.testing.assert_array_equal(got, np.repeat(ramp[:, :, None], 3, axis=2))
