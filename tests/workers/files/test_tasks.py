"""The engine that is kept between tasks, and the tasks of a job that lists candidates."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from stream.records.candidates import CANDIDATES, CandidateSearch
from stream.records.job_store import JobTask
from stream.records.jobs import JOIN, PLAN, Job, Output
from stream.records.options import Options
from stream.settings import Settings
from stream.storage import open_storage
from tests.media import numbered_clip
from tests.workers.choosers import halves
from workers import engines
from workers.files.tasks import PlanMade, ResultsJoined, SegmentDone, Tasks
from workers.files.watcher import Watcher
from workers.files.workspace import Desk
from workers.runs.subjects import SubjectsRun, run_subjects


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


def test_a_search_lists_the_candidates_of_the_frame_at_the_start(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", frames=12)
    settings = Settings(data_dir=tmp_path, storage=str(tmp_path / "storage"))
    storage = open_storage(settings)
    tasks = Tasks(settings, storage, Desk(tmp_path / "desk"), lambda job, folder: clip)
    job = Job(id="j", source="s", start_s=0.2, search=CandidateSearch(most=2))
    with halves.registered():
        planned = tasks.run(JobTask(job, PLAN, "w", 1), Watcher())
        assert isinstance(planned, PlanMade)
        assert (planned.plan.chooser, planned.plan.names) == ("halves", ("0000",))
        text = planned.plan.model_dump_json()
        done = tasks.run(JobTask(job, "0000", "w", 1, text), Watcher())
        assert isinstance(done, SegmentDone)
        joined = tasks.run(JobTask(job, JOIN, "w", 1, text, {"0000": done.note.to_json()}), Watcher())
        assert isinstance(joined, ResultsJoined)
        expected = run_subjects(SubjectsRun(clip, at_s=0.2), settings, print)
    (result,) = joined.results.values()
    assert (result.key, result.mime) == ("jobs/j/candidates.json", "application/json")
    assert tasks.device == "test"
    found = CANDIDATES.validate_json(storage.local(result.key, tmp_path).read_bytes())
    assert found == tuple(expected)
    assert [each.subject for each in found] == ["point:0.25,0.5@0.2", "box:0.7,0.2,0.2,0.2@0.2"]


def test_a_search_without_a_chooser_that_lists(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, storage=str(tmp_path / "storage"))
    tasks = Tasks(settings, open_storage(settings), Desk(tmp_path / "desk"))
    job = Job(id="j", source="s", search=CandidateSearch(chooser="sam3"))
    with pytest.raises(UsageError, match="sam3 does not list candidates; use one of: sam2"):
        tasks.run(JobTask(job, PLAN, "w", 1), Watcher())
