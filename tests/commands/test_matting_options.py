"""Commands that matte a video have the same options."""

import pytest
import typer

from commands.app import app
from tests.chooser_records import registered
from tests.commands.in_process import mattebox_here

_COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PART = {"start", "end", "stream", "metadata"}
"""Options that live video lacks: it has no start, only one video stream, and no metadata."""
WEIGHTS = {"weights", "verbose"}
"""Not of a job: the server chooses its weights, and keeps its own log."""
SEQUENCES = {"rate", "missing", "alpha", "depth"}
"""Of picture sequences. `rate` is that of the input; `stream` has another option of this name, for its outputs."""
SERVER = {"server", "token"}
SENDING = {"bitrate", "rate", "audio", "segment", "token", "token_file", "insecure"}
"""Of outputs of live video."""
MANY = {"formats", "recursive"}
"""Of the only command that takes several inputs."""


def parameters(*names: str) -> dict[str, tuple[object, ...]]:
    """By name: every option of a command, with its flags, default and help."""
    command = _COMMANDS[names[0]]
    for name in names[1:]:
        command = command.commands[name]
    return {
        p.name: (p.opts, p.default, getattr(p, "help", ""))
        for p in command.params
        if p.name not in ("source", "sources")
    }


def test_file_and_stream_differ_only_in_what_live_video_needs() -> None:
    file, stream = parameters("file"), parameters("stream")
    assert file.keys() - stream.keys() == PART | MANY | (SEQUENCES - {"rate"})
    own = {"duration", "slate", "password_file", "loop", "source_token", "source_token_file"}
    assert stream.keys() - file.keys() == own | (SENDING - {"rate"})
    assert all(file[name] == stream[name] for name in (file.keys() & stream.keys()) - {"rate", "outputs"})


def test_camera_has_the_options_of_file_for_matting() -> None:
    file, camera = parameters("file"), parameters("camera")
    assert file.keys() - camera.keys() == PART | MANY | SEQUENCES | {"outputs", "overwrite"}
    own = {
        "device",
        "loop",
        "idle",
        "slate",
        "password_file",
        "server",
        "token",
        "insecure",
        "source_token",
        "source_token_file",
    }
    assert camera.keys() - file.keys() == own
    assert all(file[name] == camera[name] for name in file.keys() & camera.keys())


def test_jobs_submit_has_the_options_of_file() -> None:
    file, submit = parameters("file"), parameters("jobs", "submit")
    assert file.keys() - submit.keys() == WEIGHTS | MANY | SEQUENCES | {"outputs"}
    assert submit.keys() - file.keys() == SERVER | {"output", "result", "priority", "watch"}
    assert all(file[name] == submit[name] for name in file.keys() & submit.keys())


COMMANDS = {
    "file": ("file", "in.mp4", "-o", "out.mp4"),
    "stream": ("stream", "in.mp4", "out.mkv"),
    "camera": ("camera",),
    "feeds add": ("feeds", "add", "stage", "live:cam"),
    "jobs submit": ("jobs", "submit", "in.mp4"),
    "batch": ("batch", "in", "out"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_mattes_takes_subjects(name: str) -> None:
    group, _, inner = name.partition(" ")
    found = parameters(group, inner) if inner else parameters(group)
    assert found["subjects"][0] == ["--subject"]
    assert found["chooser"][:2] == (["--chooser"], "auto")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--subject box:1,2",
            "--subject: 'box:1,2' is not a box; write box:X,Y,W,H; @SECONDS at its end if it applies later",
        ),
        ("--subject a=hat --subject a=not:dog", "--subject: 'a' is both kept and removed; give them different names"),
        ("--chooser quick", "--chooser quick needs --subject"),
    ],
)
def test_faulty_subjects_are_refused_in_one_line(name: str, options: str, message: str) -> None:
    done = mattebox_here(*COMMANDS[name], *options.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize("name", ["file", "jobs submit", "feeds add"])
def test_prompts_that_no_chooser_understands_are_refused(name: str) -> None:
    with registered():
        done = mattebox_here(*COMMANDS[name], "--subject", "point:1,1", "--subject", "class:dog")
    assert done.returncode == 2
    assert "no chooser understands point and class prompts together; following understands" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_chooser_is_refused_with_the_nearest() -> None:
    with registered():
        done = mattebox_here(*COMMANDS["file"], "--subject", "point:1,1", "--chooser", "quik")
    assert done.stderr == (
        "error: chooser: 'quik' is not one of: auto, following, quick, naming, reading; did you mean quick?\n"
    )
