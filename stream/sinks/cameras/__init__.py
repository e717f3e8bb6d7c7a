"""Virtual cameras: the kinds and the choice between them. `base.py` defines the interface of a kind.

Kinds: `native` (pyvirtualcam: v4l2loopback on Linux, the camera of OBS on macOS and Windows) and `pipewire` (Linux
without a kernel module). `pace` decides when a picture is sent.
"""

import importlib.util
import sys

from stream.devices.v4l2 import devices
from stream.errors import DeviceError
from stream.install import install_command
from stream.registry import find
from stream.sinks.cameras.base import VirtualCamera
from stream.sinks.cameras.pipewire import obstacle

CAMERAS = {
    "native": "stream.sinks.cameras.native:NativeCamera",
    "pipewire": "stream.sinks.cameras.pipewire:PipeWireCamera",
}

LOAD_MODULE = "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Mattebox"
_PACKAGES = "Debian and Ubuntu: v4l2loopback-dkms, Arch: v4l2loopback-dkms, Fedora: akmod-v4l2loopback of RPM Fusion"
_IN_USE = "the virtual camera is in use by another program"


def open_camera(name: str) -> VirtualCamera:
    """The virtual camera with this name: a device such as /dev/video10, a name that the system knows, "pipewire", or ""
    for the first one. It is not opened yet.

    Raises DeviceError if it does not exist, with what to install or load.
    """
    kind, device = _choose(name)
    camera: VirtualCamera = find(CAMERAS[kind])(device)
    return camera


def _choose(name: str) -> tuple[str, str]:
    """(kind, name of the device)"""
    if name == "pipewire":
        if reason := obstacle():
            raise DeviceError(f"no virtual camera in PipeWire: {reason}")
        return "pipewire", ""
    if name or sys.platform != "linux":
        _check_installed()
        return "native", name
    return _first_on_linux()


def _first_on_linux() -> tuple[str, str]:
    loopbacks = [device for device in devices() if device.is_virtual]
    if free := [device.path for device in loopbacks if device.outputs]:
        _check_installed()
        return "native", free[0]
    if (reason := obstacle()) is None:
        return "pipewire", ""
    if loopbacks:
        raise DeviceError(f"{loopbacks[0].path}: {_IN_USE}")
    raise DeviceError(f"no virtual camera: {missing_device()}; or without a kernel module: {reason}")


def missing_device() -> str:
    """What to do where there is no v4l2loopback device."""
    return f"load the kernel module with `{LOAD_MODULE}` ({_PACKAGES})"


def _check_installed() -> None:
    if importlib.util.find_spec("pyvirtualcam") is None:
        raise DeviceError(f"a virtual camera needs pyvirtualcam: {install_command('mattebox[camera]')}")
