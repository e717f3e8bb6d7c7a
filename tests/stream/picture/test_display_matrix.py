"""Display matrices as one of the eight orientations."""

import math
import sys
from fractions import Fraction

import av
import pytest

from stream.picture.display_matrix import Display, Displays
from stream.picture.orientation import Orientation
from tests.orientations import MATRIX

ALL = pytest.mark.parametrize("orientation", range(1, 9))


@ALL
def test_each_orientation(orientation: int) -> None:
    assert Display.of_matrix(*MATRIX[orientation]) == Display(Orientation.of_exif(orientation))


@ALL
@pytest.mark.parametrize("scale", [1 / 65536, 0.5, 1.004, 30_000])
def test_a_common_scale_changes_nothing(orientation: int, scale: float) -> None:
    a, b, c, d = (scale * value for value in MATRIX[orientation])
    assert Display.of_matrix(a, b, c, d) == Display(Orientation.of_exif(orientation))


def turned(orientation: int, angle_deg: float) -> tuple[float, float, float, float]:
    """The matrix of an orientation, turned clockwise by a further angle."""
    a, b, c, d = MATRIX[orientation]
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return a * cos - b * sin, a * sin + b * cos, c * cos - d * sin, c * sin + d * cos


@ALL
@pytest.mark.parametrize("angle_deg", [-44, -1, 0.3, 44])
def test_any_angle_counts_as_the_nearest_multiple_of_90_degrees(orientation: int, angle_deg: float) -> None:
    display = Display.of_matrix(*turned(orientation, angle_deg))
    assert display.orientation == Orientation.of_exif(orientation)
    assert display.off_deg == pytest.approx(abs(angle_deg))
    assert display.sar is None


@pytest.mark.parametrize("abcd", [(1, 1, -1, 1), (1, -1, 1, 1)])
def test_halfway_between_two_orientations_the_smaller_rotation_is_used(abcd: tuple[float, ...]) -> None:
    assert Display.of_matrix(*abcd) == Display(off_deg=45)


@pytest.mark.parametrize("abcd", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (1, 1, 1, 1), (1, 0, 1, 0.01)])
def test_a_matrix_without_two_axes_counts_as_upright(abcd: tuple[float, ...]) -> None:
    assert Display.of_matrix(*abcd) == Display()


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_axes_of_different_length_stretch_pixels(orientation: int) -> None:
    a, _, _, d = MATRIX[orientation]
    assert Display.of_matrix(4 * a, 0, 0, 3 * d) == Display(Orientation.of_exif(orientation), sar=Fraction(4, 3))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_aspect_ratio_is_that_of_stored_pixels(orientation: int) -> None:
    _, b, c, _ = MATRIX[orientation]
    assert Display.of_matrix(0, 4 * b, 3 * c, 0) == Display(Orientation.of_exif(orientation), sar=Fraction(4, 3))


def test_shear_changes_nothing() -> None:
    assert Display.of_matrix(-1, 0, 0.2, 1).orientation == Orientation(mirrored=True)


def test_a_frame_without_a_matrix_is_upright() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    Displays().apply(frame)
    assert Display.of_frame(frame) == Display()
    assert frame.opaque is None


def test_frames_do_not_refer_to_themselves() -> None:
    """Their pixels would stay in memory until garbage is collected."""
    frame = av.VideoFrame(16, 16, "yuv420p")
    before = sys.getrefcount(frame)
    Displays().apply(frame)
    assert Display.of_frame(frame) == Display()
    assert sys.getrefcount(frame) == before
