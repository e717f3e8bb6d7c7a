"""The camera in PipeWire: what is missing where it cannot work, its command, and a reader that gets exact pictures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import DeviceError
from stream.sinks.cameras.pipewire import PipeWireCamera, obstacle, pipeline, state_of
from tests.media import ROOT, command
from tests.pipewire import PipeWire
from tests.virtual_camera import BYTES, HEIGHT, RATE, WIDTH, Picture, number_shown, write_grey_clip
from tests.waiting import until


def test_without_pipewire_the_obstacle_is_named(tmp_path: Path) -> None:
    for environ in ({}, {"XDG_RUNTIME_DIR": str(tmp_path)}):
        assert "start PipeWire" in (obstacle(environ) or "")


def test_other_systems_have_no_pipewire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert obstacle() == "PipeWire exists on Linux only"


def test_the_command_has_size_rate_and_mark() -> None:
    line = pipeline((640, 360), Fraction(30000, 1001), "7.1")
    assert {"width=640", "height=360", "framerate=30000/1001", "mode=provide"} <= set(line)
    assert "mattebox.process=(string)7.1" in line[-1]
    assert "media.class=(string)Video/Source" in line[-1]


def test_the_state_is_that_of_the_marked_node() -> None:
    nodes: list[dict[str, Any]] = [
        {"info": None},
        {"info": {"state": "running", "props": {"mattebox.process": "7.2"}}},
        {"info": {"state": "suspended", "props": {"mattebox.process": "7.1"}}},
        {"info": {"props": {"mattebox.process": "7.1"}}},
    ]
    assert state_of(json.loads(json.dumps(nodes)), "7.1") == "suspended"
    assert state_of(nodes, "7.3") == ""


def test_a_camera_whose_process_has_ended_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.sinks.cameras.pipewire.pipeline", lambda size, rate, mark: [sys.executable, "-c", ""])
    camera = PipeWireCamera("")
    camera.open((64, 48), Fraction(30))
    pixels = np.zeros((72, 64), np.uint8)

    def fails() -> bool:
        try:
            camera.send(pixels)
        except DeviceError as exc:
            return "the camera in PipeWire has ended" in str(exc)
        return False

    until(fails)
    camera.close()
    camera.close()


@pytest.fixture
def pipewire(tmp_path: Path) -> Iterator[PipeWire]:
    session = PipeWire(tmp_path)
    yield session
    session.close()


@pytest.mark.slow
def test_a_reader_gets_every_picture_of_mattebox_camera(pipewire: PipeWire, tmp_path: Path) -> None:
    clip = write_grey_clip(tmp_path / "clip.mkv", 50)
    shown = ("--background", "none", "--engine", "chroma", "--key", "#00c83c", "--idle", "--loop")
    line = command("camera", "--source", clip, "--device", "camera:pipewire", *shown)
    process = subprocess.Popen(line, cwd=ROOT, env=pipewire.environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(process, "source idle")
        until(lambda: "Video/Source" in pipewire.run("pw-dump"))
        found = read(pipewire, tmp_path / "pictures.yuv", 8 * RATE)
        numbers = [number_shown(picture) for picture in found if not is_slate(picture)]
        steps = [(after - before) % 50 for before, after in pairwise(numbers)]
        assert len(numbers) > 4 * RATE
        assert steps.count(1) >= 0.9 * len(steps), numbers
        wait_for(process, "source idle")
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read messages until one contains the text."""
    assert process.stderr is not None
    while text not in (line := process.stderr.readline()):
        assert line, "the program has ended"


def is_slate(picture: Picture) -> bool:
    return bool((picture == 128).all())


def read(session: PipeWire, path: Path, count: int) -> list[Picture]:
    reader = ["pipewiresrc", "target-object=mattebox", f"num-buffers={count}", "!", "videoconvert", "!"]
    raw = [f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT}", "!", "filesink", f"location={path}"]
    session.run("gst-launch-1.0", "-q", *reader, *raw)
    pictures = np.fromfile(path, np.uint8)
    assert len(pictures) == count * BYTES
    return list(pictures.reshape(count, HEIGHT * 3 // 2, WIDTH))
