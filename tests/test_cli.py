"""The command line as a user meets it: words in, files and exit codes out."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.pump import pump
from stream.session import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.pattern import PatternSource
from tests.fakes import Unchanged
from tests.media import TALK, numbered_clip, read

COMMAND = [sys.executable, "-m", "mattebox"]
ROOT = Path(__file__).parent.parent


def run(*words: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {k: str(v) for k, v in settings.pop("env", {}).items()}
    command = [*COMMAND, *(str(w) for w in words)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False, **settings
    )


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds before a green screen."""
    path = tmp_path_factory.mktemp("clips") / "screen.mp4"
    pump(PatternSource(320, 240, 120), Unchanged(), open_sink(path, Options(), Settings()))
    return path


def test_a_file_is_matted_and_the_end_is_told(screen: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = run("file", screen, "-o", out, "--engine", "chroma")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"{out}: 120 frames in" in done.stderr
    assert "\r" not in done.stderr
    assert len(read(out)) == 120


def test_machines_read_json_lines(screen: Path, tmp_path: Path) -> None:
    done = run("file", screen, "-o", tmp_path / "o.mp4", "--engine", "chroma", "--json", "--end", "1")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["frames"] == 30
    assert events[-1]["engine"] == "chroma"
    assert (events[-1]["width"], events[-1]["height"]) == (320, 240)


def test_warnings_are_said_at_the_end(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 6, sound_s=0.2)
    done = run("file", clip, "-o", tmp_path / "o.gif", "--engine", "chroma", "--key", "#00ff00")
    assert done.returncode == 0, done.stderr
    assert "warning: GIF holds no sound" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["file"], 2, "IN"),
        (["file", "no.mp4", "-o", "o.mp4"], 1, "no.mp4 does not exist"),
        (["file", TALK, "-o", "o.mp4", "--background", "transparent"], 2, "cannot be transparent; these can: .webm"),
        (["file", TALK, "-o", "o.xyz"], 2, ".xyz is no format"),
        (["file", TALK, "-o", "o.mp4", "--background", "plaid"], 2, "'plaid' is no background"),
        (["file", TALK, "-o", "o.mp4", "--background", "image:/none.jpg"], 1, "/none.jpg"),
        (["file", TALK, "-o", "o.mp4", "--view", "sideways"], 2, "sideways"),
        (["file", TALK, "-o", "o.mp4", "--engine", "magic"], 2, "engine: 'magic' is unknown; one of: auto, rvm"),
        (["file", TALK, "-o", "o.mp4", "--start", "9"], 1, "cannot start at 0:09"),
        (["file", TALK, "-o", "o.mp4", "--start", "2", "--end", "1"], 2, "--end 1 is not after --start 2"),
        (["file", TALK, "-o", "o.mp4", "--size", "big"], 2, "--size 'big' is no size"),
        (["file", TALK, "-o", TALK], 2, "would replace the input"),
        (["file", TALK, "-o", "/no/such/folder/o.mp4"], 1, "does not exist"),
        (["file", __file__, "-o", "o.mp4"], 1, "is not a video that can be read"),
        (["models", "pull", "nope"], 2, "'nope' is unknown"),
        (["eval", TALK, "none.mkv"], 1, "none.mkv does not exist"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(words: list[object], code: int, says: str) -> None:
    done = run(*words)
    assert done.returncode == code, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert says in error[0]
    assert "Traceback" not in done.stderr
    assert not (ROOT / "o.mp4").exists()


def test_errors_are_json_for_machines() -> None:
    done = run("file", "no.mp4", "-o", "o.mp4", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "unreadable_media"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_interrupting_leaves_nothing_behind(tmp_path: Path, number: int, name: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "file", str(TALK), "-o", str(tmp_path / name), "--engine", "selfie", "--size", "1920x", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["event"] != "start":
            pass
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "interrupted; nothing was written" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_limit_on_file_size_is_a_disk_error_and_leaves_nothing(tmp_path: Path) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = run("file", TALK, "-o", tmp_path / "o.mp4", "--engine", "selfie", "--json", preexec_fn=limit)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "disk"
    assert list(tmp_path.iterdir()) == []


def test_offline_without_weights_names_the_command_that_fetches_them(tmp_path: Path) -> None:
    done = run(
        "file", TALK, "-o", tmp_path / "o.mp4", env={"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path / "c"}
    )
    assert done.returncode == 1
    assert "mattebox models pull rvm" in done.stderr
    assert "MATTEBOX_OFFLINE" in done.stderr


def test_the_engine_its_reason_and_its_licence_are_said(tmp_path: Path) -> None:
    done = run("file", TALK, "-o", tmp_path / "o.mp4", "--end", "0.2")
    assert "engine rvm on cpu: best matte on a CPU, for files" in done.stderr
    assert "GPL-3.0" in done.stderr


def test_a_part_scaled_with_sound(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 60, width=128, height=96, sound_s=2.0)
    out = tmp_path / "o.mp4"
    done = run(
        "file",
        clip,
        "-o",
        out,
        "--engine",
        "chroma",
        "--background",
        "none",
        "--start",
        "0.5",
        "--end",
        "1.5",
        "--size",
        "64x",
    )
    assert done.returncode == 0, done.stderr
    frames = read(out)
    assert len(frames) == 30
    assert (frames[0].width, frames[0].height) == (64, 48)
    with av.open(str(out)) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(1.0, abs=0.05)  # type: ignore[operator]


def test_eval_of_the_truth_with_itself_is_zero() -> None:
    truth = TALK.parent / "talk_bikes_alpha.mkv"
    scores = json.loads(run("eval", truth, truth, "--json").stdout)
    assert scores["frames"] == 120
    assert max(abs(scores[name]) for name in ("mad", "mse", "grad", "conn", "dtssd")) < 1e-9


def test_models_are_listed_and_verified() -> None:
    listed = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    assert {m["name"]: m["licence"] for m in listed} == {"rvm": "GPL-3.0", "selfie": "Apache-2.0"}
    assert run("models", "pull", "selfie").returncode == 0
    assert run("models", "verify", "selfie").returncode == 0


def test_doctor_finds_this_machine_well() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0
    findings = {f["name"]: f for f in map(json.loads, done.stdout.splitlines())}
    assert findings["video"]["ok"]
    assert findings["onnxruntime"]["ok"]


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    assert all(word in text for word in ("file", "models", "eval", "doctor", "bench"))


def test_alpha_over_transparent_output_is_blank_where_the_room_was(screen: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mkv"
    run("file", screen, "-o", out, "--engine", "chroma", "--background", "transparent", "--end", "0.5")
    for frame in read(out):
        assert frame.alpha is not None
        luma = frame.planes()[0]
        assert set(np.unique(luma[frame.alpha == 0])) == {16}
