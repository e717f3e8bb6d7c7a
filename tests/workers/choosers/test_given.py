"""The chooser `mask`: pictures, videos and their times as regions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.errors import MatteboxError, UnreadableMedia, UsageError
from stream.records.options import Options
from stream.records.subjects import parse_subjects
from stream.settings import Settings
from tests.media import write_video
from tests.workers.choosers.scene import alpha
from workers.choosers.base import Choice, Question
from workers.choosers.given import Given, Memory

SETTINGS = Settings(threads=1)
WIDTH, HEIGHT = 320, 180
TRUE = alpha("red", 0.0)


def asked(*specs: str, time_s: float = 0.0, width: int = WIDTH, height: int = HEIGHT) -> Question:
    return Question(None, parse_subjects(specs), width, height, time_s)


def answer(question: Question, memory: Memory | None = None) -> Choice:
    (choice,) = Given(Options(), SETTINGS).choose([question], [memory])
    return choice


def grey(path: Path, level: int = 255) -> Path:
    Image.fromarray((TRUE * level).astype(np.uint8)).save(path)
    return path


def coloured(path: Path) -> Path:
    """The subject in dark blue and orange, on black."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[TRUE > 0.5] = (10, 20, 120)
    pixels[: HEIGHT // 2][TRUE[: HEIGHT // 2] > 0.5] = (230, 120, 10)
    Image.fromarray(pixels).save(path)
    return path


def opaque_part(path: Path) -> Path:
    """The subject is black, and the rest transparent."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 3] = np.rint(TRUE * 255)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("draw", [grey, coloured, opaque_part])
def test_a_picture_is_the_region(draw: object, tmp_path: Path) -> None:
    path = draw(tmp_path / "mask.png")  # type: ignore[operator]
    region = answer(asked(f"mask:{path}")).regions["subject"]
    assert region.dtype == np.float32
    assert np.abs(region - TRUE).mean() < 0.01


def test_grey_is_soft(tmp_path: Path) -> None:
    region = answer(asked(f"mask:{grey(tmp_path / 'm.png', 128)}")).regions["subject"]
    assert region.max() == pytest.approx(0.5, abs=0.02)


def test_a_large_mask_of_the_same_shape_is_reduced(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.new("L", (1920, 1080), 255).save(path)
    assert answer(asked(f"mask:{path}")).regions["subject"].shape == (360, 640)


def test_each_subject_has_its_own(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.new("L", (WIDTH, HEIGHT), 255).save(whole)
    regions = answer(asked(f"a=mask:{grey(tmp_path / 'a.png')}", f"b=not:mask:{whole}")).regions
    assert regions["a"].mean() < 0.3
    assert regions["b"].mean() > 0.99


def test_the_latest_mask_that_applies_counts(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.new("L", (WIDTH, HEIGHT), 255).save(whole)
    specs = f"mask:{grey(tmp_path / 'a.png')}@1", f"mask:{whole}@2"
    means = [float(answer(asked(*specs, time_s=time_s)).regions["subject"].mean()) for time_s in (0.5, 1.0, 1.9, 2.0)]
    assert means[0] == 0
    assert 0.05 < means[1] == means[2] < 0.3
    assert means[3] > 0.99


def test_a_video_plays_from_its_time_on_and_keeps_its_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "mask.mkv"
    levels = [np.full((HEIGHT, WIDTH, 3), 25 * n, np.uint8) for n in range(10)]
    write_video(path, levels, codec="ffv1", times_ms=[100 * n for n in range(10)], colour=(1, 1, 1, 1))
    memory, given, found = None, Given(Options(), SETTINGS), []
    for time_s in (0.5, 1.0, 1.1, 1.45, 5.0, 1.2):  # the last one is earlier again
        (choice,) = given.choose([asked(f"mask:{path}@1", time_s=time_s)], [memory])
        memory = choice.state
        found.append(round(float(choice.regions["subject"].mean()) * 255 / 25))
    assert found == [0, 0, 1, 4, 9, 2]


def test_it_is_always_sure(tmp_path: Path) -> None:
    assert answer(asked(f"mask:{grey(tmp_path / 'm.png')}")).confidence == {}


@pytest.mark.parametrize("size", [(180, 320), (320, 240)])
def test_another_shape_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    path = grey(tmp_path / "m.png")
    with pytest.raises(UsageError, match=rf"^mask: m.png is 320x180, .* {size[0]}x{size[1]}; make it of the same"):
        answer(asked(f"mask:{path}", width=size[0], height=size[1]))


def test_a_mask_that_cannot_be_read_is_refused_before_the_engine_is_loaded(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    text = tmp_path / "text.txt"
    text.write_text("no mask")
    for path, error in ((broken, UnreadableMedia), (text, UnreadableMedia), (tmp_path / "none.png", MatteboxError)):
        with pytest.raises(error, match=rf"^mask: .*{path.name}"):
            Given(Options.read(subjects=[f"mask:{path}"]), SETTINGS)
