"""Guided upsampling: it must follow the picture's edges, and improve coarse mattes."""

from itertools import islice

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.picture.frames import Alpha, Plane
from stream.records.options import Edges, Options
from stream.settings import Settings
from tests.media import TALK, TALK_ALPHA, read
from workers.edges import guided, shape
from workers.engines.selfie import Selfie
from workers.measure import evaluate
from workers.measure.alpha_video import AlphaVideo


def scene(width: int, height: int) -> tuple[Plane, Plane]:
    """A bright tilted ellipse in front of a dark room: luma with a little noise, and the true alpha."""
    canvas = np.zeros((height * 4, width * 4), np.uint8)
    cv2.ellipse(canvas, (width * 2, height * 2), (width, height), 25, 0, 360, 255, -1)
    alpha = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(2).normal(0, 2, alpha.shape)
    return np.rint(60 + alpha * (110 / 255) + noise).astype(np.uint8), np.asarray(alpha, np.uint8)


def coarse(alpha: Plane) -> Alpha:
    """As a poor engine's: small, soft, and shifted a pixel to the right."""
    small = cv2.resize(alpha, (128, 72), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(np.roll(cv2.GaussianBlur(small, (0, 0), 1.0), 1, axis=1), np.float32)


@pytest.mark.parametrize(("width", "height"), [(320, 180), (640, 360)])
def test_edges_follow_the_picture(width: int, height: int) -> None:
    """At the picture's size, and at half of it where the matte is much smaller."""
    luma, true = scene(width, height)
    small = coarse(true)
    plain = cv2.convertScaleAbs(cv2.resize(small, (width, height)), alpha=255)
    errors = [np.abs(a.astype(int) - true).mean() for a in (guided.upsample(small, luma), plain)]
    assert errors[0] < 0.75 * errors[1]
    slopes = [np.abs(np.diff(a.astype(int), axis=1)).max() for a in (guided.upsample(small, luma), plain)]
    assert slopes[0] > slopes[1]


def test_in_a_flat_picture_alpha_is_only_resized() -> None:
    luma, small = np.full((144, 256), 90, np.uint8), np.zeros((72, 128), np.float32)
    small[:, 64:] = 1
    out = guided.upsample(small, luma)
    assert (out[:, :110] == 0).all()
    assert (out[:, 146:] == 255).all()
    assert abs(int(out[70, 127]) - 128) < 40


@pytest.mark.long
def test_it_improves_coarse_mattes() -> None:
    """On frames of the clip with true alpha, in each metric; see the comment in `guided`."""
    selfie = Selfie(Options(), Settings())
    totals = np.zeros((2, 3))
    for frame, true in zip(islice(read(TALK, end_s=3.9), 0, 120, 12), _truth(12), strict=False):
        alpha = selfie.infer([selfie.prepare(frame)], [None])[0].alpha
        for row, refine in enumerate(("off", "on")):
            _, out = shape.shape_alpha(shape.EdgeState(), alpha, frame, Edges(refine=refine))
            error = out.astype(np.int16) - true
            totals[row] += evaluate.mad(error), evaluate.mse(error), evaluate.grad(out, true)
    assert (totals[1] < totals[0] * (0.99, 0.99, 0.95)).all(), totals


def _truth(step: int) -> list[Plane]:
    planes = AlphaVideo(TALK_ALPHA, Settings())
    try:
        return list(islice(planes, 0, 120, step))
    finally:
        planes.close()


@pytest.mark.long
@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.floats(0, 1, width=32)),
    arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70))),
)
@settings(max_examples=60)
def test_any_matte_fits_any_picture(alpha: Alpha, luma: Plane) -> None:
    out = guided.upsample(alpha, luma)
    assert out.shape == luma.shape
    assert out.dtype == np.uint8
    for level in (0.0, 1.0):
        even = guided.upsample(np.full_like(alpha, level), luma)
        assert (even == round(255 * level)).all()
