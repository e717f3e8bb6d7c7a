"""Many inputs in one call: what is taken, where results go, and what happens if one fails."""

import json
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import av
import pytest

from stream.errors import UsageError, WeightsError
from stream.progress import JsonReporter, LineReporter
from stream.records.formats import FORMATS
from stream.records.options import Options
from stream.settings import Settings
from stream.sources.signatures import kind_of
from tests.media import DATA, number_of, numbered, numbered_clip, read, write_video
from tests.pictures import load, person, save
from workers.engines import load as load_engine
from workers.runs.file import FileRun
from workers.runs.many import Formats, Input, Summary, find_inputs, plan, run_many

SETTINGS = Settings()
OPTIONS = Options.read(engine="chroma", key="#00c83c", background="color:#0000ff")
COMMON = FileRun(Path(), Path(), OPTIONS, start_s=0.05)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two clips, three pictures, and files that are none."""
    folder = tmp_path / "in"
    (folder / "sub" / "deep").mkdir(parents=True)
    numbered_clip(folder / "clip.mp4", 4)
    numbered_clip(folder / "sub" / "clip.mkv", 3)
    save(folder / "a.png", person())
    save(folder / "b.jpg", person())
    save(folder / "sub" / "deep" / "a.png", person())
    save(folder / ".hidden.png", person())
    (folder / "note.txt").write_text("hello")
    (folder / "sound.mp3").write_bytes(b"ID3\4\0\0\0\0\0\0")
    return folder


def names(inputs: list[Input], below: Path) -> list[str]:
    return [str(each.path.relative_to(below)) for each in inputs]


def test_a_folder_gives_its_videos_and_pictures(tree: Path, tmp_path: Path) -> None:
    results = tmp_path / "out"
    assert names(find_inputs([tree], False, results), tree) == ["a.png", "b.jpg", "clip.mp4"]
    all_of_them = find_inputs([tree], True, results)
    assert names(all_of_them, tree) == ["a.png", "b.jpg", "clip.mp4", "sub/clip.mkv", "sub/deep/a.png"]
    assert [str(each.folder) for each in all_of_them] == [".", ".", ".", "sub", "sub/deep"]
    assert len(find_inputs([tree, tree / "a.png", tree / "a.png"], False, results)) == 3, "each once"
    with pytest.raises(UsageError, match="no videos or pictures; use --recursive"):
        find_inputs([tmp_path], False, results)


def test_results_inside_the_inputs_are_no_inputs(tree: Path) -> None:
    save(tree / "sub" / "done.png", person())
    assert names(find_inputs([tree], True, tree / "sub"), tree) == ["a.png", "b.jpg", "clip.mp4"]


def test_the_format_of_results() -> None:
    def chosen(*given: str, transparent: bool = False) -> tuple[str, str]:
        formats = Formats.read(given, transparent)
        return formats.video.name, formats.picture.name

    assert chosen() == ("mp4", "png-picture")
    assert chosen(transparent=True) == ("webm", "png-picture")
    assert chosen("webm", "jpg") == chosen("jpg", "webm") == ("webm", "jpg")
    assert chosen("webp") == ("mp4", "webp")
    assert chosen("png") == ("png", "png-picture")
    with pytest.raises(UsageError, match="'wmv' is unknown; use one of: mp4, webm"):
        chosen("wmv")
    with pytest.raises(UsageError, match="one format for videos and one for pictures"):
        chosen("mp4", "webm")


def test_results_keep_the_tree_and_times_are_for_videos(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    runs = plan(find_inputs([tree], True, out), Formats(FORMATS["png"], FORMATS["jpg"]), out, COMMON)
    outputs = [str(run.output.relative_to(out)) for run in runs if isinstance(run.output, Path)]
    assert outputs == ["a.jpg", "b.jpg", "clip", "sub/clip", "sub/deep/a.jpg"]
    assert [run.start_s for run in runs] == [0, 0, 0.05, 0.05, 0]


def test_results_with_the_same_name_are_refused_before_any_work(tmp_path: Path) -> None:
    formats = Formats.read([], False)
    first, second = save(tmp_path / "a.png", person()), save(tmp_path / "a.jpg", person())
    with pytest.raises(UsageError, match=r"a\.png and .*a\.jpg would both be written to .*out/a\.png"):
        plan([Input(first), Input(second)], formats, tmp_path / "out", COMMON)
    with pytest.raises(UsageError, match="would replace the input"):
        plan([Input(first)], formats, tmp_path, COMMON)


def test_an_input_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and events, one engine for all, and nothing left of the one that failed."""
    sources = [save(tmp_path / f"{n}.png", person()) for n in "abc"]
    sources[1].write_bytes(sources[1].read_bytes()[:60])
    sources.append(numbered_clip(tmp_path / "d.mp4", 4))
    loads: list[str] = []

    def counted(name: str, *rest: Any) -> Any:
        loads.append(name)
        return load_engine(name, *rest)

    monkeypatch.setattr("workers.engines.load", counted)
    log, out = StringIO(), tmp_path / "out"
    runs = plan([Input(path) for path in sources], Formats.read(["mkv"], False), out, COMMON)
    kept = [runs.pop(2)]
    assert run_many(runs, kept, SETTINGS, JsonReporter(log)) == Summary(done=2, failed=1, skipped=1)
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "d.mkv"]
    assert load(out / "a.png").shape == (45, 61, 3)
    assert [number_of(frame) for frame in read(out / "d.mkv")]
    assert loads == ["chroma"]
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [e["event"] for e in events if e["event"] not in ("message", "progress")] == [
        "skipped", "start", "done", "failed", "start", "done", "summary",
    ]  # fmt: skip
    (failed,) = [e for e in events if e["event"] == "failed"]
    assert (failed["input"], failed["code"]) == (str(sources[1]), "unreadable_media")
    assert events[-1] == {"event": "summary", "done": 2, "failed": 1, "skipped": 1}


