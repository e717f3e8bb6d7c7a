from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.errors import InputError
from stream.picture.frames import Frame
from stream.settings import Settings
from tests.media import TALK
from workers.export.pictures import drawn, of_clip, spread


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((3, 2), np.uint8), index, Fraction(1, 25)) for index in range(count)]


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (7, 7), (8, 4), (100, 7), (120, 4)])
def test_frames_are_spread_evenly(count: int, kept: int) -> None:
    found = [frame.pts for frame in spread(iter(frames(count)), 4)]
    assert len(found) == kept
    assert found == [index * (found[1] if kept > 1 else 0) for index in range(kept)]
    assert count < 8 or found[-1] > count * 2 / 3


@pytest.mark.long
def test_frames_that_check_are_not_those_that_calibrate() -> None:
    seen = of_clip(TALK, 64, 32, Settings())
    assert len(seen.calibrated) >= 6
    assert len(seen.checked) >= 2
    for picture in (*seen.calibrated, *seen.checked):
        assert picture.shape == (3, 32, 64)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 1
    assert not any(np.array_equal(one, other) for one in seen.checked for other in seen.calibrated)


def test_a_single_picture_calibrates_and_checks(tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 64, 3), 100, np.uint8)).save(tmp_path / "p.png")
    seen = of_clip(tmp_path / "p.png", 64, 32, Settings())
    assert len(seen.calibrated) == len(seen.checked) == 1


def test_another_file_than_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.mp4").write_text("text")
    with pytest.raises(InputError):
        of_clip(tmp_path / "t.mp4", 64, 32, Settings())


def test_drawn_pictures_differ() -> None:
    seen = drawn(64, 32)
    pictures = [*seen.calibrated, *seen.checked]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) == 4
    assert all(picture.dtype == np.float32 and picture.min() >= 0 and picture.max() <= 1 for picture in pictures)
