"""Batches with real videos, on nodes in this process; `test_ray_cluster.py` has those on a Ray cluster."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import BackgroundError
from stream.progress import LineReporter
from stream.records.jobs import Output
from stream.records.options import View
from stream.settings import Settings
from stream.storage import open_storage
from stream.storage.named import NamedBucket, open_place, work_settings
from tests.media import numbered, read, write_video
from tests.workers.batch.nodes import SETTINGS, rows, run
from tests.workers.batch.test_intake import request
from workers.batch.calls import Call
from workers.batch.run import Ended, Summary
from workers.files import plan
from workers.runs.file import FileRun, run_file


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of about 30 frames, regardless of how many are decoded twice."""
    monkeypatch.setattr(plan, "_SHORTEST", 30)
    monkeypatch.setattr(plan, "_MAX_OVERLAP", 10.0)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video that is cut into three segments (with `short`), and one that is not cut."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "sub").mkdir()
    write_video(folder / "long.mp4", map(numbered, range(90)), codec="mpeg4", options={"g": "10"}, sound_s=3.0)
    write_video(folder / "sub" / "short.mkv", map(numbered, range(100, 112)), codec="mpeg4")
    return folder


@pytest.fixture
def films(clips: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clips, tmp_path / "films"))


def events(out: io.StringIO, name: str) -> list[dict[str, Any]]:
    return [event for line in out.getvalue().splitlines() if (event := json.loads(line))["event"] == name]


def one_pass(clip: Path, path: Path) -> Path:
    """What `mattebox file` makes of it."""
    run_file(FileRun(clip, path, request().job.options), SETTINGS, LineReporter(io.StringIO()))
    return path


