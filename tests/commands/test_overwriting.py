"""Outputs that exist: refused, asked for, or replaced, in the same way by every command that writes one."""

import os
import pty
import select
import sys
from pathlib import Path

import pytest

from commands.app import app
from stream.errors import UsageError
from tests.media import ROOT, TALK, command, mattebox, numbered_clip, read

CHROMA = ("--engine", "chroma", "--key", "#00ff00")
_AGAIN_S = 5.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 4)


def on_a_terminal(answer: str, *words: object, after: bytes = b"[y/N]") -> tuple[int, str]:
    """Run a command on a terminal where `answer` is typed, once `after` is shown. Returns its exit code and what the
    terminal shows.

    Ctrl-C is typed again if nothing happens, as a person would: Python's `input` misses a signal that arrives in the
    moment before it waits, which is just after the question is shown.
    """
    process, terminal = pty.fork()
    if not process:
        os.chdir(ROOT)
        os.execv(sys.executable, command(*words))
    shown, typed = b"", False
    try:
        while True:
            if typed and answer == "\x03" and not select.select([terminal], [], [], _AGAIN_S)[0]:
                os.write(terminal, answer.encode())
            if not (chunk := _read(terminal)):
                break
            shown += chunk
            if answer and after in shown and not typed:
                os.write(terminal, answer.encode())
                typed = True
    finally:
        os.close(terminal)  # which ends the process, if it is still there
        _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end was closed
        return b""


def refused(*words: object) -> str:
    """The message of a command that refuses to replace something."""
    with pytest.raises(UsageError) as caught:
        app([str(word) for word in words], standalone_mode=False)
    return str(caught.value)


def test_an_existing_file_is_refused_without_a_terminal(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mkv").write_text("mine")
    line = refused("file", clip, "-o", tmp_path / "out.mkv", *CHROMA)
    assert line == f"{tmp_path / 'out.mkv'} already exists; choose another name, or replace with --overwrite (-y)"
    line = refused("stream", "rtsp://127.0.0.1:1/cam", tmp_path / "out.mkv", *CHROMA)
    assert "already exists" in line
    line = refused("models", "export", "lite", tmp_path / "out.mkv")
    assert "already exists" in line
    assert (tmp_path / "out.mkv").read_text() == "mine"


@pytest.mark.long
@pytest.mark.parametrize("flag", ["-y", "--overwrite"])
def test_overwrite_replaces_a_file(clip: Path, tmp_path: Path, flag: str) -> None:
    (tmp_path / "out.mkv").write_text("mine")
    done = mattebox("file", clip, "-o", tmp_path / "out.mkv", *CHROMA, flag)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "out.mkv")) == 4


@pytest.mark.long
def test_a_folder_with_files_counts_as_existing(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    for name in (tmp_path, tmp_path / "%05d.png"):
        assert f"{tmp_path} exists and is not empty" in refused("file", clip, "-o", name, *CHROMA)
    done = mattebox("file", clip, "-o", tmp_path, *CHROMA, "-y")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "note.txt").read_text() == "mine"
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.long
def test_ctrl_c_while_the_progress_bar_starts_is_one_line(tmp_path: Path) -> None:
    hides_cursor = b"\x1b[?25l"
    folder, long = tmp_path / "results", numbered_clip(tmp_path / "long.mp4", 1500)
    folder.mkdir()
    options = ("-o", folder / "out.mp4", "--size", "1920x", *CHROMA)  # takes half a minute
    code, shown = on_a_terminal("\x03", "file", long, *options, after=hides_cursor)
    assert code == 130
    assert shown.splitlines()[-1].endswith("error: interrupted"), shown
    assert "Traceback" not in shown
    assert "\x1b[?25h" in shown, "the cursor is shown again"
    assert list(folder.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize(("answer", "code", "frames"), [("y\n", 0, 4), ("n\n", 2, 0), ("\n", 2, 0), ("\x03", 130, 0)])
def test_a_terminal_is_asked(clip: Path, tmp_path: Path, answer: str, code: int, frames: int) -> None:
    out = tmp_path / "out.mkv"
    out.write_text("mine")
    returned, shown = on_a_terminal(answer, "file", clip, "-o", out, *CHROMA)
    assert returned == code, shown
    assert f"{out} already exists. Replace? [y/N]" in "".join(shown.splitlines())
    assert "Traceback" not in shown
    assert (len(read(out)) if frames else out.read_text()) == (frames or "mine")


@pytest.mark.parametrize(
    "words",
    [("jobs",), ("live", "--videos", "1"), ("feed",), ("model",), ("temporal", TALK, "--truth", TALK)],
    ids=lambda w: w[0],
)
def test_saved_results_of_a_benchmark(tmp_path: Path, words: tuple[object, ...]) -> None:
    """An existing file is refused before the minutes of work."""
    saved = tmp_path / "rows.json"
    saved.write_text("mine")
    assert f"{saved} already exists" in refused("bench", *words, "--save", saved)
    assert saved.read_text() == "mine"
