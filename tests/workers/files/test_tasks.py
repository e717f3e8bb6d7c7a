"""The engine that is kept between tasks."""

from pathlib import Path
from typing import Any

import pytest

from stream.records.job_store import JobTask
from stream.records.jobs import PLAN, Job, Output
from stream.records.options import Options
from stream.settings import Settings
from stream.storage import open_storage
from tests.media import numbered_clip
from workers import engines
from workers.files.tasks import Tasks
from workers.files.watcher import Watcher
from workers.files.workspace import Desk


def test_an_engine_serves_the_next_job_only_if_it_returns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colours are estimated only where an output shows them, so a job that shows them needs another engine."""
    loaded: list[str] = []
    load = engines.load

    def counted(name: str, options: Options, *rest: Any) -> Any:
        loaded.append(options.background.spec())
        return load(name, options, *rest)

    monkeypatch.setattr(engines, "load", counted)
    clip = numbered_clip(tmp_path / "clip.mp4")
    settings = Settings(data_dir=tmp_path, storage=str(tmp_path / "storage"))
    tasks = Tasks(settings, open_storage(settings), Desk(tmp_path / "desk"), lambda job, folder: clip)
    for background, *overridden in (("none",), ("green",), ("blur",), ("none",), ("none", "blur"), ("none", "green")):
        options = Options(engine="selfie", background=background, foreground="estimate")
        outputs = Output(format="mkv"), *(Output(name=n, format="mkv", background=n) for n in overridden)
        job = Job(id="j", source="s", outputs=outputs, options=options)
        tasks.run(JobTask(job, PLAN, "w", 1), Watcher())
    assert loaded == ["none", "color:#00ff00", "none", "blur:0.5"]
