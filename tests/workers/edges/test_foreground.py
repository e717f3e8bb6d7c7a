"""Estimated foregrounds against known ones, which were composited by a true alpha."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, uniform_filter

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Alpha, Plane, split_i420
from stream.records.options import Options
from stream.sources.pattern import PatternSource
from tests.media import ROOT
from tests.workers.engines.engine_runs import Floats, clip, disc, truth
from workers.edges import foreground

NAMES = ("green", "blue", "busy", "coarse")
CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def background(name: str, width: int, height: int) -> Floats:
    """RGB (H, W, 3)."""
    if name == "busy":
        picture = np.asarray(cv2.imread(str(ROOT / "docs" / "backdrop.jpg")))
        return np.asarray(cv2.resize(picture, (width, height))[..., ::-1], np.float64)
    if name == "coarse":
        patches = np.random.default_rng(5).integers(0, 256, (9, 16, 3)).astype(np.float64)
        return np.asarray(cv2.resize(patches, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.full((height, width, 3), {"green": (0, 200, 60), "blue": (20, 60, 220)}[name], np.float64)


def extended(pixels: Plane, alpha: Alpha) -> Plane:
    """The picture with the colours of its opaque foreground extended beyond the edge, as in hair, with grain."""
    out = pixels.copy()
    for plane, weight in zip(split_i420(out), of_planes(alpha), strict=True):
        rows, columns = distance_transform_edt(weight < 0.98, return_distances=False, return_indices=True)
        smooth = cv2.GaussianBlur(plane[rows, columns].astype(np.float64), (0, 0), 3)
        grain = np.random.default_rng(1).normal(0, 4, plane.shape)
        plane[:] = np.where(weight < 0.98, np.clip(smooth + grain, 16, 235), plane)
    return out


def of_planes(alpha: Alpha) -> tuple[Alpha, Alpha, Alpha]:
    half = np.asarray(cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
    return alpha, half, half


def composite(subject: Plane, behind: Plane, alpha: Alpha) -> Plane:
    """The composite, I420, rounded once, as a camera would record it."""
    out = np.empty_like(subject)
    planes = zip(split_i420(out), split_i420(subject), split_i420(behind), of_planes(alpha), strict=True)
    for plane, front, back, weight in planes:
        plane[:] = np.rint(front * weight + back * (1.0 - weight))
    return out


def scenes(name: str) -> Iterator[tuple[Plane, Plane, Alpha]]:
    """(subject, picture, alpha): a real head, and a walking shape with an edge 12 pixels wide."""
    head, alpha = clip(count=21)[20], truth()[20]
    subject = extended(head.pixels, alpha)
    yield subject, composite(subject, rgb_to_i420(background(name, 640, 480).astype(np.uint8)), alpha), alpha
    walk = PatternSource(480, 270, 60, scene="room")
    for n in (0, 59):
        soft = np.asarray(cv2.blur(walk.alpha(n).astype(np.float32) / 255, (12, 12)), np.float32)
        tones = extended(clip(480, 270, 1)[0].pixels, soft)
        yield tones, composite(tones, rgb_to_i420(background(name, 480, 270).astype(np.uint8)), soft), soft


def error(actual: Plane, expected: Plane, alpha: Alpha) -> float:
    """Mean absolute difference of levels where alpha is partial; all planes weigh the same."""
    errors = [
        np.abs(a.astype(int) - b)[(w > 0.05) & (w < 0.95)].mean()
        for a, b, w in zip(split_i420(actual), split_i420(expected), of_planes(alpha), strict=True)
    ]
    return float(np.mean(errors))


def reference(pixels: Plane, alpha: Alpha) -> Plane:
    """The paper's method without shortcuts, in float64."""
    out = np.empty_like(pixels)
    for target, plane, weight in zip(split_i420(out), split_i420(pixels), of_planes(alpha), strict=True):
        picture, share = plane.astype(np.float64), weight.astype(np.float64)
        subject = behind = picture
        for part in (foreground.WIDE, foreground.NARROW):
            side = foreground.window(part, *plane.shape)
            subject, behind = step(picture, subject, behind, share, side)
        target[:] = np.clip(np.rint(subject), 0, 255)
    return out


def step(picture: Floats, subject: Floats, behind: Floats, alpha: Floats, side: int) -> tuple[Floats, Floats]:
    def total(values: Floats) -> Floats:
        return np.asarray(uniform_filter(values, side, mode="constant"))

    front = total(subject * alpha) / (total(alpha) + 1e-9)
    back = total(behind * (1 - alpha)) / (total(1 - alpha) + 1e-9)
    return front + alpha * (picture - alpha * front - (1 - alpha) * back), back


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_the_old_background_is_removed_from_the_edges(name: str) -> None:
    for subject, picture, alpha in scenes(name):
        estimated = foreground.foreground(picture, alpha)
        assert error(estimated, subject, alpha) < 0.5 * error(picture, subject, alpha)