def test_each_input_has_its_line(tmp_path: Path) -> None:
    sources = [save(tmp_path / "a.png", person()), save(tmp_path / "b.png", person())]
    sources[0].write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    log = StringIO()
    runs = plan([Input(path) for path in sources], Formats.read([], False), tmp_path / "out", COMMON)
    run_many(runs, [], SETTINGS, LineReporter(log))
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("error: ")
    assert "a.png" in lines[0]
    assert lines[-2].startswith(f"{tmp_path / 'out' / 'b.png'}: 61x45 in ")
    assert lines[-1] == "1 done, 1 failed, 0 skipped"


def test_an_error_common_to_all_inputs_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [save(tmp_path / f"{n}.png", person()) for n in "ab"]

    def unavailable(*_: object) -> Any:
        raise WeightsError("no weights")

    monkeypatch.setattr("workers.engines.load", unavailable)
    log = StringIO()
    runs = plan([Input(path) for path in sources], Formats.read([], False), tmp_path / "out", COMMON)
    with pytest.raises(WeightsError):
        run_many(runs, [], SETTINGS, LineReporter(log))
    assert not (tmp_path / "out").exists()


CODECS = {
    "mp4": "libx264", "mov": "libx264", "matroska": "libx264", "flv": "libx264", "mpegts": "libx264", "nut": "libx264",
    "webm": "libvpx", "ivf": "libvpx", "ogg": "libvpx", "avi": "mpeg4", "asf": "mpeg4", "mpeg": "mpeg2video",
    "mxf": "mpeg2video", "yuv4mpegpipe": "wrapped_avframe",
}  # fmt: skip


@pytest.mark.parametrize("container", CODECS)
def test_videos_are_known_by_their_first_bytes(tmp_path: Path, container: str) -> None:
    codec = CODECS[container]
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg does not write {codec}")
    images = [numbered(n, 176, 144) for n in range(4)]
    path = write_video(tmp_path / "clip", images, codec=codec, container=container, rate=Fraction(25))
    assert kind_of(path) == "video"


def test_other_files_are_neither_videos_nor_pictures(tmp_path: Path) -> None:
    contents = (b"", b"x", b"GIF", b"hello world, this is text", b"PK\3\4", b"%PDF-1.7", b"\0\0\0\x20ftypM4A \0\0\0\0")
    for n, content in enumerate(contents):
        (tmp_path / str(n)).write_bytes(content)
        assert kind_of(tmp_path / str(n)) == ""
    assert kind_of(tmp_path / "missing") == ""
    assert kind_of(DATA / "turned.heic") == "picture"
