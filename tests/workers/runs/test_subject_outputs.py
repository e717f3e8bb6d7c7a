"""Outputs of single subjects, through `run_file` and the segments of a job: pixels of a drawn scene."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stream.errors import UsageError
from stream.picture.frames import Frame
from stream.progress import LineReporter
from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.parts.joined import Part
from tests.media import read, write_video
from tests.sounds import clip_with, heard, tones
from tests.workers.choosers import scene
from tests.workers.choosers.scene import Scene
from workers import engines
from workers.edges import shares
from workers.files import plan, segments
from workers.files.join import Whole
from workers.files.plan import make_plan
from workers.files.segments import Segment
from workers.files.watcher import Watcher
from workers.files.work import Work
from workers.runs.file import FileRun, Target, run_file

pytestmark = pytest.mark.usefixtures("scene_chooser")

SETTINGS = Settings(hw_encode=False, threads=1)
SPECS = "red=red", "blue=blue"
Levels = npt.NDArray[np.int_]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.clip(tmp_path_factory.mktemp("scene") / "scene.mp4", frames=8)


def options(*specs: str, **others: Any) -> Options:
    return Options.read(**{"engine": "chroma", "background": "transparent", "subjects": list(specs or SPECS)} | others)


def matted(clip: Path, folder: Path, chosen: Options, *names: str, suffix: str = ".mkv") -> list[list[Frame]]:
    """The frames of one output for each text such as `red+blue`; "" for all."""
    targets = [Target(folder / f"{n}{suffix}", tuple(filter(None, name.split("+")))) for n, name in enumerate(names)]
    first, *others = targets
    task = FileRun(clip, first.output, chosen, subject=first.subject, others=tuple(others))
    run_file(task, SETTINGS, LineReporter(StringIO()))
    return [read(target.output) for target in targets if isinstance(target.output, Path)]


def alphas(frames: list[Frame]) -> Levels:
    return np.stack([frame.alpha for frame in frames if frame.alpha is not None]).astype(int)


def true(name: str, frame: Frame) -> npt.NDArray[np.float32]:
    return scene.alpha(name, frame.time_s)


@pytest.mark.long
@pytest.mark.parametrize(
    "others",
    [
        {},
        pytest.param({"temporal": "offline"}, marks=pytest.mark.slow),
        {"edges": {"expand": 6.0, "feather": 4.0}},
    ],
    ids=str,
)
def test_each_has_only_its_own_and_together_they_are_all(clip: Path, tmp_path: Path, others: dict[str, Any]) -> None:
    red, both, blue, every = matted(clip, tmp_path, options(**others), "red", "red+blue", "blue", "")
    np.testing.assert_array_equal(alphas(red) + alphas(blue), alphas(every))
    np.testing.assert_array_equal(alphas(both), alphas(every))
    for name, frames, other in (("red", red, "blue"), ("blue", blue, "red")):
        for frame in frames:
            assert frame.alpha is not None
            assert frame.alpha[true(name, frame) == 1].min() > 150
            assert frame.alpha[true(other, frame) > 0].max() == 0
            room = frame.planes()[0][true(other, frame) == 1]
            assert (room == 16).all(), "what is not shown has no colour either"


def test_a_composite_shows_the_other_subject_nowhere(clip: Path, tmp_path: Path) -> None:
    (red,) = matted(clip, tmp_path, options(background="color:#ffffff"), "red")
    for frame in red:
        assert frame.planes()[0][true("blue", frame) == 1].min() > 233
        assert frame.planes()[0][true("red", frame) == 1].mean() < 130


def test_without_removed_subjects(clip: Path, tmp_path: Path) -> None:
    red, every = matted(clip, tmp_path, options("red=red", "not:blue"), "red", "")
    np.testing.assert_array_equal(alphas(red), alphas(every))


def test_a_subject_that_fades_does_so_in_its_own_output(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scene, "hidden", {"blue": (0.1, 0.7)})
    red, blue, every = matted(clip, tmp_path, options(), "red", "blue", "")
    np.testing.assert_array_equal(alphas(red) + alphas(blue), alphas(every))
    inside = scene.alpha("blue", 0.0) == 1
    levels = [int(alpha[inside].mean()) for alpha in alphas(blue)]
    assert levels[0] > levels[1] > levels[2] > levels[5] == 0
    assert levels[7] > 100


def test_a_subject_whose_prompt_applies_later_is_in_nobodys_output_before(clip: Path, tmp_path: Path) -> None:
    chosen = options("red=red", "blue=point:0.65,0.5@0.4", temporal="offline")
    red, blue = matted(clip, tmp_path, chosen, "red", "blue")
    for before, after in zip(red, blue, strict=True):
        assert before.alpha is not None
        assert after.alpha is not None
        ahead = before.alpha[true("blue", before) > 0]
        assert ahead.mean() < 0.1, "smoothing that looks ahead sees it a little earlier, also next to the other one"
        assert ahead.max() < 30
        if after.time_s >= 0.4:
            assert after.alpha[true("blue", after) == 1].min() > 150


@pytest.mark.long
def test_sound_is_in_each_output(tmp_path: Path) -> None:
    source = clip_with(tmp_path / "sound.mkv", tones(1))
    chosen = options("red=red", key="#00c83c", background="green")
    matted(source, tmp_path, chosen, "red", "", "red")
    expected = heard(source)[0]
    for n in range(3):
        np.testing.assert_array_equal(heard(tmp_path / f"{n}.mkv")[0], expected)


def test_a_picture(tmp_path: Path) -> None:
    Image.fromarray(scene.picture(0.0)).save(tmp_path / "in.png")
    first, second = (Target(tmp_path / f"{name}.png", (name,)) for name in ("red", "blue"))
    task = FileRun(tmp_path / "in.png", first.output, options(), subject=first.subject, others=(second,))
    run_file(task, SETTINGS, LineReporter(StringIO()))
    for name, other in (("red", "blue"), ("blue", "red")):
        alpha = np.asarray(Image.open(tmp_path / f"{name}.png"))[..., 3]
        assert alpha[scene.alpha(name, 0.0) == 1].min() > 150
        assert alpha[scene.alpha(other, 0.0) > 0].max() == 0


def test_nothing_is_divided_if_no_output_asks(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(shares, "shares", fail)
    monkeypatch.setattr(shares, "split", fail)
    matted(clip, tmp_path, options(), "", "")


def test_a_removed_and_an_unknown_subject_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    for name, message in (("removed", "is removed"), ("green", "there is no subject 'green'; use one of: red")):
        with pytest.raises(UsageError, match=message):
            matted(tmp_path / "missing.mp4", tmp_path, options("red=red", "not:blue"), "red", name)


# Touching: two discs, one in front of the other, and rough masks of both.


def discs(time_s: float, width: int = 320, height: int = 180) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Mattes of ann, who moves, and of bob, who stands in front of her."""
    planes = np.zeros((2, 720, 1280), np.uint8)
    cv2.circle(planes[0], (round(500 + 60 * np.sin(3 * time_s)), 360), 200, 255, -1)
    cv2.circle(planes[1], (800, 400), 180, 255, -1)
    planes[0][planes[1] > 0] = 0
    ann, bob = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in planes)
    return np.asarray(ann, np.uint8), np.asarray(bob, np.uint8)