@pytest.mark.parametrize("name", NAMES)
def test_it_matches_the_paper(name: str) -> None:
    """Wide averages on a grid cost a level or two of 255."""
    for subject, picture, alpha in scenes(name):
        estimated, expected = foreground.foreground(picture, alpha), reference(picture, alpha)
        assert error(estimated, subject, alpha) < 1.02 * error(expected, subject, alpha) + 0.05
        for a, b, weight in zip(split_i420(estimated), split_i420(expected), of_planes(alpha), strict=True):
            difference = np.abs(a.astype(int) - b)[weight > 0.02]
            assert difference.max() <= 4
            assert difference.mean() < 0.5


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_opaque_pixels_are_unchanged(name: str) -> None:
    for _, picture, alpha in scenes(name):
        estimated = foreground.foreground(picture, alpha)
        for a, b, weight in zip(split_i420(estimated), split_i420(picture), of_planes(alpha), strict=True):
            np.testing.assert_array_equal(a[weight == 1.0], b[weight == 1.0])


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_alpha_without_an_edge_changes_nothing(level: float) -> None:
    picture = clip(count=1)[0].pixels
    estimated = foreground.foreground(picture, np.full((480, 640), level, np.float32))
    np.testing.assert_array_equal(estimated, picture)
    assert estimated is not picture


def test_the_borders_of_the_picture_are_estimated_too() -> None:
    """With alpha 1/2: the foreground's single colour is recovered up to the last row and column."""
    alpha = np.full((96, 128), 0.5, np.float32)
    alpha[30:60, 40:80] = 1.0
    alpha[:, 100:] = alpha[:24] = 0.0
    alpha[:, 90:100] = 0.5
    subject = rgb_to_i420(np.full((96, 128, 3), (200, 90, 40), np.uint8))
    picture = composite(subject, rgb_to_i420(np.full((96, 128, 3), (30, 80, 200), np.uint8)), alpha)
    luma = split_i420(foreground.foreground(picture, alpha))[0].astype(int)
    middle = np.abs(luma - split_i420(subject)[0])[40:50, 10:36].mean()
    for border in (luma[24:, 0], luma[-1, :40], luma[24, :40]):
        assert np.abs(border - int(subject[0, 0])).mean() <= middle + 6


@pytest.mark.parametrize("size", [(2, 2), (4, 2), (2, 66), (66, 2), (46, 34), (1366, 768)])
def test_any_size_is_accepted(size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height * 3 // 2, width), 90, np.uint8)
    estimated = foreground.foreground(picture, disc(width, height))
    assert np.abs(estimated.astype(int) - 90).max() <= 1


def test_levels_saturate() -> None:
    rng = np.random.default_rng(2)
    picture = rng.choice(np.array([0, 255], np.uint8), (96, 96))
    alpha = rng.random((64, 96), np.float32)
    estimated = foreground.foreground(picture, alpha)
    expected = reference(picture, alpha)
    assert np.abs(estimated.astype(int) - expected).max() <= 12  # no value has wrapped around at 0 or 255


@pytest.mark.long
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_device_matches_the_cpu(device: str) -> None:
    torch = pytest.importorskip("torch")
    from workers.edges import foreground_torch

    for name in ("coarse", "green"):
        for _, picture, alpha in scenes(name):
            flipped = np.stack([picture, picture[::-1].copy()]), np.stack([alpha, alpha[::-1].copy()])
            pixels, alphas = (torch.from_numpy(a).to(device) for a in flipped)
            out = foreground_torch.foreground(pixels, alphas)
            assert out.dtype == torch.uint8
            for n in range(2):
                expected = foreground.foreground(flipped[0][n], flipped[1][n])
                difference = np.abs(out[n].cpu().numpy().astype(int) - expected)
                weights = of_planes(flipped[1][n])
                for plane, weight in zip(split_i420(difference), weights, strict=True):
                    assert plane[weight > 0].max() <= 1


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_estimating_one_frame_on_the_device_matches_the_cpu(device: str) -> None:
    """With an alpha smaller than the frame."""
    torch = pytest.importorskip("torch")
    from workers.edges import foreground_torch

    _, picture, alpha = next(iter(scenes("coarse")))
    small = alpha[::2, ::2].copy()
    on_device = foreground_torch.estimate(picture, torch.from_numpy(small).to(device))
    difference = np.abs(foreground.estimate(picture, small).astype(int) - on_device)
    enlarged = np.asarray(cv2.resize(small, alpha.shape[::-1]), np.float32)
    for plane, weight in zip(split_i420(difference), of_planes(enlarged), strict=True):
        assert plane[weight > 0].max() <= 1


@pytest.mark.parametrize(
    ("fields", "soft", "hard"),
    [
        ({}, True, False),
        ({"foreground": "estimate"}, True, True),
        ({"foreground": "keep"}, False, False),
        ({"foreground": "estimate", "view": "matte"}, False, False),
        ({"foreground": "estimate", "view": "overlay"}, False, False),
        ({"foreground": "estimate", "background": "none"}, False, False),
        ({"background": "none", "view": "stacked"}, True, False),
        ({"background": "transparent"}, True, False),
    ],
)
def test_it_is_done_when_requested_and_visible(fields: dict[str, str], soft: bool, hard: bool) -> None:
    options = Options.read(**fields)
    assert foreground.should_estimate(options, soft=True) == soft
    assert foreground.should_estimate(options, soft=False) == hard
