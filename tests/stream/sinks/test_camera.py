"""The virtual camera as a sink, with a camera that remembers its pictures, and the choice of the kind of camera."""

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stream.address import Address
from stream.devices.v4l2 import Device
from stream.errors import DeviceError, UnsupportedOutput
from stream.picture.colour import rgb_to_i420
from stream.picture.frames import Frame, Plane, VideoInfo, split_i420
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import cameras, open_sink, sink_address
from stream.sinks.camera import CameraSink, black
from tests.colours import bt601_from_rgb
from tests.media import ROOT
from tests.virtual_camera import LoopbackDevice
from tests.waiting import until

INFO = VideoInfo(64, 48, Fraction(1, 30), Fraction(30))
LOOPBACK = Device("/dev/video10", "Mattebox", "v4l2 loopback", captures=False, outputs=True)
WEBCAM = Device("/dev/video0", "Webcam", "uvcvideo", captures=True, outputs=False)


class MemoryCamera:
    """Remembers its pictures. size: that it insists on. gate: `send` waits for it. fails: `send` raises."""

    name = "memory"

    def __init__(self, size: tuple[int, int] | None = None, fails: bool = False) -> None:
        self.pictures: list[Plane] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.rate = Fraction(0)
        self._size, self._fails = size, fails

    def open(self, size: tuple[int, int], rate: Fraction) -> tuple[int, int]:
        self.rate = rate
        return self._size or size

    def send(self, pixels: Plane) -> None:
        self.gate.wait()
        if self._fails:
            raise DeviceError("the device is gone")
        self.pictures.append(pixels)

    def watched(self) -> bool | None:
        return None

    def close(self) -> None:
        self.closed = True
        self.gate.set()


def flat(rgb: tuple[int, int, int], pts: int = 0, size: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(rgb_to_i420(np.full((size[1], size[0], 3), rgb, np.uint8)), pts, Fraction(1, 30))


def test_the_picture_is_black_before_the_first_frame() -> None:
    camera = MemoryCamera()
    sink = CameraSink(camera)
    sink.open(INFO)
    until(lambda: camera.pictures)
    sink.close()
    assert camera.closed
    assert np.array_equal(camera.pictures[0], black((64, 48)))
    assert camera.rate == 30


@pytest.mark.parametrize("rgb", [(255, 0, 0), (0, 255, 0), (20, 40, 250), (255, 255, 255), (200, 140, 110)])
def test_colours_are_bt601_in_limited_range(rgb: tuple[int, int, int]) -> None:
    camera = MemoryCamera()
    sink = CameraSink(camera)
    sink.open(INFO)
    until(lambda: camera.pictures)
    sink.write(flat(rgb))
    until(lambda: not np.array_equal(camera.pictures[-1], black((64, 48))))
    sink.close()
    found = [int(plane[10, 10]) for plane in split_i420(camera.pictures[-1])]
    expected = bt601_from_rgb() @ rgb + [16, 128, 128]
    assert np.abs(found - expected).max() <= 2


def test_the_last_frame_is_repeated_while_frames_are_late() -> None:
    camera = MemoryCamera()
    sink = CameraSink(camera)
    sink.open(INFO)
    sink.write(flat((255, 255, 255)))
    until(lambda: sum(int(picture[0, 0]) > 200 for picture in list(camera.pictures)) >= 4)
    sink.close()


def test_a_slow_device_never_holds_up_the_video() -> None:
    camera = MemoryCamera()
    sink = CameraSink(camera)
    camera.gate.clear()
    sink.open(INFO)
    for n in range(50):
        sink.write(flat((n, n, n), n))
    assert sink.dropped >= 48
    camera.gate.set()
    until(lambda: camera.pictures and camera.pictures[-1][0, 0] > 16)
    sink.close()


def test_a_device_that_fails_is_reported_by_the_next_write() -> None:
    sink = CameraSink(MemoryCamera(fails=True))
    sink.open(INFO)

    def failure() -> bool:
        try:
            sink.write(flat((9, 9, 9)))
        except DeviceError as exc:
            return "the device is gone" in str(exc)
        return False

    until(failure)
    sink.abort()
    sink.close()


def test_a_device_that_keeps_its_size_gets_pictures_of_that_size() -> None:
    camera = MemoryCamera(size=(96, 48))
    sink = CameraSink(camera)
    sink.open(INFO)
    sink.write(flat((255, 255, 255)))
    (picture, *_) = until(lambda: [shown for shown in list(camera.pictures) if shown[24, 48] > 200])
    sink.close()
    assert picture.shape == (72, 96)
    assert [int(level) for level in picture[24, [4, 90]]] == [16, 16], "black beside it, the aspect ratio is kept"
    assert sink.warnings == [("scaled", "scaled from 64x48 to 96x48: memory keeps its size while it is used")]


def test_a_matte_is_shown_as_grey() -> None:
    camera = MemoryCamera()
    sink = CameraSink(camera)
    sink.open(INFO)
    sink.write(Frame(np.full((48, 64), 255, np.uint8), 0, Fraction(1, 30), gray=True))
    until(lambda: [picture for picture in list(camera.pictures) if picture[0, 0] >= 234])
    sink.close()


def test_transparency_is_refused() -> None:
    with pytest.raises(UnsupportedOutput, match="a virtual camera cannot show transparency"):
        open_sink(sink_address("camera:"), Options.read(background="transparent"), Settings())


def found(monkeypatch: pytest.MonkeyPatch, *devices: Device, pipewire: str | None) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cameras, "devices", lambda: list(devices))
    monkeypatch.setattr(cameras, "obstacle", lambda: pipewire)


