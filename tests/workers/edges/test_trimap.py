"""The band of a trimap holds the soft edges, of real engines on clips with true alpha, and little else."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
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

UNKNOWN = trimap.UNKNOWN
Bands = npt.NDArray[np.bool_]
Clip = tuple[list[Frame], list[Plane]]
"""Frames and their true alphas, uint8 (H, W)."""


def _clip(count: int, step: int) -> Clip:
    planes = AlphaVideo(TALK_ALPHA, Settings())
    try:
        return read(TALK, count)[::step], list(islice(planes, 0, count, step))
    finally:
        planes.close()


@pytest.fixture(scope="module")
def near() -> Clip:
    """The clip with true alpha, until passers-by come whom the engines keep and the true alpha does not."""
    return _clip(60, 6)


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


def _bands(mattes: Sequence[Alpha], frames: Sequence[Frame]) -> Bands:
    """(frames, H, W)."""
    size = frames[0].width, frames[0].height
    drawn = [trimap.draw(matte, *size, frame.planes()[0]) for matte, frame in zip(mattes, frames, strict=True)]
    return np.asarray(np.stack(drawn) == UNKNOWN)


def _soft(true: Sequence[Plane]) -> Bands:
    levels = np.stack(true)
    return np.asarray((levels > 0.02 * 255) & (levels < 0.98 * 255))


def _errors(mattes: Sequence[Alpha], true: Sequence[Plane], bands: Bands) -> tuple[float, float]:
    """MAD x 1e3 of the mattes, and of the same with the true alpha inside the band."""
    raw = np.stack([cv2.resize(m, t.shape[::-1]) - t / np.float32(255) for m, t in zip(mattes, true, strict=True)])
    return float(np.abs(raw).mean() * 1e3), float(np.abs(raw * ~bands).mean() * 1e3)


@pytest.mark.long
@pytest.mark.parametrize("engine", [Selfie, Rvm])
@pytest.mark.parametrize("name", ["near", "far"])
def test_the_band_holds_the_soft_pixels(engine: Any, name: str, request: pytest.FixtureRequest) -> None:
    frames, true = request.getfixturevalue(name)
    mattes = _mattes(engine(Options(), Settings()), frames)
    bands = _bands(mattes, frames)
    held, covered = bands[_soft(true)].mean(), bands.mean()
    raw, refined = _errors(mattes, true, bands)
    print(f"{engine.name}, {name}: {held:.4f} of the soft pixels in {covered:.4f}, MAD {raw:.2f} to {refined:.2f}")
    assert held >= 0.99
    assert covered < 0.12
    assert refined <= raw / 3


def _even(mattes: Sequence[Alpha], true: Sequence[Plane], covered: float) -> float:
    """The share of soft pixels in a band of the same width everywhere around what is soft in the mattes, and that
    covers as much."""
    far = []
    for matte, alpha in zip(mattes, true, strict=True):
        level = cv2.resize(matte, alpha.shape[::-1])
        certain = np.asarray(np.abs(level - 0.5) >= 0.44, np.uint8)
        far.append(cv2.distanceTransform(certain, cv2.DIST_L2, 5))
    distance = np.stack(far)
    return float((distance[_soft(true)] <= np.quantile(distance, covered)).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "least"), [(Selfie, 0.984), (Rvm, 0.978)])
def test_on_the_whole_clip(engine: Any, least: float) -> None:
    """The aims, 99 % of the soft pixels and a third of the MAD, are missed here, selfie's MAD excepted.

    The true alpha has a haze above a shoulder, more than one percent of its soft pixels, of which the mattes show
    nothing. The rest are edges against passers-by whom the engines keep, and MAD is mostly the passers-by themselves.
    `least` is what was reached. The band is better than one that is evenly wide and covers as much.
    """
    frames, true = _clip(120, 1)
    mattes = _mattes(engine(Options(), Settings()), frames)
    bands = _bands(mattes, frames)
    held, covered = float(bands[_soft(true)].mean()), float(bands.mean())
    even, (raw, refined) = _even(mattes, true, covered), _errors(mattes, true, bands)
    print(f"{engine.name}: {held:.4f} of the soft pixels in {covered:.4f}, evenly {even:.4f}")
    print(f"MAD {raw:.2f} to {refined:.2f}")
    assert held >= max(least, even)
    assert covered < 0.12
    assert refined < raw * 0.4


def _passer_by() -> tuple[Alpha, Plane, Bands]:
    """A matte that runs on from a shoulder into a passer-by, the picture's luma, and the edge between the two."""
    matte, luma = np.zeros((480, 640), np.float32), np.full((480, 640), 180, np.uint8)
    matte[300:] = matte[220:, 280:350] = 1
    luma[220:, 280:350], luma[300:] = 90, 60
    edge = np.zeros((480, 640), np.bool_)
    edge[299:301, 290:340] = True
    return matte, luma, edge


def test_an_edge_of_the_picture_that_leads_into_the_subject_is_unknown() -> None:
    matte, luma, edge = _passer_by()
    luma = np.clip(luma + np.random.default_rng(1).normal(0, 3, luma.shape), 0, 255).astype(np.uint8)
    plain, guided = trimap.draw(matte, 640, 480), trimap.draw(matte, 640, 480, luma)
    assert (plain[edge] == trimap.SUBJECT).mean() > 0.8
    assert (guided[edge] == UNKNOWN).all()
    assert 0 < ((guided == UNKNOWN) & (plain != UNKNOWN)).sum() < 70 * 6, "along the edge alone: noise draws no lines"


def test_lines_of_the_picture_away_from_the_band_and_outside_change_nothing() -> None:
    matte, luma, _ = _passer_by()
    luma[:] = 128
    luma[400:440, 300:400] = luma[50:100, 300:400] = 200
    np.testing.assert_array_equal(trimap.draw(matte, 640, 480, luma), trimap.draw(matte, 640, 480))


def _width(matte: Alpha, width: int, height: int) -> float:
    """Of the band around a disc, in pixels: its area over the length of the edge."""
    band = trimap.draw(matte, width, height) == UNKNOWN
    return float(band.sum() / (2 * np.pi * 0.3 * height))


def test_a_soft_edge_has_a_wider_band_than_a_sharp_one() -> None:
    sharp = disc(640, 480)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 5), np.float32)
    assert 5 < _width(sharp, 640, 480) < 12
    assert _width(soft, 640, 480) > 2.5 * _width(sharp, 640, 480)


@pytest.mark.long
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
    assert (drawn == UNKNOWN).mean() < 0.01


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
    luma = np.random.default_rng(width).integers(0, 256, (height, width), np.uint8)
    drawn = trimap.draw(alpha, width, height, luma)
    assert drawn.shape == (height, width)
    assert set(np.unique(drawn)) <= {trimap.BACKGROUND, UNKNOWN, trimap.SUBJECT}
    if alpha.shape == (height, width):
        assert (drawn[(alpha > 0.1) & (alpha < 0.9)] == UNKNOWN).all()
