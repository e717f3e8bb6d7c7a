"""The checks of `mattebox doctor`."""

import sys

import pytest

from stream.records.engines import ENGINES, EngineRecord
from stream.settings import Settings
from workers.measure.doctor import Finding, examine


def test_an_engine_without_its_modules_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    record = EngineRecord("new", "workers.engines.new:New", "new", "", modules=("cv2", "no_runtime"), extra="gpu")
    monkeypatch.setitem(ENGINES, record.name, record)
    remedy = f"{sys.executable} -m pip install 'mattebox[gpu]'"
    expected = Finding("engine new", None, "not installed: no_runtime", remedy)
    assert [finding for finding in examine(Settings()) if finding.name == "engine new"] == [expected]
