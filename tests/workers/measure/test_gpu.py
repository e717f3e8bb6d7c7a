"""The check of the GPU: this machine's, and one with a device but without a driver."""

from pathlib import Path

import pytest

from workers.measure import gpu


def test_a_machine_without_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = gpu.check(tmp_path / "nvidia0")
    assert (found.name, found.ok) == ("gpu", None)


def test_a_device_without_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia0").touch()
    driver, _ = gpu.check(tmp_path / "nvidia0")
    assert driver.ok is False
    assert "container toolkit" in driver.remedy


def test_a_driver_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'no devices were found'; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (found,) = gpu.check(tmp_path / "nvidia0")
    assert found.ok is None


def test_the_torch_of_this_machine() -> None:
    torch = pytest.importorskip("torch")
    found = gpu._torch()
    assert torch.__version__ in found.detail
    assert found.ok is (False if torch.version.cuda is None else found.ok)