def same(ours: Path, theirs: Path) -> bool:
    pairs = list(zip(read(ours), read(theirs), strict=True))
    return bool(pairs) and all(a.time_s == b.time_s and np.array_equal(a.pixels, b.pixels) for a, b in pairs)


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_results_are_those_of_mattebox_file(films: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    summary, nodes, out = run(str(films), str(results), tmp_path)
    assert str(summary) == "2 done, 0 failed, 0 skipped"
    assert [task for name, task in nodes.log if name == "long.mkv"] == ["plan", "0000", "0001", "0002", "join"]
    assert [task for name, task in nodes.log if name == "sub/short.mkv"] == ["plan"]
    assert nodes.closed
    for name in ("long", "sub/short"):
        clip = next(films.glob(f"{name}.*"))
        assert same(results / f"{name}.mkv", one_pass(clip, tmp_path / "theirs.mkv"))
    done = {Path(event["output"]).name: event for event in events(out, "done")}
    assert (done["long.mkv"]["frames"], done["short.mkv"]["frames"]) == (90, 12)
    assert done["long.mkv"]["device"] == "cpu"
    storage = open_storage(work_settings(str(results), SETTINGS))
    assert storage.keys("jobs/") == [], "nothing but the records is left"
    assert len(storage.keys("batch/done/")) == 2


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_nothing_is_done_twice(films: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(str(films), str(results), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.mkv")}
    summary, nodes, out = run(str(films), str(results), tmp_path)
    assert summary == Summary(skipped=2)
    assert nodes.log == []
    assert len(events(out, "skipped")) == 2
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.mkv")} == before
    write_video(films / "new.mp4", map(numbered, range(5)))
    (results / "long.mkv").unlink()
    summary, nodes, _ = run(str(films), str(results), tmp_path)
    assert (summary.done, summary.skipped) == (2, 1), "the new one, and the one whose result was removed"


def test_results_of_other_options_are_replaced_only_on_request(films: Path, tmp_path: Path) -> None:
    results, matte = str(tmp_path / "results"), request(options={"view": View.MATTE})
    run(str(films), results, tmp_path)
    before = (tmp_path / "results" / "long.mkv").read_bytes()
    summary, _, out = run(str(films), results, tmp_path, of=matte)
    assert summary == Summary(kept=2)
    assert "other options" in events(out, "kept")[0]["message"]
    assert (tmp_path / "results" / "long.mkv").read_bytes() == before
    assert run(str(films), results, tmp_path, of=matte, overwrite=True)[0] == Summary(done=2)
    assert (tmp_path / "results" / "long.mkv").read_bytes() != before
    assert run(str(films), results, tmp_path, of=matte)[0] == Summary(skipped=2)
    assert run(str(films), results, tmp_path)[0] == Summary(kept=2), "the first options are not done any more"


def test_a_bad_video_does_not_stop_the_others(films: Path, tmp_path: Path) -> None:
    (films / "bad.mp4").write_bytes((films / "long.mp4").read_bytes()[:300])
    (films / "sub" / "short.mp4").write_bytes(b"")
    summary, _, out = run(str(films), str(tmp_path / "results"), tmp_path)
    assert (summary.done, summary.failed) == (2, 2)
    failed = {Path(event["input"]).name: event for event in events(out, "failed")}
    assert failed["bad.mp4"]["code"] == "unreadable_media"
    assert "rename one of them" in failed["short.mp4"]["message"]
    storage = open_storage(work_settings(str(tmp_path / "results"), SETTINGS))
    assert storage.keys("jobs/") == []
    report = [json.loads(line) for line in rows(storage)]
    assert sorted(row["state"] for row in report) == ["done", "done", "failed", "failed"]
    (row,) = [row for row in report if row["input"].endswith("long.mp4")]
    assert (row["frames"], row["input_bytes"]) == (90, (films / "long.mp4").stat().st_size)


class Lose:
    """Lose the nodes of the first calls."""

    def __init__(self, count: int, crashed: bool = False) -> None:
        self._left, self._crashed = count, crashed

    def __call__(self, call: Call) -> Ended | None:
        self._left -= 1
        return Ended(call, None, self._crashed) if self._left >= 0 else None


def test_calls_of_lost_nodes_run_again(films: Path, tmp_path: Path) -> None:
    summary, nodes, _ = run(str(films), str(tmp_path / "results"), tmp_path, before=Lose(5))
    assert summary == Summary(done=2)
    assert len(nodes.log) == 7


def test_a_video_that_crashes_its_process_fails(films: Path, tmp_path: Path) -> None:
    def before(call: Call) -> Ended | None:
        return Ended(call, None, crashed=True) if call.film.result == "long.mkv" else None

    summary, _, out = run(str(films), str(tmp_path / "results"), tmp_path, before=before)
    assert (summary.done, summary.failed) == (1, 1)
    assert events(out, "failed")[0]["code"] == "poison"


class Interrupt:
    """Ctrl-C before the call with this number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, call: Call) -> Ended | None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return None


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_an_interrupted_batch_continues_where_it_was(films: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (films / "sub" / "short.mkv").unlink()
    with pytest.raises(KeyboardInterrupt):  # plan, 0000, 0001 have run
        run(str(films), str(results), tmp_path, before=Interrupt(4), count=1)
    assert sorted(path.name for path in results.rglob("*.mkv")) == ["0000-result.mkv", "0001-result.mkv"]
    summary, nodes, _ = run(str(films), str(results), tmp_path)
    assert summary == Summary(done=1)
    assert nodes.log == [("long.mkv", "plan"), ("long.mkv", "0002"), ("long.mkv", "join")]
    assert same(results / "long.mkv", one_pass(films / "long.mp4", tmp_path / "theirs.mkv"))


@pytest.mark.usefixtures("short")
def test_a_result_that_was_not_moved_any_more_gets_its_name(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node dies after the join: nothing is matted again."""
    results = tmp_path / "results"
    (films / "sub" / "short.mkv").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("stream.storage.named.NamedFolder.take", _die)
        with pytest.raises(KeyboardInterrupt):
            run(str(films), str(results), tmp_path)
    assert not (results / "long.mkv").exists()
    summary, nodes, _ = run(str(films), str(results), tmp_path)
    assert (summary, nodes.log) == (Summary(done=1), [("long.mkv", "plan")])
    assert same(results / "long.mkv", one_pass(films / "long.mp4", tmp_path / "theirs.mkv"))


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_changed_video_is_noticed(films: Path, tmp_path: Path) -> None:
    def before(call: Call) -> Ended | None:
        if call.film.result == "long.mkv":
            write_video(films / "long.mp4", map(numbered, range(3)))
        return None

    summary, _, out = run(str(films), str(tmp_path / "results"), tmp_path, before=before)
    assert (summary.done, summary.failed) == (1, 1)
    assert "was changed while the batch was running" in events(out, "failed")[0]["message"]
    assert run(str(films), str(tmp_path / "results"), tmp_path)[0] == Summary(done=1, skipped=1)


def test_an_error_of_all_videos_ends_the_batch(films: Path, tmp_path: Path) -> None:
    picture = tmp_path / "mars.jpg"
    picture.write_bytes(b"no picture")
    with pytest.raises(BackgroundError, match=r"mars\.jpg.*\(on node"):
        run(str(films), str(tmp_path / "results"), tmp_path, of=request(options={"background": f"image:{picture}"}))


def test_work_in_progress_is_bounded_by_the_nodes(clips: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for n in range(9):
        shutil.copy(clips / "sub" / "short.mkv", films / f"{n}.mkv")
    summary, nodes, _ = run(str(films), str(tmp_path / "results"), tmp_path, count=2)
    assert (summary.done, nodes.most) == (9, 2)


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("format", ["mkv", "png"])
def test_from_bucket_to_bucket(clips: Path, tmp_path: Path, s3: Settings, format: Any) -> None:
    source, settings = "s3://films/Grüße & films", s3.model_copy(update={"hw_encode": False, "threads": 1})
    for name in ("long.mp4", "sub/short.mkv"):
        NamedBucket(source, s3).send(name, [(clips / name).read_bytes()])
    results, of = "s3://films/results", request(outputs=(Output(format=format),))
    summary, nodes, out = run(source, results, tmp_path, of=of, settings=settings)
    assert summary == Summary(done=2)
    assert ("long.mkv" in dict(nodes.log)) == (format == "mkv")
    names = sorted(found.name for found in open_place(results, s3).files())
    assert names == (["long.mkv", "sub/short.mkv"] if format == "mkv" else ["long.zip", "sub/short.zip"])
    assert events(out, "done")[0]["output"].startswith("s3://films/results/")
    assert run(source, results, tmp_path, of=of, settings=settings)[0] == Summary(skipped=2)
    assert open_storage(work_settings(results, s3)).keys("jobs/") == []
    if format == "mkv":
        ours = open_place(results, s3).local("long.mkv", tmp_path)
        assert same(ours, one_pass(clips / "long.mp4", tmp_path / "theirs.mkv"))
