"""The command line from a user's view: arguments, output files, messages and exit codes.

In processes of their own where signals, streams, limits or the environment matter, else in this process.
"""

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from stream.settings import Settings
from stream.supervised import HEARTBEAT_FD
from tests.commands.in_process import mattebox_here
from tests.media import ROOT, TALK, TALK_ALPHA, command, first_frames, mattebox, numbered_clip, pattern_clip, read
from tests.rich_clips import PHONE, rich_clip, tags_of
from tests.waiting import PATIENCE_S
from workers.edges import foreground


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds in front of a green screen."""
    return pattern_clip(tmp_path_factory.mktemp("clips") / "screen.mp4", 320, 240, 120)


def test_a_file_is_matted_and_summarized(screen: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = mattebox("file", screen, "-o", out, "--engine", "chroma")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"{out}: 120 frames in" in done.stderr
    assert "\r" not in done.stderr
    assert len(read(out)) == 120


@pytest.mark.long
def test_json_output_has_one_event_per_line(screen: Path, tmp_path: Path) -> None:
    done = mattebox("file", screen, "-o", tmp_path / "o.mp4", "--engine", "chroma", "--json", "--end", "1")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["frames"] == 30
    assert events[-1]["engine"] == "chroma"
    assert (events[-1]["width"], events[-1]["height"]) == (320, 240)


@pytest.mark.long
def test_warnings_are_printed_at_the_end(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 6, sound_s=0.2)
    done = mattebox("file", clip, "-o", tmp_path / "o.gif", "--engine", "chroma", "--key", "#00ff00")
    assert done.returncode == 0, done.stderr
    assert "warning: GIF holds no sound" in done.stderr


@pytest.mark.parametrize(
    ("words", "title", "place"),
    [((), True, True), (("--metadata", "no-location"), True, False), (("--metadata", "drop"), False, False)],
)
def test_metadata_is_kept_by_default(tmp_path: Path, words: tuple[str, ...], title: bool, place: bool) -> None:
    clip, out = rich_clip(tmp_path / "in.mov", PHONE, frames=6), tmp_path / "out.mp4"
    done = mattebox_here("file", clip, "-o", out, "--engine", "chroma", "--key", "#00ff00", *words)
    assert done.returncode == 0, done.stderr
    assert ("title" in tags_of(out), "location" in tags_of(out)) == (title, place)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["file"], 2, "IN"),
        (["file", "no.mp4", "-o", "o.mp4"], 1, "no.mp4 does not exist"),
        (
            ["file", TALK, "-o", "o.mp4", "--background", "transparent"],
            2,
            "does not support transparency; use one of: .webm",
        ),
        (["file", TALK, "-o", "o.xyz"], 2, ".xyz is not an output format"),
        (["file", TALK, "-o", "o.mp4", "--background", "plaid"], 2, "'plaid' is not a background"),
        (["file", TALK, "-o", "o.mp4", "--background", "image:/none.jpg"], 1, "/none.jpg"),
        (["file", TALK, "-o", "o.mp4", "--view", "sideways"], 2, "sideways"),
        (["file", TALK, "-o", "o.mp4", "--metadata", "some"], 2, "'keep', 'no-location', 'drop'"),
        (
            ["file", TALK, "-o", "o.mp4", "--engine", "magic"],
            2,
            "engine: unknown engine 'magic'; use one of: auto, birefnet, rvm",
        ),
        (["file", TALK, "-o", "o.mp4", "--engine", "magic", "--key", "#00ff00"], 2, "engine: unknown engine 'magic'"),
        (["file", TALK, "-o", "o.mp4", "--engine", "magic", "--roi"], 2, "engine: unknown engine 'magic'"),
        (["file", "no.mp4", "-o", "o.mp4", "--engine", "magic"], 2, "engine: unknown engine 'magic'"),
        (["file", TALK, "-o", "o.mp4", "--start", "9"], 1, "cannot start at 0:09"),
        (["file", TALK, "-o", "o.mp4", "--start", "2", "--end", "1"], 2, "--end 1 is not after --start 2"),
        (["file", TALK, "-o", "o.mp4", "--size", "big"], 2, "--size 'big' is not a size"),
        (["file", TALK, "-o", "o.mp4", "--size", "1_0x1_0"], 2, "is not a size"),
        (["file", TALK, "-o", "o.mp4", "--size", "100000x2"], 2, "16384 pixels"),
        (["file", TALK, "-o", "o.mp4", "--key", "#808080"], 2, "a screen needs a colour"),
        (
            ["file", TALK, "-o", "o.mp4", "--key", "#00ff00", "--engine", "rvm"],
            2,
            "supported only by chroma, not by rvm",
        ),
        (["file", TALK, "-o", "o.mp4", "--feather", "99"], 2, "--feather"),
        (["file", TALK, "-o", "o.mp4", "--expand", "-20.5"], 2, "--expand"),
        (
            ["file", TALK, "-o", "o.mp4", "--engine", "rvm", "--weights", "lite"],
            2,
            "--weights: supported only by birefnet, onnx, not by rvm",
        ),
        (["file", TALK, "-o", "o.mp4", "--engine", "magic", "--weights", "lite"], 2, "engine: unknown engine 'magic'"),
        (["file", TALK, "-o", f"{__file__}/o.mp4"], 1, f"{__file__} is not a folder"),
        (["file", TALK, "-o", "-"], 2, "standard output needs a format that can be written to a pipe"),
        (["file", "", "-o", "o.mp4"], 2, "'' is not a file name"),
        (["file", "https://host/in.mp4", "-o", "o.mp4"], 2, "https:// is not a file name"),
        (["file", TALK, "-o", TALK], 2, "would overwrite the input"),
        (["file", TALK, "-o", "/no/such/folder/o.mp4"], 1, "does not exist"),
        (["file", __file__, "-o", "o.mp4"], 1, "is text, not a video"),
        (["models", "pull", "nope"], 2, "unknown name 'nope'; use one of: rvm, selfie, birefnet:NAME, onnx:NAME"),
        (["models", "pull", "nope:x"], 2, "unknown name 'nope'; use one of: rvm, selfie, birefnet:NAME, onnx:NAME"),
        (
            ["models", "pull", "rvm:x"],
            2,
            "rvm has no weights to choose from; use one of: rvm, selfie, birefnet:NAME, onnx:NAME",
        ),
        (["jobs", "list", "--server", "http://[host"], 2, "is not a server address"),
        (["eval", TALK, "none.mkv"], 1, "none.mkv does not exist"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(words: list[object], code: int, message: str) -> None:
    done = mattebox_here(*words)
    assert done.returncode == code, done.stderr
    error = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert "Traceback" not in done.stderr
    assert not (ROOT / "o.mp4").exists()


@pytest.mark.parametrize("group", [[], ["models"], ["jobs"]])
def test_without_arguments_the_help_is_shown_without_an_error(group: list[str]) -> None:
    done = mattebox_here(*group)
    assert done.returncode == 2
    assert "Usage: " in done.stdout + done.stderr
    assert "error" not in done.stderr


def test_the_output_of_an_export_is_checked_before_weights_are_downloaded(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    offline = {"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path / "none"}
    done = mattebox_here("models", "export", "lite", tmp_path / "none" / "x.onnx", env=offline)
    assert done.returncode == 1
    assert "none does not exist" in done.stderr


def test_errors_are_json_with_the_json_option() -> None:
    done = mattebox_here("file", "no.mp4", "-o", "o.mp4", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "unreadable_media"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_interrupting_leaves_nothing_behind(tmp_path: Path, number: int, name: str) -> None:
    process = subprocess.Popen(
        command("file", TALK, "-o", tmp_path / name, "--engine", "selfie", "--size", "1920x", "--json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # under nohup SIGHUP is ignored
    )
    try:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["event"] != "start":
            pass
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["typer", "av"])  # imported by the command line, and by the command
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_start_prints_no_traceback(tmp_path: Path, module: str, number: int) -> None:
    assert interrupted_at_import(tmp_path, module, number) == (130, "error: interrupted\n")


@pytest.mark.parametrize("module", ["typer", "av"])
def test_interrupting_the_start_of_a_supervised_program_prints_nothing(tmp_path: Path, module: str) -> None:
    assert interrupted_at_import(tmp_path, module, signal.SIGTERM, **{HEARTBEAT_FD: "9"}) == (130, "")


def interrupted_at_import(tmp_path: Path, module: str, number: int, **env: str) -> tuple[int, str]:
    """Exit code and standard error of a command that is interrupted while it imports `module`.

    Inside `exec`, because Python remembers an interruption there and exits as if it had been killed.
    """
    (tmp_path / f"{module}.py").write_text("import time\nexec('print(1, flush=True); time.sleep(60)')")
    with subprocess.Popen(
        command("file", TALK, "-o", tmp_path / "o.mp4"),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    return process.returncode, errors


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nonsense"], 2)])
def test_the_end_runs_exit_handlers_but_does_not_free_every_object(words: list[str], code: int) -> None:
    script = """
