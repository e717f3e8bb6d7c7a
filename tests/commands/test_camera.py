"""`mattebox camera` from a user's view, with a stand-in for v4l2loopback: every picture is checked.

The stand-in is a FIFO whose ioctls are answered by a preloaded library; pyvirtualcam and its native backend are real.
"""

import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("pyvirtualcam")

from stream.picture.frames import Frame
from tests.media import ROOT, command, read
from tests.virtual_camera import BYTES, RATE, LoopbackDevice, number_shown, rate_of, timed, write_grey_clip

FRAMES = 50
PASS = [*range(FRAMES)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grey_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", FRAMES, sound_s=1.9)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LoopbackDevice]:
    device = LoopbackDevice(tmp_path)
    yield device
    device.close()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(device: LoopbackDevice, clip: Path) -> Iterator[Start]:
    """Starts the command; the room is shown, so that frames can be compared."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        shown = ("--background", "none", "--engine", "chroma", "--key", "#00c83c")
        line = command("camera", "--source", clip, "--device", f"camera:{device.path}", *shown, *arguments)
        started.append(subprocess.Popen(line, cwd=ROOT, env=device.environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C. Returns the messages."""
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 0, messages
    return messages


@pytest.mark.long
def test_a_looped_file_is_shown_without_a_torn_picture_at_its_rate(device: LoopbackDevice, start: Start) -> None:
    process = start("--loop")
    pictures = device.pictures()
    while number_shown(next(pictures)) < 0:
        """Black until the first frame."""
    found, times_s = timed(pictures, 4 * RATE)
    numbers = [number_shown(picture) for picture in found]
    steps = [(after - before) % FRAMES for before, after in pairwise(numbers)]
    assert max(steps) < 10, f"frames out of order: {numbers}"
    assert steps.count(1) >= 0.9 * len(steps), f"repeated or left out: {numbers}"
    assert numbers.count(0) >= 1, "the file was not repeated"
    assert rate_of(times_s) == pytest.approx(RATE, rel=0.02)
    assert str(device.path) in end(process)
    assert device.drain() == 0, "the last picture is complete"


@pytest.mark.slow
def test_a_virtual_camera_is_an_output_of_stream_beside_a_file(
    device: LoopbackDevice, clip: Path, tmp_path: Path
) -> None:
    shown = ("--background", "none", "--engine", "chroma", "--key", "#00c83c", "--loop", "--duration", "3")
    line = command("stream", clip, f"camera:{device.path}", tmp_path / "out.mkv", *shown)
    process = subprocess.Popen(line, cwd=ROOT, env=device.environment, stderr=subprocess.PIPE, text=True)
    numbers = {number_shown(picture) for picture in timed(device.pictures(), 2 * RATE)[0]}
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 0, messages
    assert len(numbers - {-1}) > RATE
    assert len({*map(number_of_frame, read(tmp_path / "out.mkv"))}) > RATE


def number_of_frame(frame: Frame) -> int:
    return number_shown(frame.pixels)


@pytest.mark.slow
def test_it_can_be_stopped_and_started_ten_times_in_a_row(device: LoopbackDevice, start: Start) -> None:
    for _ in range(10):
        process = start("--loop")
        pictures = device.pictures()
        while number_shown(next(pictures)) < 5:
            """Wait for frames."""
        end(process)
        assert device.drain() == 0


@pytest.mark.slow
def test_the_source_is_closed_while_nobody_watches(clip: Path, tmp_path: Path) -> None:
    """The device is a file, which this test opens and closes as a reader."""
    device = LoopbackDevice(tmp_path, fifo=False)
    shown = ("--background", "none", "--engine", "chroma", "--key", "#00c83c", "--loop", "--idle")
    line = command("camera", "--source", clip, "--device", f"camera:{device.path}", *shown)
    process = subprocess.Popen(line, cwd=ROOT, env=device.environment, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(2):
            wait_for(process, "source idle")
            watching = device.path.open("rb")
            wait_for(process, "source live")
            watching.close()
        wait_for(process, "source idle")
        end(process)
    finally:
        process.kill()
        process.communicate()
    assert device.path.stat().st_size % BYTES == 0


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read messages until one contains the text."""
    assert process.stderr is not None
    while text not in (line := process.stderr.readline()):
        assert line, "the program has ended"


def test_a_device_that_does_not_exist_is_an_error_with_the_command_to_load_it(clip: Path, tmp_path: Path) -> None:
    line = command("camera", "--source", clip, "--device", f"camera:{tmp_path}/video99", "--engine", "chroma")
    process = subprocess.run(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 1
    assert f"error: {tmp_path}/video99 does not exist: load the kernel module with" in process.stderr
    assert "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Mattebox" in process.stderr
    assert len(process.stderr.splitlines()) <= 3
