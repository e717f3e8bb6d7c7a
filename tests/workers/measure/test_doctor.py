"""The checks of `mattebox doctor`."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stream.devices.capture import Camera
from stream.finding import Finding
from stream.install import install_command
from stream.records.engines import ENGINES, EngineRecord
from stream.settings import Settings
from stream.srt.programs import MISSING
from tests.chooser_records import FOLLOWING, QUICK, registered
from tests.srt import only
from workers.measure.doctor import examine


@pytest.mark.long
def test_an_engine_without_its_modules_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    record = EngineRecord("new", "workers.engines.new:New", "new", "", modules=("cv2", "no_runtime"), extra="gpu")
    monkeypatch.setitem(ENGINES, record.name, record)
    remedy = f"{sys.executable} -m pip install 'mattebox[gpu]'"
    expected = Finding("engine new", None, "not installed: no_runtime", remedy)
    assert [finding for finding in examine(Settings()) if finding.name == "engine new"] == [expected]


def test_a_chooser_whose_packages_are_missing_is_reported() -> None:
    lacking = replace(QUICK, modules=("sys", "no_runtime"), extra="subjects")
    expected = Finding("chooser quick", None, "not installed: no_runtime", install_command("mattebox[subjects]"))
    with registered(lacking, FOLLOWING):
        assert [finding for finding in examine(Settings()) if finding.name.startswith("chooser")] == [expected]


def findings(name: str, settings: Settings | None = None) -> list[Finding]:
    return [finding for finding in examine(settings or Settings()) if finding.name == name]


def test_the_weights_that_the_operator_selected_are_checked(tmp_path: Path) -> None:
    (unset,) = findings("weights onnx")
    assert (unset.ok, unset.remedy) == (None, "set MATTEBOX_ONNX")
    path = str(tmp_path / "n.onnx")
    Path(path).touch()
    assert findings("weights onnx", Settings(onnx=path)) == [Finding("weights onnx", True, path)]
    (missing,) = findings("weights onnx", Settings(onnx="u2netp", cache_dir=tmp_path))
    assert (missing.ok, missing.detail) == (None, "u2netp: missing")
    assert "mattebox models pull onnx:u2netp" in missing.remedy
    (wrong,) = findings("weights onnx", Settings(onnx="nonsense"))
    assert wrong.ok is False
    assert "'nonsense' is not one of u2net" in wrong.detail


@pytest.mark.long
def test_the_program_for_srt_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("ffmpeg", "srt-live-transmit")
    programs = {name: only(name, tmp_path / name) for name in names}
    for name, program in programs.items():
        monkeypatch.setenv("PATH", str(tmp_path / name))
        (found,) = findings("srt")
        assert found.ok
        assert found.detail.startswith(f"{name} at {program.path}")
        assert ("process list" in found.detail) is bool(program.exposed)


def test_a_missing_program_for_srt_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = findings("srt")
    assert found.ok is None
    assert f"{found.detail}; {found.remedy}" == MISSING


def test_what_outputs_need_is_there() -> None:
    (found,) = findings("outputs")
    assert found.ok
    assert "whip+https" in found.detail


def test_cameras_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.devices.capture.cameras", lambda: [Camera("/dev/video0", "Webcam"), Camera("b", "b")])
    assert findings("camera") == [Finding("camera", True, "/dev/video0 (Webcam), b")]
    monkeypatch.setattr("stream.devices.capture.cameras", list)
    assert findings("camera") == [Finding("camera", None, "none was found")]


def test_a_missing_virtual_camera_is_no_fault_and_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("stream.sinks.cameras.devices", list)
    monkeypatch.setattr("stream.sinks.cameras.obstacle", lambda: "start PipeWire")
    (found,) = findings("virtual camera")
    assert (found.ok, found.detail) == (None, "no virtual camera")
    assert "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Mattebox" in found.remedy
    monkeypatch.setattr("stream.sinks.cameras.obstacle", lambda: None)
    assert findings("virtual camera") == [Finding("virtual camera", True, "the camera in PipeWire")]