import atexit, mattebox
from commands import app
class Large:
    def __del__(self): print("freed")
kept, run = Large(), app.run
def with_handler(quiet):
    atexit.register(print, "handler")
    return run(quiet)
app.run = with_handler
mattebox.main()
"""
    argv = [sys.executable, "-c", script, *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, "handler")


@pytest.mark.long
def test_a_limit_on_file_size_is_a_disk_error_and_leaves_nothing(tmp_path: Path) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = mattebox("file", TALK, "-o", tmp_path / "o.mp4", "--engine", "selfie", "--json", preexec_fn=limit)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "disk"
    assert list(tmp_path.iterdir()) == []


def test_offline_without_weights_names_the_command_that_downloads_them(tmp_path: Path) -> None:
    done = mattebox_here(
        "file", TALK, "-o", tmp_path / "o.mp4", env={"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path / "c"}
    )
    assert done.returncode == 1
    assert "mattebox models pull rvm" in done.stderr
    assert "MATTEBOX_OFFLINE" in done.stderr


@pytest.mark.long
def test_the_engine_its_reason_and_its_licence_are_printed(tmp_path: Path) -> None:
    done = mattebox("file", TALK, "-o", tmp_path / "o.mp4", "--end", "0.2")
    assert "engine rvm on cpu: best matte on a CPU, for files" in done.stderr
    assert "GPL-3.0" in done.stderr


def test_part_of_a_video_scaled_with_sound(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 60, width=128, height=96, sound_s=2.0)
    out = tmp_path / "o.mp4"
    done = mattebox_here(
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


def test_eval_of_the_true_alpha_with_itself_is_zero(tmp_path: Path) -> None:
    alpha = first_frames(TALK_ALPHA, tmp_path / "alpha.mkv", 12)
    scores = json.loads(mattebox_here("eval", alpha, alpha, "--json").stdout)
    assert scores["frames"] == 12
    assert max(abs(scores[name]) for name in ("mad", "mse", "grad", "conn", "dtssd")) < 1e-9


def test_the_version_is_printed() -> None:
    done = mattebox("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("mattebox 0.")


def test_models_are_listed_and_verified() -> None:
    listed = [json.loads(line) for line in mattebox_here("models", "list", "--json").stdout.splitlines()]
    licences = {m["name"]: m["licence"] for m in listed}
    assert licences.pop("rvm") == "GPL-3.0"
    assert licences.pop("selfie") == "Apache-2.0"
    assert licences.pop("onnx:u2netp") == "Apache-2.0"
    transformers = {"sam2", "edgetam", "sam3", "mask2former", "eomt", "oneformer", "faces", "vitmatte"}
    assert {name.partition(":")[0] for name in licences} == {"birefnet", "onnx", *transformers}
    assert mattebox_here("models", "pull", "selfie").returncode == 0
    assert mattebox_here("models", "verify", "selfie").returncode == 0


@pytest.mark.long
def test_doctor_finds_no_problem_on_this_machine() -> None:
    done = mattebox("doctor", "--json")
    assert done.returncode == 0
    findings = {f["name"]: f for f in map(json.loads, done.stdout.splitlines())}
    assert findings["video"]["ok"]
    assert findings["onnxruntime"]["ok"]


@pytest.mark.parametrize(("name", "value"), [("THREADS", "abc"), ("THREADS", "-2"), ("OFFLINE", "maybe")])
def test_invalid_settings_are_named(name: str, value: str) -> None:
    done = mattebox("models", "list", env={f"MATTEBOX_{name}": value})
    assert done.returncode == 2
    assert f"MATTEBOX_{name}={value!r}" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_setting_counts_as_not_set() -> None:
    assert mattebox_here("models", "list", env={"MATTEBOX_OFFLINE": "", "MATTEBOX_THREADS": ""}).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("engine", ["rvm", "selfie"])
def test_nothing_is_written_to_the_users_home_but_weights(tmp_path: Path, engine: str) -> None:
    """onnxruntime writes an id and a queue of usage reports there, unless this is switched off."""
    home = tmp_path / "home"
    home.mkdir()
    settings = {"HOME": home, "XDG_CACHE_HOME": "", "MATTEBOX_CACHE_DIR": Settings().cache_dir}
    done = mattebox("file", TALK, "-o", tmp_path / "o.mp4", "--engine", engine, "--end", "0.5", env=settings)
    assert done.returncode == 0, done.stderr
    assert mattebox("doctor", env=settings).returncode == 0
    assert list(home.rglob("*")) == []


@pytest.mark.long
@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", ">&-", "--json >/dev/full", "--json | head -1"])
def test_the_video_is_matted_even_if_no_message_can_be_written(screen: Path, tmp_path: Path, redirect: str) -> None:
    words = shlex.join(command("file", screen, "-o", tmp_path / "o.mp4", "--engine", "chroma"))
    subprocess.run(["bash", "-c", f"{words} {redirect}"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert len(read(tmp_path / "o.mp4")) == 120


@pytest.mark.long
def test_birefnet_runs_from_a_local_checkpoint(birefnet_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "m.mkv"
    weights = f"{birefnet_weights}@256x192"
    done = mattebox("file", TALK, "-o", out, "--weights", weights, "--view", "matte", "--end", "0.2")
    assert done.returncode == 0, done.stderr
    assert "engine birefnet on" in done.stderr
    frames = read(out)
    assert len(frames) == 6
    assert all(np.ptp(frame.pixels[:480]) > 0 for frame in frames)


@pytest.mark.slow
def test_birefnet_estimates_colours_and_follows_the_subject(birefnet_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    words = ["--engine", "birefnet", "--weights", f"{birefnet_weights}@256x160", "--background", "transparent"]
    made = {}
    for how in ("estimate", "keep"):
        out = tmp_path / f"{how}.mkv"
        done = mattebox("file", TALK, "-o", out, *words, "--roi", "--foreground", how, "--end", "0.2")
        assert done.returncode == 0, done.stderr
        made[how] = read(out)
    for given, kept, found in zip(read(TALK, 6), made["keep"], made["estimate"], strict=True):
        assert found.alpha is not None
        np.testing.assert_array_equal(found.alpha, kept.alpha)
        np.testing.assert_array_equal(kept.pixels[:480][found.alpha > 0], given.pixels[:480][found.alpha > 0])
        expected = foreground.foreground(given.pixels, (found.alpha / 255).astype(np.float32))
        difference = np.abs(found.pixels[:480].astype(int) - expected[:480])[found.alpha > 0]
        assert difference.mean() < 1  # alpha has 256 levels
        assert np.abs(found.pixels[:480].astype(int) - kept.pixels[:480])[found.alpha > 0].mean() > 2


def test_a_published_birefnet_that_is_missing_cannot_be_verified(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    done = mattebox_here("models", "verify", "birefnet:lite", env={"MATTEBOX_CACHE_DIR": tmp_path})
    assert done.returncode == 1
    assert "mattebox models pull birefnet:lite" in done.stderr


def test_birefnet_offline_names_the_command_that_downloads_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = mattebox_here(
        "file", TALK, "-o", tmp_path / "o.mp4", "--engine", "birefnet",
        env={"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path / "c"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "mattebox models pull birefnet:general" in done.stderr


def test_help_names_every_command() -> None:
    text = mattebox_here("--help").stdout
    assert all(word in text for word in ("file", "models", "eval", "doctor", "bench"))


def test_transparent_output_is_black_where_alpha_is_zero(screen: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mkv"
    mattebox_here("file", screen, "-o", out, "--engine", "chroma", "--background", "transparent", "--end", "0.5")
    for frame in read(out):
        assert frame.alpha is not None
        luma = frame.planes()[0]
        assert set(np.unique(luma[frame.alpha == 0])) == {16}
