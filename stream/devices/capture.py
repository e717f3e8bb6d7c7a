"""Cameras of this computer, and how FFmpeg reads them: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av

from stream.devices import v4l2
from stream.errors import DeviceError

FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""By `sys.platform`: FFmpeg's input for cameras."""

DEFAULT_SIZE, DEFAULT_RATE = (1280, 720), Fraction(30)
_RAW_PIXELS_S = 640 * 480 * 30  # a second; over USB 2, raw pictures are slow above this, and most cameras send MJPEG
_QUICK = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
"""A device's format is known at once. By default FFmpeg reads it for more than a second, which is shown late."""


@dataclass(frozen=True)
class Camera:
    """id: what `camera:` and `capture_inputs` take. name: for people; may equal the id."""

    id: str
    name: str

    def __str__(self) -> str:
        return self.id if self.name == self.id else f"{self.id} ({self.name})"


@dataclass(frozen=True)
class CaptureInput:
    """Arguments of `av.open`: file, format and options."""

    url: str
    format: str
    options: dict[str, str]


def capture_inputs(
    camera: str, size: tuple[int, int] = (0, 0), rate: Fraction = DEFAULT_RATE, platform: str = sys.platform
) -> list[CaptureInput]:
    """How to open a camera, best first: later ones ask for less, for cameras that refuse the earlier ones.

    camera: its id. size: (width, height) in pixels; with a side that is 0, 1280x720. rate: frames per second. The
    camera may choose the nearest size and rate that it has. platform: as `sys.platform`. Raises DeviceError for a
    system that FFmpeg has no cameras for.
    """
    if platform not in FORMATS:
        raise DeviceError(f"cameras of this system ({platform}) are not supported")
    width, height = size if all(size) else DEFAULT_SIZE
    wanted = {"video_size": f"{width}x{height}", "framerate": _text(rate)}
    url, options = _INPUTS[platform](camera, wanted, width * height * rate > _RAW_PIXELS_S)
    return [CaptureInput(url, FORMATS[platform], _QUICK | each) for each in options]


def _v4l2(camera: str, wanted: dict[str, str], fast: bool) -> tuple[str, list[dict[str, str]]]:
    compressed = wanted | {"input_format": "mjpeg"}
    return camera, [compressed, wanted, {}] if fast else [wanted, compressed, {}]


def _avfoundation(camera: str, wanted: dict[str, str], fast: bool) -> tuple[str, list[dict[str, str]]]:
    """The part after the colon is the sound. AVFoundation itself decodes what the camera sends."""
    return f"{camera or 'default'}:none", [wanted, {"framerate": _text(DEFAULT_RATE)}, {}]


def _dshow(camera: str, wanted: dict[str, str], fast: bool) -> tuple[str, list[dict[str, str]]]:
    wanted = wanted | {"rtbufsize": "64M"}  # the default holds a single raw picture
    compressed = wanted | {"vcodec": "mjpeg"}
    return f"video={camera}", [compressed, wanted, {}] if fast else [wanted, compressed, {}]


_INPUTS = {"linux": _v4l2, "darwin": _avfoundation, "win32": _dshow}


def _text(rate: Fraction) -> str:
    return str(rate)  # such as 30 or 30000/1001


def cameras() -> list[Camera]:
    """The cameras of this computer, without virtual cameras of v4l2loopback; empty if they cannot be listed."""
    if sys.platform == "linux":
        return [Camera(found.path, found.name) for found in v4l2.devices() if found.captures and not found.is_virtual]
    try:
        listed = av.enumerate_input_devices(FORMATS.get(sys.platform, ""))
    except (ValueError, OSError):
        return []
    return [Camera(found.description, found.description) for found in listed if "video" in found.media_types]


def inputs_of(name: str, size: tuple[int, int] = (0, 0)) -> list[CaptureInput]:
    """How to open the camera with this id or name, best first; "" for the first camera. size: as in `capture_inputs`.

    Raises DeviceError if there is none, with those that exist.
    """
    return capture_inputs(find_camera(name, cameras()), size)


def find_camera(name: str, known: Sequence[Camera], platform: str = sys.platform) -> str:
    """The id of a camera. name: its id or name, or "" for the first one. known: from `cameras`.

    Raises DeviceError if there is none, with those that exist.
    """
    if not name and known:
        return known[0].id
    if match := next((camera.id for camera in known if name in (camera.id, camera.name)), None):
        return match
    if not name:
        raise DeviceError(f"no camera was found{_HINTS.get(platform, '')}")
    if platform == "linux" and name.startswith("/") and v4l2.describe(name) is not None:
        return name
    listed = ", ".join(map(str, known)) or f"none was found{_HINTS.get(platform, '')}"
    raise DeviceError(f"there is no camera {name!r}; cameras: {listed}")


_HINTS = {
    "linux": " (on Linux a user needs permission for /dev/video*: sudo usermod -a -G video $USER)",
    "darwin": " (on macOS allow the terminal to use the camera, in System Settings under Privacy & Security)",
}