def touching(folder: Path) -> tuple[Path, Options]:
    """A clip, and the options with the chooser `mask`."""

    def picture(time_s: float) -> npt.NDArray[np.uint8]:
        image = np.full((180, 320, 3), scene.SCREEN, np.float32)
        for matte, colour in zip(discs(time_s), scene.COLOURS.values(), strict=True):
            image += matte[..., None] / np.float32(255) * (np.array(colour, np.float32) - image)
        return np.rint(image).astype(np.uint8)

    def video(name: str, pictures: Iterator[npt.NDArray[np.uint8]]) -> Path:
        path = folder / name
        write_video(path, pictures, rate=Fraction(10), options={"crf": "2"}, colour=(1, 1, 1, 1))
        return path

    times = [n / 10 for n in range(4)]
    masks = [
        video(f"mask{n}.mkv", (np.repeat(discs(time_s, 80, 46)[n][..., None], 3, 2) for time_s in times))
        for n in range(2)
    ]
    specs = f"ann=mask:{masks[0]}", f"bob=mask:{masks[1]}"
    return video("touching.mp4", (picture(time_s) for time_s in times)), options(*specs, chooser="mask")


def test_subjects_that_touch_are_divided_between_them(tmp_path: Path) -> None:
    source, chosen = touching(tmp_path)
    ann, bob, every = matted(source, tmp_path, chosen, "ann", "bob", "")
    np.testing.assert_array_equal(alphas(ann) + alphas(bob), alphas(every))
    for frames, number in ((ann, 0), (bob, 1)):
        for frame in frames:
            mattes = discs(frame.time_s)
            assert frame.alpha is not None
            mine, others = mattes[number], cv2.erode(mattes[1 - number], np.ones((7, 7)))
            assert (
                np.abs(frame.alpha.astype(int) - mine).mean() / 0.255 < 12
            )  # MAD; 6 to 9 of them is the coarse mask's
            assert frame.alpha[others == 255].max() < 40
            assert frame.alpha[cv2.erode(mine, np.ones((7, 7))) == 255].min() > 215


# Jobs.


@pytest.mark.slow
def test_a_job_in_segments_has_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_SHORTEST", 10)
    monkeypatch.setattr(plan, "_MAX_OVERLAP", 100.0)
    monkeypatch.setattr(Scene, "recurrent", False)
    short = scene.clip(tmp_path / "short.mp4", frames=20, keyframes=5)
    outputs = Output(name="r", format="mkv", subject=("red",)), Output(name="b", format="mkv", subject=("blue",))
    job = Job(id="j", source="s", outputs=(*outputs, Output(name="all", format="mkv")), options=options())
    with scene.registered(replace(scene.RECORD, recurrent=False)):
        engine = engines.load("chroma", job.options, SETTINGS)
        made, _, _ = make_plan(job, short, engine, SETTINGS)
        work = Work(job, made, short, SETTINGS, Watcher())
        parts = [Segment(work, number) for number in range(len(made.spans))]
        notes = [segments.run_segment(part, tmp_path, engine) for part in parts]
        joined = []
        for n, output in enumerate(job.outputs):
            joined.append(tmp_path / f"joined{n}.mkv")
            with Whole(work) as whole:
                pieces = [Part(part.files(tmp_path)[n], note.first) for part, note in zip(parts, notes, strict=True)]
                whole.join(output, pieces, joined[-1])
    assert len(parts) > 1
    folder = tmp_path / "one"
    folder.mkdir()
    expected = matted(short, folder, job.options, "red", "blue", "")
    for path, frames in zip(joined, expected, strict=True):
        np.testing.assert_array_equal(alphas(read(path)), alphas(frames))


def test_a_job_with_a_subject_that_it_does_not_have_fails_before_it_is_planned() -> None:
    job = Job(id="j", source="s", outputs=(Output(subject=("ann",)),), options=options("red=red", background="green"))
    with pytest.raises(UsageError, match="result: there is no subject 'ann'; use one of: red"):
        segments.check(job)
