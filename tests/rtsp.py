"""The tests' RTSP server as a process that can be frozen, killed and restarted; and detection of its colours."""

import signal
import subprocess
import sys

import numpy as np
import numpy.typing as npt

from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, split_i420
from stream.serve.die_with_parent import tied
from tests.media import ROOT
from tests.rtsp_server import ROOM
from tests.servers import free_port

__all__ = ["ROOM", "RtspServer", "near"]


def near(frame: Frame, rgb: tuple[int, int, int], levels: int = 24) -> npt.NDArray[np.bool_]:
    """A bool mask (H, W) of the frame's pixels whose Y, U and V are within `levels` of the colour's."""
    expected = [int(plane[0, 0]) for plane in split_i420(rgb_to_i420(np.full((2, 2, 3), rgb, np.uint8)))]
    found = [abs(plane.astype(int) - level) <= levels for plane, level in zip(frame.planes(), expected, strict=True)]
    return np.asarray(found[0] & (found[1] & found[2]).repeat(2, 0).repeat(2, 1))


class RtspServer:
    """arguments: those of `tests.rtsp_server`. A restarted server listens on the same port."""

    def __init__(self, *arguments: object) -> None:
        self.port = free_port()
        self.start(*arguments)

    def start(self, *arguments: object) -> None:
        self.process = self._launch(*arguments)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def _launch(self, *arguments: object) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "tests.rtsp_server", str(self.port), *map(str, arguments)]
        return subprocess.Popen(tied(argv), cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def url(self, path: str = "cam", user: str = "") -> str:
        return f"rtsp://{user}{'@' if user else ''}127.0.0.1:{self.port}/{path}"

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
