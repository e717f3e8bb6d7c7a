"""Cores: those of the affinity mask, or of a container's quota where it is smaller."""

import os
from pathlib import Path

import pytest

from stream import cores
from stream.settings import Settings


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("50000 100000", 1), ("100000 100000", 1), ("150000 100000", 2), ("400000 100000", 3), ("max 100000", 3), ("", 3)],
)
def test_a_quota_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores.available(file) == expected


def test_outside_a_container_there_is_no_quota(tmp_path: Path) -> None:
    assert cores.available(tmp_path / "missing") == len(os.sched_getaffinity(0))


def test_the_setting_comes_first() -> None:
    assert Settings(threads=7).cores() == 7
    assert Settings().cores() == cores.available()
