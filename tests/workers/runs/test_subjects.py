"""`mattebox file` and jobs with chosen subjects: received frames of a drawn scene."""

from io import StringIO
from pathlib import Path
from typing import ClassVar, TextIO

import numpy as np
import pytest
from PIL import Image

from stream.errors import UnreadableMedia, UsageError
from stream.picture.frames import Frame
from stream.progress import LineReporter
from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.settings import Settings
from tests.media import read
from tests.workers.choosers import scene
from tests.workers.choosers.scene import Scene
from workers import engines
from workers.files import plan, segments
from workers.files.note import Note, judge
from workers.files.plan import make_plan
from workers.files.segments import Segment
from workers.files.watcher import Watcher
from workers.files.work import Work
from workers.runs.file import FileRun, run_file

pytestmark = pytest.mark.usefixtures("scene_chooser")

SETTINGS = Settings(hw_encode=False, threads=1)
WHITE = 235


class Shy(Scene):
    """Does not find the blue subject from 1 to 1.8 s."""

    hidden: ClassVar = {"blue": (1.0, 1.8)}


SHY = "tests.workers.runs.test_subjects:Shy"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.clip(tmp_path_factory.mktemp("scene") / "scene.mp4")


def options(*specs: str, **others: str) -> Options:
    return Options.read(**{"engine": "chroma", "background": "color:#ffffff", "subjects": list(specs)} | others)


def matted(
    clip: Path, folder: Path, *specs: str, start_s: float = 0.0, log: TextIO | None = None, **others: str
) -> tuple[list[Frame], list[str]]:
    """The frames of the result, and the warnings."""
    out = folder / "out.mkv"
    task = FileRun(clip, out, options(*specs, **others), start_s=start_s)
    report = run_file(task, SETTINGS, LineReporter(log or StringIO()))
    return read(out), [sentence for _, sentence in report.warnings]


def shown(frame: Frame, start_s: float = 0.0) -> list[str]:
    """The subjects that are seen in front of the white background."""
    time_s, luma = frame.time_s + start_s, frame.planes()[0]
    return [name for name in scene.COLOURS if luma[scene.alpha(name, time_s) == 1].mean() < 150]


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (("point:0.3,0.5",), ["red"]),
        (("a=point:0.3,0.5", "b=box:0.5,0,0.5,1"), ["red", "blue"]),
        (("not:class:red",), ["blue"]),
    ],
    ids=str,
)
def test_a_file_shows_the_chosen_subjects(clip: Path, tmp_path: Path, specs: tuple[str, ...], names: list[str]) -> None:
    log = StringIO()
    frames, warnings = matted(clip, tmp_path, *specs, log=log)
    assert len(frames) == 30
    assert [shown(frame) for frame in frames] == [names] * 30
    assert warnings == []
    assert "chooser scene on test: it knows the scene" in log.getvalue()


@pytest.mark.long
def test_a_correction_later_in_the_video_and_a_part_of_it(clip: Path, tmp_path: Path) -> None:
    specs = "class:red,blue", "point:-0.7,0.5@2"
    frames, _ = matted(clip, tmp_path, *specs)
    assert [shown(frame) for frame in frames] == [["red", "blue"]] * 20 + [["red"]] * 10
    part, _ = matted(clip, tmp_path, *specs, start_s=1.0)
    assert [shown(frame, 1.0) for frame in part] == [["red", "blue"]] * 10 + [["red"]] * 10


def test_a_drawn_mask_is_the_subject(clip: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "mask.png"
    Image.fromarray((255 * (scene.alpha("blue", 0.0, 640, 360) > 0.5)).astype(np.uint8)).save(drawn)
    frames, _ = matted(clip, tmp_path, f"mask:{drawn}", chooser="mask")
    assert shown(frames[0]) == ["blue"]
    for bad, error in ((tmp_path / "none.png", UnreadableMedia), (clip.with_suffix(".txt"), UnreadableMedia)):
        with pytest.raises((error, UsageError), match=r"^mask: "):
            matted(clip, tmp_path, f"mask:{bad}", chooser="mask")


def test_times_at_which_a_subject_was_not_found_are_reported(clip: Path, tmp_path: Path) -> None:
    record = scene.RECORD
    with scene.registered(type(record)(**{f: getattr(record, f) for f in record.__slots__} | {"place": SHY})):
        frames, warnings = matted(clip, tmp_path, "red=red", "blue=blue")
    assert warnings == ["the subject blue was not found at 0:01-0:02; check these times, and add a prompt there"]
    assert shown(frames[5]) == ["red", "blue"]
    assert shown(frames[16]) == ["red"]
    assert shown(frames[25]) == ["red", "blue"]


def test_prompts_that_no_chooser_understands_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no chooser understands"):
        matted(tmp_path / "missing.mp4", tmp_path, "mask:a.png", "b=class:dog")


def test_a_picture_shows_the_chosen_subject(tmp_path: Path) -> None:
    Image.fromarray(scene.picture(0.0)).save(tmp_path / "in.png")
    task = FileRun(tmp_path / "in.png", tmp_path / "out.png", options("point:0.3,0.5"))
    run_file(task, SETTINGS, LineReporter(StringIO()))
    out = np.asarray(Image.open(tmp_path / "out.png").convert("L"), np.float32)
    assert out[scene.alpha("red", 0.0) == 1].mean() < 150
    assert out[scene.alpha("blue", 0.0) == 1].min() > 245


def test_a_job_reports_the_times_too_with_its_segments_merged(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chooser here is one that does not follow, so that the video is cut."""
    monkeypatch.setattr(plan, "_SHORTEST", 10)
    monkeypatch.setattr(plan, "_MAX_OVERLAP", 100.0)
    record = scene.RECORD
    fields = {f: getattr(record, f) for f in record.__slots__} | {"place": SHY, "recurrent": False}
    short = tmp_path / "short.mp4"
    scene.clip(short, keyframes=5)
    with scene.registered(type(record)(**fields)):
        monkeypatch.setattr(Shy, "recurrent", False)
        job = Job(id="j", source="s", outputs=(Output(format="mkv"),), options=options("blue=blue"))
        engine = engines.load("chroma", job.options, SETTINGS)
        made, _, _ = make_plan(job, short, engine, SETTINGS)
        work = Work(job, made, short, SETTINGS, Watcher())
        parts = [Segment(work, number) for number in range(len(made.spans))]
        notes = [segments.run_segment(part, tmp_path, engine) for part in parts]
    assert len(parts) > 1
    notes = [Note.from_json(note.to_json()) for note in notes]
    assert [code for code, _ in judge(notes, SETTINGS)] == ["subject_not_found"]
    assert "blue was not found at 0:01-0:02" in judge(notes, SETTINGS)[0][1]


def test_notes_of_the_version_before_are_read() -> None:
    assert Note.from_json('{"first": 1, "bad": 0, "total": 5, "warnings": []}').unsure == ()
