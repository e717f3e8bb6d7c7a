"""Limits of a container, and folders that cannot be written to."""

import os
from pathlib import Path

from stream.deployment.machine import check
from stream.finding import Finding
from stream.settings import Settings


def findings(settings: Settings, memory_file: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(settings, memory_file)}


def test_a_machine_without_limits(tmp_path: Path) -> None:
    found = findings(Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"), tmp_path / "none")
    assert found["cores"].ok
    assert found["data folder"].ok is not False
    assert found["user"].ok is (True if os.geteuid() else None)


def test_a_small_container(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n")
    settings = Settings(data_dir=tmp_path, cache_dir=tmp_path, threads=256)
    found = findings(settings, tmp_path / "memory.max")
    assert found["memory"].ok is None
    assert found["memory"].detail.startswith("0.5 GiB of the machine's")
    assert found["cores"].ok is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path / "file" / "data", cache_dir=tmp_path)
    found = findings(settings, tmp_path / "none")
    assert found["data folder"].ok is False
    assert "volume" in found["data folder"].remedy
