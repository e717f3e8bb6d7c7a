"""A camera in PipeWire: a node of class Video/Source, for Linux desktops without the kernel module v4l2loopback.

GStreamer provides the node: a child process that reads raw pictures from its standard input. It can be killed when it
blocks, and it ends when this process ends. While nobody reads from the camera, it discards the pictures.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from stream.errors import DeviceError
from stream.picture.frames import Plane
from stream.serve.die_with_parent import tied

NAME = "Mattebox"

_LAUNCH, _INSPECT, _DUMP = "gst-launch-1.0", "gst-inspect-1.0", "pw-dump"
_PACKAGES = (
    "Debian and Ubuntu: gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-pipewire, "
    "Fedora: gstreamer1-plugins-base pipewire-gstreamer, Arch: gst-plugins-base gst-plugin-pipewire"
)
_MARK = "mattebox.process"  # property of the node, by which `watched` finds it
_TIMEOUT_S = 5.0
_READING = "running"


def obstacle(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why there can be no camera in PipeWire, with what to install; None if there can."""
    if sys.platform != "linux":
        return "PipeWire exists on Linux only"
    if not _is_running(environ):
        return "start PipeWire and a session manager, such as WirePlumber, in this desktop session"
    if shutil.which(_LAUNCH) is None or not _has_plugin():
        return f"install GStreamer's plug-in for PipeWire ({_PACKAGES})"
    return None


def _is_running(environ: Mapping[str, str]) -> bool:
    remote = environ.get("PIPEWIRE_REMOTE", "pipewire-0")
    folder = environ.get("PIPEWIRE_RUNTIME_DIR") or environ.get("XDG_RUNTIME_DIR") or ""
    path = Path(folder, remote)
    if not path.is_absolute():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _has_plugin() -> bool:
    names = ("pipewiresink", "rawvideoparse")
    return all(_succeeds([_INSPECT, name]) for name in names)  # --exists also compares the version with GStreamer's


def _succeeds(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=_TIMEOUT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def pipeline(size: tuple[int, int], rate: Fraction, mark: str) -> list[str]:
    """The command that reads I420 pictures of (width, height) in pixels from standard input into a new camera."""
    width, height = size
    properties = {"media.class": "Video/Source", "media.role": "Camera", "node.name": "mattebox"}
    properties |= {"node.description": NAME, _MARK: mark}
    stream = ",".join(["p", *(f"{key}=(string){value}" for key, value in properties.items())])
    return [
        *(_LAUNCH, "-q", "--no-fault"),  # without it, a crash leaves a process that spins
        *("fdsrc", "fd=0", "do-timestamp=true", "!", "rawvideoparse", "format=i420"),
        *(f"width={width}", f"height={height}", f"framerate={rate.numerator}/{rate.denominator}"),
        # With buffers that the sink offers upstream, PipeWire 0.3.65 (Debian 12) crashes when a reader connects.
        *("!", "identity", "drop-allocation=true", "!", "pipewiresink", "mode=provide", "sync=false", "async=false"),
        *(f"client-name={NAME}", f"stream-properties={stream}"),
    ]


class PipeWireCamera:
    """device: not used; there is one camera for each object."""

    def __init__(self, device: str) -> None:
        self.name = "the camera in PipeWire"
        self._mark = f"mattebox-{os.getpid()}-{id(self)}"  # PipeWire would round a number
        self._child: subprocess.Popen[bytes] | None = None

    def open(self, size: tuple[int, int], rate: Fraction) -> tuple[int, int]:
        argv = tied(pipeline(size, rate, self._mark))
        try:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C ends this process, which then closes the camera
            )  # fmt: skip
        except OSError as exc:
            raise DeviceError(f"{_LAUNCH}: {exc.strerror}") from None
        return size

    def send(self, pixels: Plane) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(pixels.data)
            self._child.stdin.flush()
        except (OSError, ValueError):
            raise DeviceError(f"{self.name} has ended") from None

    def watched(self) -> bool | None:
        """By the state of the node: it runs while a program reads from it."""
        try:
            dumped = subprocess.run([_DUMP], capture_output=True, timeout=_TIMEOUT_S, check=True).stdout
            return state_of(json.loads(dumped), self._mark) == _READING
        except (OSError, subprocess.SubprocessError, ValueError):
            return None

    def close(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        with contextlib.suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.close()


def state_of(dumped: list[dict[str, Any]], mark: str) -> str:
    """The state of the node with this mark, such as "running" or "suspended"; "" if there is none.

    dumped: the output of pw-dump.
    """
    infos = (entry.get("info") or {} for entry in dumped)
    marked = (info for info in infos if (info.get("props") or {}).get(_MARK) == mark and "state" in info)
    return str(next(marked, {}).get("state", ""))
