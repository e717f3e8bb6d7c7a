"""The band of a trimap holds the soft edges, of real engines on clips with true alpha, and little else."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.picture.frames import Alpha, Frame, Plane, split_i420
from stream.records.options import Options, Temporal
from stream.settings import Settings
from tests.media import TALK, TALK_ALPHA, read
from tests.workers.engines.engine_runs import disc, run
from workers.edges import foreground, trimap
from workers.engines.rvm import Rvm
from workers.engines.selfie import Selfie
from workers.measure.alpha_video import AlphaVideo
from workers.scene.composite import blend, flat
from workers.steady import smooth
from workers.steady.smooth import MattedFrame
from workers.steady.tuning import choose

Clip = tuple[list[Frame], list[Plane]]
"""Frames and their true alphas, uint8 (H, W)."""


@pytest.fixture(scope="module")
def near() -> Clip:
    """The clip with true alpha, until passers-by come whom the engines keep and the true alpha does not."""
    planes = AlphaVideo(TALK_ALPHA, Settings())
    try:
        return read(TALK, 60)[::6], list(islice(planes, 0, 60, 6))
    finally:
        planes.close()


@pytest.fixture(scope="module")
def far(near: Clip) -> Clip:
    """The same person at half the size, in front of a grey wall with noise."""
    frames, true = near
    rng = np.random.default_rng(1)
    made: Clip = [], []
    for frame, alpha in zip(frames, true, strict=True):
        colours = foreground.foreground(frame.pixels, np.asarray(alpha / np.float32(255), np.float32))
        wall = flat(120, 126, 130, 640, 480)
        wall[:480] = np.clip(wall[:480] + rng.normal(0, 6, (480, 640)), 16, 235)
        placed = np.zeros((480, 640), np.uint8)
        placed[240:, 160:480] = cv2.resize(alpha, (320, 240), interpolation=cv2.INTER_AREA)
        subject = wall.copy()
        for to, plane in zip(split_i420(subject), split_i420(colours), strict=True):
            height, width = plane.shape
            half = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            to[height // 2 :, width // 4 : width // 4 + width // 2] = half
        made[0].append(replace(frame, pixels=blend(subject, wall, placed)))
        made[1].append(placed)
    return made


def _mattes(engine: Any, frames: list[Frame]) -> list[Alpha]:
    """The engine's mattes of a file, smoothed over time."""
    tuning = choose(Temporal.OFFLINE, 0.7, engine.name, live=False)
    assert tuning is not None
    state: smooth.SmoothState | None = None
    done: list[MattedFrame] = []
    for frame, result in zip(frames, run(engine, frames), strict=True):
        state, more = smooth.step(state, MattedFrame(frame, result.alpha), tuning)
        done += more
    assert state is not None
    return [matted.alpha for matted in done + smooth.flush(state, tuning)[1]]


def _measured(mattes: Sequence[Alpha], true: Sequence[Plane]) -> tuple[float, float]:
    """The share of soft pixels in the band, and the share of the picture that it covers."""
    bands = [
        trimap.draw(matte, *alpha.shape[::-1]) == trimap.UNKNOWN for matte, alpha in zip(mattes, true, strict=True)
    ]
    soft = [(alpha > 0.02 * 255) & (alpha < 0.98 * 255) for alpha in true]
    held = sum((band & edge).sum() for band, edge in zip(bands, soft, strict=True))
    return float(held / sum(edge.sum() for edge in soft)), float(np.mean(bands))


@pytest.mark.parametrize("engine", [Selfie, Rvm])
@pytest.mark.parametrize("name", ["near", "far"])
def test_the_band_holds_the_soft_pixels(engine: Any, name: str, request: pytest.FixtureRequest) -> None:
    frames, true = request.getfixturevalue(name)
    held, covered = _measured(_mattes(engine(Options(), Settings()), frames), true)
    print(f"{engine.name}, {name}: {held:.4f} of the soft pixels in {covered:.4f} of the picture")
    assert held >= 0.99
    assert covered < 0.12


def _width(matte: Alpha, width: int, height: int) -> float:
    """Of the band around a disc, in pixels: its area over the length of the edge."""
    band = trimap.draw(matte, width, height) == trimap.UNKNOWN
    return float(band.sum() / (2 * np.pi * 0.3 * height))


def test_a_soft_edge_has_a_wider_band_than_a_sharp_one() -> None:
    sharp = disc(640, 480)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 5), np.float32)
    assert 5 < _width(sharp, 640, 480) < 12
    assert _width(soft, 640, 480) > 2.5 * _width(sharp, 640, 480)


def test_the_band_scales_with_the_picture_and_with_the_mattes_resolution() -> None:
    small, large = _width(disc(640, 480), 640, 480), _width(disc(2560, 1920), 2560, 1920)
    assert large == pytest.approx(4 * small, rel=0.25)
    assert _width(disc(80, 60), 640, 480) > 2 * small


def test_a_distant_subject_keeps_a_core() -> None:
    alpha = np.zeros((720, 1280), np.float32)
    cv2.ellipse(alpha, (640, 400), (14, 40), 0, 0, 360, 1.0, -1)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 3), np.float32)
    drawn = trimap.draw(alpha, 1280, 720)
    assert (drawn == trimap.SUBJECT).sum() > 100
    assert (drawn == trimap.UNKNOWN).mean() < 0.01


def test_without_edges_there_is_no_band() -> None:
    for level, value in ((0.0, trimap.BACKGROUND), (1.0, trimap.SUBJECT)):
        assert (trimap.draw(np.full((9, 16), level, np.float32), 320, 180) == value).all()


@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.floats(0, 1, width=32)),
    st.integers(1, 90),
    st.integers(1, 90),
)
@settings(max_examples=60)
def test_any_matte_fits_any_picture(alpha: Alpha, width: int, height: int) -> None:
    drawn = trimap.draw(alpha, width, height)
    assert drawn.shape == (height, width)
    assert set(np.unique(drawn)) <= {trimap.BACKGROUND, trimap.UNKNOWN, trimap.SUBJECT}
    if alpha.shape == (height, width):
        assert (drawn[(alpha > 0.1) & (alpha < 0.9)] == trimap.UNKNOWN).all()
