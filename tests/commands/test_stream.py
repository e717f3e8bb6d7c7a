"""`mattebox stream` from a user's view: a camera that is lost and returns, the recorded file, one-line errors."""

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.picture.frames import Frame
from tests.media import ROOT, command, mattebox, read
from tests.rtsp import ROOM, RtspServer, near
from workers.scene.caption import caption
from workers.scene.composite import blend, rgb_flat

QUICK = {"MATTEBOX_RTSP_TIMEOUT_S": "2", "MATTEBOX_RTSP_RETRY_S": "0.3", "MATTEBOX_SLATE_AFTER_S": "0.3"}
USER = "ann:s3cr@t"
IN_URL = "ann:s3cr%40t"
BLUE = rgb_flat((0, 0, 255), 320, 240)


@pytest.fixture
def server() -> Iterator[RtspServer]:
    server = RtspServer("--user", USER)
    yield server
    server.thaw()
    server.kill()


class Recorder:
    """The command as a process. lines: its messages so far."""

    def __init__(self, *arguments: object) -> None:
        line = command(
            "stream",
            *arguments,
            "--size",
            "320x240",
            "--engine",
            "chroma",
            "--key",
            "#00c83c",
            "--background",
            "color:#0000ff",
            "-vv",
        )
        self.process = subprocess.Popen(line, cwd=ROOT, env=os.environ | QUICK, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        """Read messages until one contains the text."""
        assert self.process.stderr is not None
        while not self.lines or text not in self.lines[-1]:
            line = self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(line)

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=20)
        self.lines += rest.splitlines()
        return self.process.returncode


@pytest.fixture
def recorder() -> Iterator[Callable[..., Recorder]]:
    started: list[Recorder] = []

    def start(*arguments: object) -> Recorder:
        started.append(Recorder(*arguments))
        return started[-1]

    yield start
    for recorder in started:
        recorder.process.kill()
        recorder.process.communicate()


def slates(frames: list[Frame]) -> list[int]:
    return [n for n, frame in enumerate(frames) if (frame.pixels == BLUE).all()]


def assert_private(frames: list[Frame]) -> None:
    seen = [n for n, frame in enumerate(frames) if near(frame, ROOM).any()]
    assert not seen, f"the room is in {len(seen)} of {len(frames)} pictures"


