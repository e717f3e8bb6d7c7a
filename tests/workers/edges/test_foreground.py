"""Colours of the subject against known ones: composited by a true alpha, and to be found again."""

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
from tests.workers.engines import Floats, clip, disc, truth
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


def continued(pixels: Plane, alpha: Alpha) -> Plane:
    """A picture in which the colours of what is wholly subject go on beyond its edge, as hair's do, with a grain."""
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


def mixed(subject: Plane, behind: Plane, alpha: Alpha) -> Plane:
    """I420, rounded once: what a camera would have seen."""
    out = np.empty_like(subject)
    planes = zip(split_i420(out), split_i420(subject), split_i420(behind), of_planes(alpha), strict=True)
    for plane, front, back, weight in planes:
        plane[:] = np.rint(front * weight + back * (1.0 - weight))
    return out


def scenes(name: str) -> Iterator[tuple[Plane, Plane, Alpha]]:
    """(subject, picture, alpha): a real head, and a walking shape with an edge 12 pixels wide."""
    head, alpha = clip(count=21)[20], truth()[20]
    subject = continued(head.pixels, alpha)
    yield subject, mixed(subject, rgb_to_i420(background(name, 640, 480).astype(np.uint8)), alpha), alpha
    walk = PatternSource(480, 270, 60, scene="room")
    for n in (0, 59):
        soft = np.asarray(cv2.blur(walk.alpha(n).astype(np.float32) / 255, (12, 12)), np.float32)
        tones = continued(clip(480, 270, 1)[0].pixels, soft)
        yield tones, mixed(tones, rgb_to_i420(background(name, 480, 270).astype(np.uint8)), soft), soft


def error(got: Plane, wanted: Plane, alpha: Alpha) -> float:
    """Mean absolute difference of levels in the band, all planes alike."""
    errors = [
        np.abs(a.astype(int) - b)[(w > 0.05) & (w < 0.95)].mean()
        for a, b, w in zip(split_i420(got), split_i420(wanted), of_planes(alpha), strict=True)
    ]
    return float(np.mean(errors))


def by_the_paper(pixels: Plane, alpha: Alpha) -> Plane:
    """Every window at every pixel, in float64; nothing left out."""
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


@pytest.mark.parametrize("name", NAMES)
def test_the_old_background_leaves_the_edges(name: str) -> None:
    for subject, picture, alpha in scenes(name):
        found = foreground.foreground(picture, alpha)
        assert error(found, subject, alpha) < 0.5 * error(picture, subject, alpha)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_paper_computes(name: str) -> None:
    """Its wide averages, here of a grid, cost a level or two of 255."""
    for subject, picture, alpha in scenes(name):
        found, wanted = foreground.foreground(picture, alpha), by_the_paper(picture, alpha)
        assert error(found, subject, alpha) < 1.02 * error(wanted, subject, alpha) + 0.05
        for a, b, weight in zip(split_i420(found), split_i420(wanted), of_planes(alpha), strict=True):
            difference = np.abs(a.astype(int) - b)[weight > 0.02]
            assert difference.max() <= 4
            assert difference.mean() < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_what_is_all_subject_keeps_its_pixels(name: str) -> None:
    for _, picture, alpha in scenes(name):
        found = foreground.foreground(picture, alpha)
        for a, b, weight in zip(split_i420(found), split_i420(picture), of_planes(alpha), strict=True):
            np.testing.assert_array_equal(a[weight == 1.0], b[weight == 1.0])


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_alpha_without_an_edge_changes_nothing(level: float) -> None:
    picture = clip(count=1)[0].pixels
    found = foreground.foreground(picture, np.full((480, 640), level, np.float32))
    np.testing.assert_array_equal(found, picture)
    assert found is not picture


def test_edges_of_the_picture_are_like_any_place() -> None:
    """Half of everything: the subject's colour is known to be one, and is found up to the last row and column."""
    alpha = np.full((96, 128), 0.5, np.float32)
    alpha[30:60, 40:80] = 1.0
    alpha[:, 100:] = alpha[:24] = 0.0
    alpha[:, 90:100] = 0.5
    subject = rgb_to_i420(np.full((96, 128, 3), (200, 90, 40), np.uint8))
    picture = mixed(subject, rgb_to_i420(np.full((96, 128, 3), (30, 80, 200), np.uint8)), alpha)
    luma = split_i420(foreground.foreground(picture, alpha))[0].astype(int)
    middle = np.abs(luma - split_i420(subject)[0])[40:50, 10:36].mean()
    for border in (luma[24:, 0], luma[-1, :40], luma[24, :40]):
        assert np.abs(border - int(subject[0, 0])).mean() <= middle + 6


@pytest.mark.parametrize("size", [(2, 2), (4, 2), (2, 66), (66, 2), (46, 34), (1366, 768)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height * 3 // 2, width), 90, np.uint8)
    found = foreground.foreground(picture, disc(width, height))
    assert np.abs(found.astype(int) - 90).max() <= 1


def test_levels_do_not_leave_their_range() -> None:
    rng = np.random.default_rng(2)
    picture = rng.choice(np.array([0, 255], np.uint8), (96, 96))
    alpha = rng.random((64, 96), np.float32)
    found = foreground.foreground(picture, alpha)
    wanted = by_the_paper(picture, alpha)
    assert np.abs(found.astype(int) - wanted).max() <= 12  # no value has come round from below 0 or above 255


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_devices_colours_are_those_of_the_cpu(device: str) -> None:
    torch = pytest.importorskip("torch")
    from workers.edges import foreground_torch

    for name in ("coarse", "green"):
        for _, picture, alpha in scenes(name):
            flipped = np.stack([picture, picture[::-1].copy()]), np.stack([alpha, alpha[::-1].copy()])
            pixels, alphas = (torch.from_numpy(a).to(device) for a in flipped)
            out = foreground_torch.foreground(pixels, alphas)
            assert out.dtype == torch.uint8
            for n in range(2):
                wanted = foreground.foreground(flipped[0][n], flipped[1][n])
                difference = np.abs(out[n].cpu().numpy().astype(int) - wanted)
                weights = of_planes(flipped[1][n])
                for plane, weight in zip(split_i420(difference), weights, strict=True):
                    assert plane[weight > 0].max() <= 1


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_frame_gets_the_cpus_colours_by_way_of_the_device(device: str) -> None:
    """The alpha is as small as an engine's."""
    torch = pytest.importorskip("torch")
    from workers.edges import foreground_torch

    _, picture, alpha = next(iter(scenes("coarse")))
    small = alpha[::2, ::2].copy()
    there = foreground_torch.estimate(picture, torch.from_numpy(small).to(device))
    away = np.abs(foreground.estimate(picture, small).astype(int) - there)
    grown = np.asarray(cv2.resize(small, alpha.shape[::-1]), np.float32)
    for plane, weight in zip(split_i420(away), of_planes(grown), strict=True):
        assert plane[weight > 0].max() <= 1


@pytest.mark.parametrize(
    ("fields", "soft", "rigid"),
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
def test_it_is_done_when_asked_for_and_seen(fields: dict[str, str], soft: bool, rigid: bool) -> None:
    options = Options.read(**fields)
    assert foreground.wanted(options, soft=True) == soft
    assert foreground.wanted(options, soft=False) == rigid
