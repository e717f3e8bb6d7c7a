"""V4L2 devices of Linux: which exist, what they can do, and the format of a virtual camera.

Everything here returns nothing, or raises OSError, on systems without V4L2.
"""

import contextlib
import ctypes
import errno
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

LOOPBACK_DRIVER = "v4l2 loopback"

_CAPTURE, _OUTPUT, _DEVICE_CAPS = 0x1, 0x2, 0x8000_0000
_BUF_TYPE_OUTPUT = 2
_YUV420 = int.from_bytes(b"YU12", "little")
_DEVICES = Path("/dev")


class _Capability(ctypes.Structure):
    """struct v4l2_capability"""

    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", ctypes.c_uint32),
        ("capabilities", ctypes.c_uint32),
        ("device_caps", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 3),
    )


class _PixFormat(ctypes.Structure):
    """The start of struct v4l2_pix_format"""

    _fields_ = (
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("pixelformat", ctypes.c_uint32),
        ("field", ctypes.c_uint32),
        ("bytesperline", ctypes.c_uint32),
        ("sizeimage", ctypes.c_uint32),
        ("colorspace", ctypes.c_uint32),
    )


class _FormatUnion(ctypes.Union):
    _fields_ = (("pix", _PixFormat), ("raw", ctypes.c_uint8 * 200), ("alignment", ctypes.c_void_p))


class _Format(ctypes.Structure):
    """struct v4l2_format"""

    _fields_ = (("type", ctypes.c_uint32), ("fmt", _FormatUnion))


class _StreamParm(ctypes.Structure):
    """struct v4l2_streamparm, with the fields of struct v4l2_outputparm"""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("capability", ctypes.c_uint32),
        ("outputmode", ctypes.c_uint32),
        ("numerator", ctypes.c_uint32),
        ("denominator", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 184),
    )


def _request(direction: int, number: int, kind: type[ctypes.Structure]) -> int:
    """The number of an ioctl of V4L2. direction: 2 reads, 3 reads and writes."""
    return direction << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number


_QUERYCAP = _request(2, 0, _Capability)
_S_FMT = _request(3, 5, _Format)
_S_PARM = _request(3, 22, _StreamParm)


@dataclass(frozen=True)
class Device:
    """path: such as /dev/video0. name: for people. driver: of the kernel. captures: pictures can be read from it.
    outputs: pictures can be written to it; False for a virtual camera that another program writes to."""

    path: str
    name: str
    driver: str
    captures: bool
    outputs: bool

    @property
    def is_virtual(self) -> bool:
        return self.driver == LOOPBACK_DRIVER


def devices(folder: Path = _DEVICES) -> list[Device]:
    """All V4L2 devices that this user may open, by their number; an empty list on other systems."""
    if sys.platform != "linux":
        return []
    paths = [path for path in folder.glob("video*") if re.fullmatch(r"video[0-9]+", path.name)]
    found = (describe(str(path)) for path in sorted(paths, key=lambda path: int(path.name[5:])))
    return [device for device in found if device is not None]


def describe(path: str) -> Device | None:
    """What the device is; None if it cannot be opened or is not a V4L2 device."""
    capability = _Capability()
    try:
        with _opened(path) as file:
            _ioctl(file, _QUERYCAP, capability)
    except OSError:
        return None
    caps = capability.device_caps if capability.capabilities & _DEVICE_CAPS else capability.capabilities
    name, driver = (field.decode(errors="replace") for field in (capability.card, capability.driver))
    return Device(path, name, driver, bool(caps & _CAPTURE), bool(caps & _OUTPUT))


def set_output_size(path: str, size: tuple[int, int]) -> tuple[int, int]:
    """Request I420 pictures of a (width, height) in pixels from a virtual camera.

    Returns the size that it accepted: while a program reads from it, it may keep another one. Raises OSError if it
    cannot be opened or keeps another pixel format.
    """
    wanted = _Format(type=_BUF_TYPE_OUTPUT)
    wanted.fmt.pix = _PixFormat(width=size[0], height=size[1], pixelformat=_YUV420)
    with _opened(path) as file:
        _ioctl(file, _S_FMT, wanted)
    accepted = wanted.fmt.pix
    if accepted.pixelformat != _YUV420:
        raise OSError(errno.EBUSY, "it is in use with another pixel format")
    return accepted.width, accepted.height


def set_output_rate(path: str, rate: Fraction) -> None:
    """Report frames per second to the readers of a virtual camera. Raises OSError if it has no such setting."""
    with _opened(path) as file:
        parm = _StreamParm(type=_BUF_TYPE_OUTPUT, numerator=rate.denominator, denominator=rate.numerator)
        _ioctl(file, _S_PARM, parm)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    try:
        yield file
    finally:
        os.close(file)


def _ioctl(file: int, request: int, argument: ctypes.Structure) -> None:
    import fcntl  # not on Windows

    fcntl.ioctl(file, request, argument, True)
