"""`mattebox file` with many inputs, with pictures, and as a part of a pipe, run as a user runs it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from commands.app import app
from stream.errors import UsageError
from tests.commands.in_process import mattebox_here
from tests.media import ROOT, command, mattebox, number_of, numbered, numbered_clip, read, write_video
from tests.pictures import SKIN, load, person, points, save

CHROMA = ("--engine", "chroma", "--key", "#00c83c")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "sub").mkdir()
    numbered_clip(folder / "clip.mp4", 4)
    save(folder / "a.png", person())
    save(folder / "sub" / "b.jpg", person(), quality=95)
    return folder


def piped(data: bytes, *arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command with `data` on its standard input."""
    environment = os.environ | (env or {})
    return subprocess.run(
        command("file", *arguments),
        cwd=ROOT,
        env=environment,
        input=data,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.long
def test_a_folder_into_a_folder(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("file", inputs, "-o", out, "--recursive", "--format", "webm", "--format", "webp", *CHROMA)
    done = mattebox(*words, "--background", "transparent")
    assert done.returncode == 0, done.stderr
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == ["a.webp", "clip.webm", "sub/b.webp"]
    assert load(out / "a.webp").shape == (45, 61, 4)
    assert done.stderr.splitlines()[-1] == "3 done, 0 failed, 0 skipped"
    again = mattebox_here(*words, "--background", "transparent")
    assert again.returncode == 0
    assert again.stderr.splitlines()[-1] == "0 done, 0 failed, 3 skipped"
    assert f"skipped: {out / 'clip.webm'} already exists" in again.stderr
    replaced = mattebox_here(*words, "--background", "transparent", "--overwrite")
    assert replaced.stderr.splitlines()[-1] == "3 done, 0 failed, 0 skipped"


@pytest.mark.long
def test_the_exit_code_is_1_if_one_failed(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes((inputs / "clip.mp4").read_bytes()[:100])
    done = mattebox("file", tmp_path / "bad.mp4", inputs / "a.png", "-o", tmp_path / "out", "--json", *CHROMA)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events if e["event"] not in ("message", "progress")] == [
        "failed", "start", "done", "summary",
    ]  # fmt: skip
    assert load(tmp_path / "out" / "a.png").shape == (45, 61, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{a}", "{clip}", "-o", "x.mp4"), "x.mp4 is one file; several inputs need a folder: -o FOLDER"),
        (("{a}", "{clip}", "-o", "x", "--format", "wmv"), "--format 'wmv' is unknown"),
        (("{a}", "-o", "x.jpg", "--format", "webp"), "--format webp differs from the format of x.jpg"),
        (("-", "{a}", "-o", "x"), "'-' is not a file name"),
        (
            ("{a}", "{clip}", "-o", "x", "--format", "mp4", "--background", "transparent"),
            "does not support transparency",
        ),
    ],
)
def test_wrong_usage_is_reported_before_any_work(inputs: Path, words: tuple[str, ...], message: str) -> None:
    names = {"a": str(inputs / "a.png"), "clip": str(inputs / "clip.mp4")}
    with pytest.raises(UsageError, match=re.escape(message)):
        app(["file", *(word.format(**names) for word in words), *CHROMA], standalone_mode=False)


@pytest.mark.long
def test_standard_output_needs_a_format_for_pipes(inputs: Path) -> None:
    done = mattebox("file", inputs / "clip.mp4", "-o", "-", "--format", "mov", *CHROMA)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "needs a format that can be written to a pipe: mp4, webm, mkv, png-picture" in line


@pytest.mark.long
def test_an_interrupted_batch_keeps_what_is_done(inputs: Path, tmp_path: Path) -> None:
    long = write_video(tmp_path / "long.mkv", [numbered(n % 256) for n in range(9000)], codec="mpeg4")
    out = tmp_path / "out"
    words = command("file", inputs / "a.png", long, inputs / "clip.mp4", "-o", out, "--format", "mkv", *CHROMA)
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(f"{out / 'a.png'}: "):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert rest[-2:] == ["1 done, 0 failed, 0 skipped", "error: interrupted"]
    assert [path.name for path in out.iterdir()] == ["a.png"]


@pytest.mark.long
@pytest.mark.parametrize(("suffix", "format"), [(".mp4", "mkv"), (".mkv", "webm"), (".mkv", "mp4")])
def test_a_video_through_a_pipe(tmp_path: Path, suffix: str, format: str) -> None:
    """An MP4 has its index at its end."""
    clip = numbered_clip(tmp_path / f"in{suffix}", 6)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = piped(
        clip.read_bytes(), "-", "-o", "-", "--format", format, "--background", "none", *CHROMA,
        env={"TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "out").write_bytes(done.stdout)
    with av.open(str(tmp_path / "out")) as container:
        assert {"mkv": "matroska", "webm": "webm", "mp4": "mp4"}[format] in container.format.name
    assert [number_of(frame) for frame in read(tmp_path / "out")] == list(range(6))
    assert b"6 frames" in done.stderr
    assert list(temporary.iterdir()) == [], "the temporary file is removed"


@pytest.mark.long
def test_a_picture_through_a_pipe(inputs: Path, tmp_path: Path) -> None:
    data = (inputs / "a.png").read_bytes()
    for format in ("png", "tif"):
        done = piped(data, "-", "-o", "-", "--format", format, "--background", "transparent", "--json", *CHROMA)
        assert done.returncode == 0, done.stderr
        (tmp_path / "out").write_bytes(done.stdout)
        assert np.abs(load(tmp_path / "out")[points()[0]].astype(int) - (*SKIN, 255)).max() <= 12
        assert json.loads(done.stderr.splitlines()[-1])["event"] == "done", "events go to standard error"


@pytest.mark.long
def test_a_closed_reader_ends_the_program_quietly(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 255, (240, 320, 3), dtype=np.uint8) for _ in range(40)]
    clip = write_video(tmp_path / "in.mkv", images, codec="ffv1")
    words = command("file", clip, "-o", "-", "--format", "mkv", "--background", "none", *CHROMA)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == 141
    assert "rror" not in errors
    assert "Traceback" not in errors


@pytest.mark.long
@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (b"", {}, "error: standard input is empty"),
        (b"hello" * 100, {}, "error: standard input is text, not a video"),
        (b"x" * 2000, {"MATTEBOX_MAX_UPLOAD_BYTES": "1000"}, "error: standard input has more than 1,000 bytes"),
    ],
)
def test_bad_standard_input_is_one_line(data: bytes, settings: dict[str, str], message: str, tmp_path: Path) -> None:
    done = piped(data, "-", "-o", tmp_path / "out.mkv", *CHROMA, env=settings | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_terminal_as_standard_output_is_refused(inputs: Path) -> None:
    ours, theirs = os.openpty()
    try:
        words = command("file", inputs / "a.png", "-o", "-", "--format", "jpg", *CHROMA)
        done = subprocess.run(
            words, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output is a terminal; write to a file or a pipe")


@pytest.mark.long
def test_a_picture_into_a_folder_and_over_a_background(inputs: Path, tmp_path: Path) -> None:
    done = mattebox("file", inputs / "a.png", "-o", f"{tmp_path}/", *CHROMA, "--background", "color:#102030")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.png") as image:
        assert (image.size, image.mode) == ((61, 45), "RGB")
