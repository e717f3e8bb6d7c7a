from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream.picture.canvas import Canvas, fitted
from stream.picture.frames import Frame, to_av
from stream.settings import Settings
from tests.media import write_video
from tests.orientations import MATRIX, UPRIGHT, corners, quartered
from tests.pictures import stored


@pytest.mark.parametrize(
    ("source", "target", "size"),
    [
        ((640, 360), (0, 0), (640, 360)),
        ((641, 361), (0, 0), (640, 360)),
        ((640, 360), (320, 0), (320, 180)),
        ((640, 360), (0, 720), (1280, 720)),
        ((640, 360), (100, 100), (100, 100)),
        ((3840, 2160), (0, 0), (1920, 1080)),
        ((1, 1), (0, 0), (2, 2)),
    ],
)
def test_the_size_is_the_sources_or_the_one_requested(
    source: tuple[int, int], target: tuple[int, int], size: tuple[int, int]
) -> None:
    assert fitted(source, target, 1920 * 1080) == size


def picture(width: int, height: int, level: int = 90) -> av.VideoFrame:
    frame = Frame(np.full((height * 3 // 2, width), level, np.uint8), 3, Fraction(1, 30))
    return to_av(frame, "yuv420p")


@pytest.mark.parametrize("size", [(64, 48), (128, 96), (32, 24), (640, 486)])
def test_frames_of_the_same_aspect_ratio_fill_the_canvas(size: tuple[int, int]) -> None:
    (frame,) = Canvas((64, 48), Settings())(picture(*size), None)
    assert frame.pixels.shape == (72, 64)
    assert frame.alpha is None
    assert (frame.pixels == 90).all()
    assert frame.pts * frame.time_base == Fraction(1, 10)


def test_other_frames_are_centred_with_transparent_padding() -> None:
    canvas = Canvas((64, 48), Settings())
    (frame,) = canvas(picture(20, 48), None)
    assert frame.alpha is not None
    assert np.flatnonzero(frame.alpha.all(axis=0)).tolist() == list(range(22, 42))
    y, u, _ = frame.planes()
    assert (y[frame.alpha == 255] == 90).all()
    assert (y[frame.alpha == 0] == 128).all()
    assert (u[:, 11:21] == 90).all()
    (flat,) = canvas(picture(128, 20), None)
    assert flat.alpha is not None
    assert np.flatnonzero(flat.alpha.all(axis=1)).tolist() == list(range(18, 28))
    assert next(canvas(picture(64, 48), None)).alpha is None


def test_non_square_pixels_are_scaled() -> None:
    (frame,) = Canvas((64, 48), Settings())(picture(32, 48), Fraction(2))
    assert frame.alpha is None
    assert frame.pixels.shape == (72, 64)


def test_rotated_pictures_fill_the_canvas_upright(tmp_path: Path) -> None:
    """A camera whose pictures are portrait and mirrored."""
    path = write_video(tmp_path / "a.mp4", [stored(quartered(48, 64), 5)], display=MATRIX[5])
    with av.open(str(path)) as container:
        (frame,) = Canvas((24, 32), Settings())(next(container.decode(video=0)), None)
    assert (frame.width, frame.height, corners(frame)) == (24, 32, UPRIGHT)
    assert frame.alpha is None
