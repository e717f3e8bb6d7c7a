"""The virtual camera of the system, through pyvirtualcam: v4l2loopback on Linux, OBS's camera on macOS and Windows."""

import contextlib
import sys
from fractions import Fraction
from typing import Any

from stream.devices import v4l2
from stream.devices.openers import others_open
from stream.errors import DeviceError
from stream.picture.frames import Plane


class NativeCamera:
    """device: path or name of the device; "" for the first one, on systems other than Linux."""

    def __init__(self, device: str) -> None:
        self.name = device or "the virtual camera"
        self._device = device or None
        self._camera: Any = None

    def open(self, size: tuple[int, int], rate: Fraction) -> tuple[int, int]:
        import pyvirtualcam

        if sys.platform == "linux":
            size = self._negotiated(size)
        try:
            self._camera = pyvirtualcam.Camera(
                *size, float(rate), fmt=pyvirtualcam.PixelFormat.I420, device=self._device
            )
        except RuntimeError as exc:
            raise DeviceError(f"{self.name} cannot be used as a virtual camera: {_first_line(exc)}") from None
        self.name = self._camera.device
        if sys.platform == "linux":
            _report_rate(self.name, rate)
        return size

    def _negotiated(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size that the device accepts. pyvirtualcam does not check it, and would send torn pictures."""
        try:
            return v4l2.set_output_size(self.name, size)
        except FileNotFoundError:
            from stream.sinks.cameras import missing_device

            raise DeviceError(f"{self.name} does not exist: {missing_device()}") from None
        except PermissionError:
            group = "add your user to the group video (sudo usermod -a -G video $USER) and sign in again"
            raise DeviceError(f"no permission to open {self.name}: {group}") from None
        except OSError as exc:
            raise DeviceError(f"{self.name} cannot be used as a virtual camera: {exc.strerror}") from None

    def send(self, pixels: Plane) -> None:
        self._camera.send(pixels.reshape(-1))

    def watched(self) -> bool | None:
        """On Linux only: OBS's camera does not tell."""
        return others_open(self.name) if sys.platform == "linux" else None

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()


def _report_rate(path: str, rate: Fraction) -> None:
    with contextlib.suppress(OSError):  # readers then assume 30; the pictures come at the right rate anyway
        v4l2.set_output_rate(path, rate)


def _first_line(exc: Exception) -> str:
    """Without the name of the backend."""
    line = str(exc).partition("\n")[0]
    return line.partition("backend: ")[2] or line
