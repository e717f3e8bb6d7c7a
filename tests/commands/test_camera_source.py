"""`mattebox stream camera:` from a user's view: FFmpeg captures from a stand-in for a V4L2 camera.

The stand-in is a file whose ioctls are answered by a preloaded library; FFmpeg's input for V4L2 is real.
"""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.picture.frames import Frame
from tests.media import ROOT, command, read
from tests.virtual_camera import preloaded

SHOWN = ("--background", "none", "--engine", "chroma", "--key", "#00c83c")


def record(folder: Path, seconds: str, **environment: str) -> tuple[list[Frame], str]:
    """The recorded frames and the messages."""
    device = folder / "video2"
    device.touch()
    loaded = {"LD_PRELOAD": preloaded(folder, "capture_device"), "CAPTURE_DEVICE": str(device)}
    line = command("stream", f"camera:{device}", folder / "out.mkv", *SHOWN, "--duration", seconds)
    completed = subprocess.run(
        line, cwd=ROOT, env=os.environ | loaded | environment, stderr=subprocess.PIPE, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return read(folder / "out.mkv"), completed.stderr


def colours(frame: Frame) -> list[int]:
    return [int(np.median(plane)) for plane in frame.planes()]


def test_raw_pictures_are_captured_at_the_size_and_rate_of_the_camera(tmp_path: Path) -> None:
    """The camera has neither MJPEG nor the requested size."""
    frames, messages = record(tmp_path, "1.5")
    assert "source live" in messages
    assert {(frame.width, frame.height) for frame in frames} == {(160, 120)}
    numbers = [round((colours(frame)[0] - 42) / 4) for frame in frames]
    steps = [(after - before) % 50 for before, after in pairwise(numbers)]
    assert steps.count(1) >= 0.8 * len(steps), numbers
    assert len(frames) > 30
    for frame in frames:
        assert colours(frame)[1:] == pytest.approx([93, 158], abs=1), "BT.601 was converted to BT.709"


@pytest.mark.slow
def test_mjpeg_is_preferred_at_high_rates(tmp_path: Path) -> None:
    picture = tmp_path / "red.jpg"
    Image.new("RGB", (160, 120), (200, 30, 30)).save(picture, quality=95)
    frames, _ = record(tmp_path, "1", CAPTURE_JPEG=str(picture))
    assert len(frames) > 15
    red = np.array([0.2126, 0.7152, 0.0722]) @ [200, 30, 30]  # BT.709
    expected = [16 + red * 219 / 255, 128 + (30 - red) / 1.8556 * 224 / 255, 128 + (200 - red) / 1.5748 * 224 / 255]
    assert colours(frames[-1]) == pytest.approx(expected, abs=3)


@pytest.mark.long
def test_the_background_is_shown_when_the_camera_is_unplugged(tmp_path: Path) -> None:
    frames, messages = record(tmp_path, "2", CAPTURE_FRAMES="30")
    assert "source reconnecting: no such device" in messages
    assert "the source was unavailable" in messages
    assert colours(frames[0])[1:] == pytest.approx([93, 158], abs=1)
    assert colours(frames[-1]) == pytest.approx([128, 128, 128], abs=3)
