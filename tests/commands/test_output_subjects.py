"""`-o OUT:NAME`: which texts name subjects and which are file names, and the command from its words to its files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands.output_subjects import read_outputs, refuse_selection, split
from stream.errors import UsageError
from stream.records.options import Options
from tests.commands.in_process import mattebox_here
from tests.media import numbered_clip, read
from tests.workers.choosers import scene

pytestmark = pytest.mark.usefixtures("scene_chooser")

SUBJECTS = "ann=point:0.3,0.5", "Bob_2=box:0.5,0,0.5,1", "gone=not:class:car"
OPTIONS = Options.read(subjects=list(SUBJECTS))
PLAIN = Options()


@pytest.mark.parametrize(
    ("text", "output", "names"),
    [
        ("person.webm", "person.webm", ()),
        ("person.webm:ann", "person.webm", ("ann",)),
        ("both.mkv:ann+Bob_2", "both.mkv", ("ann", "Bob_2")),
        ("twice.mkv:ann+ann", "twice.mkv", ("ann",)),
        ("frames:ann", "frames", ("ann",)),
        ("out/%05d.png:Bob_2", "out/%05d.png", ("Bob_2",)),
        ("-:ann", "-", ("ann",)),
        ("a:b.webm:ann", "a:b.webm", ("ann",)),
        (r"C:\x.webm:ann", r"C:\x.webm", ("ann",)),
        ("ann:ann", "ann", ("ann",)),
    ],
)
def test_what_follows_the_last_colon_names_subjects(text: str, output: str, names: tuple[str, ...]) -> None:
    assert split(text, OPTIONS) == (output, names)


@pytest.mark.parametrize(
    "text",
    ["a:b.webm", r"C:\x.webm", r"C:\ann", "C:ann", "c:x", "C:/video/x.webm", "a:b/c.mkv", ":ann", "take:1", "take:1/",
     "frames:ann/", "frames:", "x.webm:", "x.webm:a b", "-", "12:30.mp4", "frames:ann++Bob_2", f"f:{33 * 'a'}"],
)  # fmt: skip
@pytest.mark.parametrize("options", [OPTIONS, PLAIN], ids=["subjects", "none"])
def test_everything_else_is_a_file_name(text: str, options: Options) -> None:
    assert read_outputs([text], options) == [(text, ())]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("p.webm:anne", OPTIONS, "there is no subject 'anne'; use one of: ann, Bob_2; did you mean ann?"),
        ("p.webm:bob_2", OPTIONS, "there is no subject 'bob_2'; use one of: ann, Bob_2; did you mean Bob_2?"),
        ("p.webm:zoe", OPTIONS, "there is no subject 'zoe'; use one of: ann, Bob_2"),
        ("frames:anne", OPTIONS, "there is no subject 'anne'; use one of: ann, Bob_2; did you mean ann?"),
        ("p.webm:ann+zoe", OPTIONS, "there is no subject 'zoe'; use one of: ann, Bob_2"),
        ("frames:zoe+ann", OPTIONS, "there is no subject 'zoe'; use one of: ann, Bob_2"),
        ("p.webm:gone", OPTIONS, "the subject 'gone' is removed (not:), so it has no matte of its own"),
        ("frames:gone", OPTIONS, "the subject 'gone' is removed (not:), so it has no matte of its own"),
        ("p.webm:ann", PLAIN, "there is no subject 'ann'; none is chosen"),
        ("p.webm:ann", OPTIONS.model_copy(update={"background": Options.read(background="none").background}),
         "the background none shows everything, not only ann"),
        ("{subject}.webm", PLAIN, "{subject} needs subjects; choose them with --subject NAME=PROMPT"),
        ("{subject}.webm", Options.read(subjects=["not:car"]),
         "{subject} needs subjects; choose them with --subject NAME=PROMPT"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_meant_but_wrong_is_named(text: str, options: Options, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_outputs([text], options)
    assert str(error.value) == f"-o {text}: {message}"


def test_a_placeholder_stands_for_each_subject_that_is_kept() -> None:
    each = [("mattes/ann/%05d.png", ("ann",)), ("mattes/Bob_2/%05d.png", ("Bob_2",))]
    assert read_outputs(["mattes/{subject}/%05d.png"], OPTIONS) == each
    assert read_outputs(["{subject}.mkv:ann", "all.mp4"], OPTIONS) == [("ann.mkv", ("ann",)), ("all.mp4", ())]


@pytest.mark.parametrize("text", ["out.mkv:ann", "{subject}.mkv"])
def test_live_outputs_are_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match="live outputs show all subjects; mattebox file and jobs write them separately"
    ):
        refuse_selection(text, OPTIONS)


@pytest.mark.parametrize("text", ["out.mkv", "rtmp://host:1935/app:ann", "C:ann", "a:b.mkv"])
def test_other_live_outputs_are_not(text: str) -> None:
    refuse_selection(text, OPTIONS)


# The command.


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.clip(tmp_path_factory.mktemp("scene") / "scene.mp4", frames=3)


CHOSEN = ("--engine", "chroma", "--subject", "red=red", "--subject", "blue=blue")


def test_each_output_shows_its_subject(clip: Path, tmp_path: Path) -> None:
    words = (
        "-o",
        f"{tmp_path / 'person.webm'}:red",
        "-o",
        f"{tmp_path / 'other.mkv'}:blue",
        "-o",
        tmp_path / "a:b.mkv",
    )
    done = mattebox_here("file", clip, *words, *CHOSEN, "--background", "transparent", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    written = [Path(path).name for path in (report["output"], *report["others"])]
    assert written == ["person.webm", "other.mkv", "a:b.mkv"]
    shown = {"person.webm": ["red"], "other.mkv": ["blue"], "a:b.mkv": ["red", "blue"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown)
    for name, subjects in shown.items():
        frames = read(tmp_path / name)
        assert len(frames) == 3
        for frame in frames:
            assert frame.alpha is not None
            for subject in scene.COLOURS:
                true = scene.alpha(subject, frame.time_s)
                if subject in subjects:
                    assert frame.alpha[true == 1].min() > 150, (name, subject)
                else:
                    assert frame.alpha[true > 0].max() == 0, (name, subject)


def test_a_sequence_of_mattes_for_each_subject(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "mattes"
    out.mkdir()
    done = mattebox_here("file", clip, "-o", out / "{subject}", "-o", out / "all", *CHOSEN, "--view", "matte")
    assert done.returncode == 0, done.stderr
    for number in range(1, 4):
        red, blue, every = (
            np.asarray(Image.open(out / name / f"{number:05d}.png"), int) for name in ("red", "blue", "all")
        )
        np.testing.assert_array_equal(red + blue, every)
        assert red.max() == blue.max() == 255


def test_mistakes_are_one_line_and_nothing_is_written(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    for words, message in (
        (("-o", f"{out}:rad"), f"-o {out}:rad: there is no subject 'rad'; use one of: red, blue; did you mean red?"),
        (("-o", f"{out}:red", "-o", out), "two outputs have the same name"),
        (("-o", f"{clip}:red"), "the output would overwrite the input; choose another name"),
        ((clip, "-o", f"{tmp_path}/:red"), "one input at a time"),
        (("-o", "-:red", "-o", f"{out}:blue"), "standard output needs a format"),
        (
            ("-o", f"{out}:red", "-o", f"{tmp_path / 'x.mp4'}:blue", "--background", "transparent"),
            "MP4 (H.264) does not",
        ),
    ):
        done = mattebox_here("file", clip, *words, *CHOSEN)
        assert done.returncode == 2, (words, done.stderr)
        assert done.stderr.count("\n") == 1
        assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_outputs_are_all_named_before_any_work(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "blue.mkv").write_bytes(b"mine")
    words = ("file", clip, "-o", tmp_path / "{subject}.mkv", *CHOSEN)
    refused = mattebox_here(*words)
    assert refused.returncode == 2
    assert f"{tmp_path / 'blue.mkv'} already exists" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["blue.mkv"]
    assert mattebox_here(*words, "-y").returncode == 0
    assert len(read(tmp_path / "blue.mkv")) == 3


def test_several_outputs_need_no_subjects_but_a_file(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 4)
    words = ("-o", tmp_path / "a.mp4", "-o", tmp_path / "b.gif", "--engine", "chroma", "--key", "#00c83c")
    assert mattebox_here("file", clip, *words).returncode == 0
    assert len(read(tmp_path / "a.mp4")) == 4
    assert (tmp_path / "b.gif").stat().st_size
    piped = mattebox_here("file", "-", *words, "-y")
    assert piped.returncode == 2
    assert "several outputs need a file as the input" in piped.stderr


def test_a_live_output_is_refused(clip: Path, tmp_path: Path) -> None:
    done = mattebox_here("stream", clip, f"{tmp_path / 'out.mkv'}:red", *CHOSEN)
    assert done.returncode == 2
    assert "live outputs show all subjects" in done.stderr
