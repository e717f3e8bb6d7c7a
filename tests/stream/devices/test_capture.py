"""How FFmpeg opens cameras on each system, and the errors about cameras that do not exist."""

from fractions import Fraction
from pathlib import Path

import pytest

from stream.devices.capture import Camera, CaptureInput, capture_inputs, find_camera
from stream.devices.v4l2 import describe, devices
from stream.errors import DeviceError, UsageError
from stream.settings import Settings
from stream.sources import open_live_source, source_address
from stream.sources.base import SourceOptions

QUICK = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
KNOWN = [Camera("/dev/video0", "Webcam"), Camera("/dev/video2", "Phone")]


def test_v4l2_prefers_mjpeg_where_raw_pictures_are_too_many_for_usb() -> None:
    best, raw, anything = capture_inputs("/dev/video2", (1280, 720), platform="linux")
    wanted = QUICK | {"video_size": "1280x720", "framerate": "30"}
    assert best == CaptureInput("/dev/video2", "v4l2", wanted | {"input_format": "mjpeg"})
    assert raw == CaptureInput("/dev/video2", "v4l2", wanted)
    assert anything == CaptureInput("/dev/video2", "v4l2", QUICK)


def test_v4l2_prefers_raw_pictures_at_low_rates() -> None:
    best, compressed, _ = capture_inputs("/dev/video0", (640, 480), Fraction(30000, 1001), platform="linux")
    assert best.options == QUICK | {"video_size": "640x480", "framerate": "30000/1001"}
    assert compressed.options == {**best.options, "input_format": "mjpeg"}


def test_avfoundation_has_no_sound_and_a_default_camera() -> None:
    first, second, last = capture_inputs("", (0, 0), platform="darwin")
    wanted = QUICK | {"video_size": "1280x720", "framerate": "30"}
    assert first == CaptureInput("default:none", "avfoundation", wanted)
    assert (second.options, last.options) == (QUICK | {"framerate": "30"}, QUICK)
    assert capture_inputs("FaceTime HD Camera", platform="darwin")[0].url == "FaceTime HD Camera:none"


def test_directshow_names_its_devices_as_video() -> None:
    best, raw, anything = capture_inputs("Integrated Camera", (1920, 1080), platform="win32")
    assert (best.url, best.format) == ("video=Integrated Camera", "dshow")
    assert best.options["vcodec"] == "mjpeg"
    assert "vcodec" not in raw.options
    assert raw.options["video_size"] == "1920x1080"
    assert anything.options == QUICK


def test_a_size_with_one_side_asks_for_the_default() -> None:
    assert capture_inputs("/dev/video0", (1920, 0), platform="linux")[0].options["video_size"] == "1280x720"


def test_other_systems_have_no_cameras() -> None:
    with pytest.raises(DeviceError, match=r"cameras of this system \(sunos5\) are not supported"):
        capture_inputs("", platform="sunos5")


@pytest.mark.parametrize(
    ("name", "id"), [("", "/dev/video0"), ("/dev/video2", "/dev/video2"), ("Phone", "/dev/video2")]
)
def test_a_camera_is_found_by_its_path_or_name(name: str, id: str) -> None:
    assert find_camera(name, KNOWN, "linux") == id


def test_the_error_lists_the_cameras() -> None:
    with pytest.raises(DeviceError) as missing:
        find_camera("/dev/video7", KNOWN, "linux")
    assert str(missing.value) == (
        "there is no camera '/dev/video7'; cameras: /dev/video0 (Webcam), /dev/video2 (Phone)"
    )


@pytest.mark.parametrize(("platform", "hint"), [("linux", "usermod -a -G video"), ("darwin", "System Settings")])
def test_without_cameras_the_error_tells_about_permissions(platform: str, hint: str) -> None:
    for name in ("", "Webcam"):
        with pytest.raises(DeviceError, match=f"(no camera|none) was found.*{hint}"):
            find_camera(name, [], platform)


def test_a_camera_is_a_live_source_and_is_looked_for_at_once(tmp_path: Path) -> None:
    assert str(source_address("camera:/dev/video2")) == "camera:/dev/video2"
    with pytest.raises(DeviceError, match="there is no camera '/nowhere/video9'"):
        open_live_source(source_address("camera:/nowhere/video9"), SourceOptions(), Settings())
    with pytest.raises(UsageError, match=r"use one of: .*, camera:"):
        open_live_source(source_address("nonsense://x"), SourceOptions(), Settings())


def test_files_are_not_devices(tmp_path: Path) -> None:
    for name in ("video0", "video1x", "audio0"):
        (tmp_path / name).write_bytes(b"")
    assert describe(str(tmp_path / "video0")) is None
    assert describe(str(tmp_path / "video9")) is None
    assert devices(tmp_path) == []