@pytest.mark.long
def test_a_camera_that_dies_and_returns(server: RtspServer, recorder: Callable[..., Recorder], tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    running = recorder(server.url(user=IN_URL), out)
    running.wait_for("source live")
    began_s = time.monotonic()
    time.sleep(0.6)
    server.kill()
    running.wait_for("source reconnecting: ")
    server.start("--user", USER, "--width", 480, "--height", 360)
    running.wait_for("source live")
    time.sleep(0.6)
    assert not out.exists()
    lasted_s, code = time.monotonic() - began_s, running.end()
    messages = "".join(running.lines)
    assert code == 0, messages
    frames = read(out)
    assert_private(frames)
    lost = slates(frames)
    assert lost == list(range(lost[0], lost[-1] + 1)), "in one piece"
    assert 5 < lost[0] < len(frames) - 5 - len(lost)
    assert abs(frames[-1].time_s - lasted_s) < 0.6
    assert max(b.time_s - a.time_s for a, b in itertools.pairwise(frames)) < 0.8
    assert f"{out}: {len(frames)} frames in" in messages
    assert "warning: the source was unavailable for" in messages
    assert "s3cr" not in messages
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.long
def test_a_password_from_a_file_is_neither_in_the_command_line_nor_in_the_log(
    server: RtspServer, recorder: Callable[..., Recorder], tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("s3cr@t\nmore\n")
    running = recorder(server.url(user="ann"), tmp_path / "out.mkv", "--password-file", tmp_path / "password")
    running.wait_for("source live")
    assert b"s3cr" not in Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
    time.sleep(0.3)
    assert running.end() == 0, running.lines
    assert "s3cr" not in "".join(running.lines)


@pytest.mark.parametrize(
    ("url", "line", "message"),
    [
        ("rtsp://cam/x", "hush", "rtsp://USER@HOST/PATH"),
        ("rtsp://u:hush@cam/x", "hush", "rtsp://USER@HOST/PATH"),
        ("rtsp://u@cam/x", "", "its first line is empty"),
        ("rtsp://u@cam/x", None, "No such file or directory"),
    ],
)
def test_an_unusable_password_file_is_refused(tmp_path: Path, url: str, line: str | None, message: str) -> None:
    path = tmp_path / "password"
    if line is not None:
        path.write_text(f"{line}\n")
    done = mattebox("stream", url, tmp_path / "o.mkv", "--password-file", path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize("spec", ["image:none.png", f"image:{__file__}", "video:none.mp4", f"video:{__file__}"])
def test_an_unreadable_background_is_reported_before_the_camera_is_contacted(tmp_path: Path, spec: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as camera:
        url = f"rtsp://127.0.0.1:{camera.getsockname()[1]}/cam"
        done = mattebox("stream", url, tmp_path / "o.mkv", "--engine", "chroma", "--background", spec, env=QUICK)
        camera.setblocking(False)
        with pytest.raises(BlockingIOError):
            camera.accept()
    assert done.returncode == 1, done.stderr
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert spec.partition(":")[2] in error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_a_camera_that_freezes(
    server: RtspServer, recorder: Callable[..., Recorder], tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    running = recorder(server.url(user=IN_URL), out, "--temporal", "live+1")
    running.wait_for("source live")
    time.sleep(1)
    server.freeze()
    running.wait_for("source reconnecting: the source sent nothing for 2 s")
    running.wait_for("source reconnecting: the source did not answer within 2 s")
    server.thaw()
    running.wait_for("source live")
    time.sleep(1)
    assert running.end(signal.SIGTERM) == 0
    frames = read(out)
    assert_private(frames)
    covered = [n for n, frame in enumerate(frames) if abs(frame.pixels.astype(int) - BLUE).max() < 12]
    assert len(covered) > 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rtsp://u:hush@cam/x", "gopher://u:hush@server/y"], "gopher:// is not supported as an output"),
        (["rtsp://u:hush@cam/x", "a.mkv", "gopher://u:hush@server/y"], "gopher:// is not supported as an output"),
        (["rtsp://u:hush@cam/x", "rtmp://u:hush@server/y", "a.mkv", "a.mkv"], "two outputs have the same address"),
        (["rtsp://u:hush@cam/x", "rtmp:hush"], "write the address as rtmp://HOST"),
        (["rtsp://cam/x", "rtmp://server/hush", "--bitrate", "fast"], "--bitrate 'fast': write bits per second"),
        (["rtsp://cam/x", "rtmp://server/hush", "--background", "transparent"], "rtmp:// has no transparency"),
        (["pattern:", "out.mp4"], "the source must be live"),
        (["rtsp://u:hush@cam:x/", "out.mp4"], "write the address as rtsp://HOST"),
        (["rtsp://u:hush@cam/x", "-"], "'-' is not a file name"),
        (["rtsp://u:hush@cam/x", ""], "'' is not a file name"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    done = mattebox("stream", *arguments)
    assert done.returncode == 2, done.stderr
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert "hush" not in done.stderr
    assert not (ROOT / "out.mp4").exists()


@pytest.mark.long
def test_the_text_of_the_slate_is_recorded_while_the_camera_is_away(
    server: RtspServer, recorder: Callable[..., Recorder], tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    running = recorder(server.url(user=IN_URL), out, "--slate", "Back soon")
    running.wait_for("source live")
    time.sleep(0.3)
    server.kill()
    running.wait_for("source reconnecting: ")
    time.sleep(1.0)
    assert running.end() == 0, running.lines
    frames = read(out)
    assert_private(frames)
    drawn = caption("Back soon", 320, 240)
    slate = blend(drawn.pixels, BLUE, drawn.alpha)
    shown = [(frame.pixels == slate).all() for frame in frames]
    assert shown[-1]
    assert not shown[0]


def test_a_text_that_cannot_be_drawn_is_refused_by_name(tmp_path: Path) -> None:
    done = mattebox("stream", "rtsp://127.0.0.1:1/cam", tmp_path / "o.mkv", "--slate", "soon 😀", env=QUICK)
    assert done.returncode == 2
    assert done.stderr.startswith("error: slate: “😀” cannot be drawn")
    assert len(done.stderr.splitlines()) == 1
