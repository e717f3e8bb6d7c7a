"""The process that runs a worker's tasks: its thread for previews."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream.settings import Settings
from stream.sources.pattern import PatternSource
from stream.storage import Storage, keys, open_storage
from tests.waiting import until
from workers.files import process
from workers.files.watcher import Watcher
from workers.files.workspace import Desk


class OddStorage:
    """Fails in an unexpected way on its first `put`."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self._failed = storage, False

    def put(self, key: str, path: Path) -> None:
        if not self._failed:
            self._failed = True
            raise KeyError("odd")
        self._storage.put(key, path)


def test_a_preview_that_fails_does_not_end_the_previews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "_FIRST_PREVIEW_S", 0.01)
    monkeypatch.setattr(process, "_PREVIEW_EVERY_S", 0.01)
    storage, watcher = open_storage(Settings(data_dir=tmp_path)), Watcher()
    (frame,) = PatternSource(64, 48, 1)
    odd: Any = OddStorage(storage)
    desk = tmp_path / "desk"
    desk.mkdir()
    with process._previews(watcher, odd, Desk(desk), "a-job"):
        watcher.newest = frame
        until(lambda: "no preview" in caplog.text and "'odd'" in caplog.text)
        watcher.newest = replace(frame)
        until(lambda: storage.keys(keys.job_preview("a-job")))