def test_the_first_camera_is_a_loopback_device_or_one_in_pipewire(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyvirtualcam")
    found(monkeypatch, WEBCAM, LOOPBACK, pipewire=None)
    assert cameras.open_camera("").name == "/dev/video10"
    found(monkeypatch, WEBCAM, pipewire=None)
    assert cameras.open_camera("").name == "the camera in PipeWire"
    assert cameras.open_camera("pipewire").name == "the camera in PipeWire"


def test_without_any_camera_the_error_has_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, WEBCAM, pipewire="install GStreamer's plug-in")
    with pytest.raises(DeviceError) as missing:
        cameras.open_camera("")
    text = str(missing.value)
    assert "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Mattebox" in text
    assert "v4l2loopback-dkms" in text
    assert "or without a kernel module: install GStreamer's plug-in" in text
    with pytest.raises(DeviceError, match="no virtual camera in PipeWire: install GStreamer's plug-in"):
        cameras.open_camera("pipewire")


def test_a_camera_in_use_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    used = Device("/dev/video10", "Mattebox", "v4l2 loopback", captures=True, outputs=False)
    found(monkeypatch, used, pipewire="start PipeWire")
    with pytest.raises(DeviceError, match="/dev/video10: the virtual camera is in use by another program"):
        cameras.open_camera("")


def test_without_pyvirtualcam_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, LOOPBACK, pipewire=None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"needs pyvirtualcam: .*mattebox\[camera\]"):
        cameras.open_camera("")


def test_a_file_that_is_no_device_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyvirtualcam")
    (tmp_path / "video10").write_bytes(b"")
    sink = CameraSink(cameras.open_camera(str(tmp_path / "video10")))
    with pytest.raises(DeviceError, match="cannot be used as a virtual camera: Inappropriate ioctl for device"):
        sink.open(INFO)
    sink.abort()


TEN_CAMERAS = """
import sys
from fractions import Fraction
from stream.sinks import cameras
from stream.sinks.camera import black

for n in range(10):
    camera = cameras.open_camera(sys.argv[1])
    size = camera.open((64, 48), Fraction(30))
    picture = black(size)
    picture[: size[1]] = 20 + 4 * n
    for _ in range(3):
        camera.send(picture)
    print(size, camera.watched())
    camera.close()
"""


@pytest.mark.long
@pytest.mark.parametrize("size", [(64, 48), (80, 60)])
def test_the_native_backend_starts_and_stops_ten_times(tmp_path: Path, size: tuple[int, int]) -> None:
    pytest.importorskip("pyvirtualcam")
    device = LoopbackDevice(tmp_path, size="{}x{}".format(*size))
    try:
        line = [sys.executable, "-c", TEN_CAMERAS, str(device.path)]
        output = subprocess.run(line, cwd=ROOT, env=device.environment, stdout=subprocess.PIPE, text=True, check=True)
        assert output.stdout == f"{size} True\n" * 10
        pictures = [picture.copy() for picture in device.pictures(timeout_s=0.0, size=size)]
    finally:
        device.close()
    assert [int(picture[0, 0]) for picture in pictures] == [20 + 4 * n for n in range(10) for _ in range(3)]
    assert all(len(np.unique(picture[: size[1]])) == 1 for picture in pictures)


def test_an_address_names_the_device() -> None:
    assert sink_address("camera:/dev/video10") == Address("camera", "/dev/video10")
    assert str(sink_address("camera:")) == "camera:"
