"""`mattebox file` with patterns, folders and lists of numbered pictures, run as a user runs it."""

import signal
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.commands.in_process import mattebox_here
from tests.media import ROOT, command
from tests.sequences import write_png
from tests.waiting import until

SHOT = np.full((32, 48, 3), (0, 200, 60), np.uint8)
SHOT[8:, 12:36] = (200, 140, 120)
CHROMA = ("--engine", "chroma", "--key", "#00c83c")


def rate_and_frames(path: Path) -> tuple[str, int]:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].average_rate), sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("name", ["shot.%04d.png", "shot.####.png", ""])
def test_a_pattern_or_a_folder_becomes_a_video(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "in", range(99, 104), SHOT)
    out = tmp_path / "out.mp4"
    done = mattebox_here("file", tmp_path / "in" / name, "-o", out, *CHROMA, "--rate", "24000/1001")
    assert done.returncode == 0, done.stderr
    assert rate_and_frames(out) == ("24000/1001", 5)


def test_a_folder_with_a_folder_as_output_is_many_pictures(tmp_path: Path) -> None:
    write_png(tmp_path / "in", [1, 2], SHOT)
    done = mattebox_here("file", tmp_path / "in", "-o", tmp_path / "out", *CHROMA)
    assert done.stderr.splitlines()[-1] == "2 done, 0 failed, 0 skipped"


def test_many_names_of_a_sequence_are_refused_with_its_pattern(tmp_path: Path) -> None:
    write_png(tmp_path / "in", range(1, 101), SHOT[:4, :4])
    names = sorted((tmp_path / "in").iterdir())
    pattern = repr(str(tmp_path / "in" / "shot.%04d.png"))
    sequence = f"shot.0001.png to shot.0100.png are a sequence, which is one input: {pattern}"
    for words in ((*names, "-o", tmp_path / "out"), (tmp_path / "in", "-o", tmp_path / "out")):
        done = mattebox_here("file", *words, *CHROMA)
        assert done.returncode == 2
        assert f"100 inputs; {sequence}; to matte each picture by itself, add --format png-picture" in done.stderr
    done = mattebox_here("file", *names[:2], "-o", tmp_path / "out.mov", *CHROMA)
    assert done.returncode == 2
    assert f"are a sequence, which is one input: {pattern}" in done.stderr


def test_numbered_photos_can_be_matted_one_by_one(tmp_path: Path) -> None:
    write_png(tmp_path / "in", range(1, 101), SHOT[:4, :4])
    for number in range(3, 101):
        (tmp_path / "in" / f"shot.{number:04d}.png").write_text("not a picture, so that this test is short")
    done = mattebox_here("file", tmp_path / "in", "-o", tmp_path / "out", "--format", "png-picture", *CHROMA)
    assert done.stderr.splitlines()[-1] == "2 done, 98 failed, 0 skipped"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate", "fast"), "--rate 'fast' is not a frame rate"),
        (("--alpha", "premultiplied"), "PNG has straight alpha only"),
        ((), "shot.%04d.png has gaps: 3 (1 of 4) are missing"),
    ],
)
def test_errors(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    path = write_png(tmp_path / "in", [1, 2, 4], SHOT)
    done = mattebox_here("file", path, "-o", tmp_path / "out" / "%d.png", *CHROMA, *words)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_existing_sequence_is_kept_without_overwrite(tmp_path: Path) -> None:
    path, out = write_png(tmp_path / "in", [1, 2], SHOT), tmp_path / "out" / "%d.tif"
    words = ("file", path, "-o", out, *CHROMA)
    assert mattebox_here(*words).returncode == 0
    done = mattebox_here(*words)
    assert done.returncode == 2
    assert "exists and is not empty" in done.stderr
    assert mattebox_here(*words, "--overwrite").returncode == 0


@pytest.mark.long
def test_an_interrupted_run_leaves_the_earlier_sequence(tmp_path: Path) -> None:
    path, out = write_png(tmp_path / "in", [1, 2], SHOT), tmp_path / "out"
    assert mattebox_here("file", path, "-o", out / "%d.png", *CHROMA).returncode == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    write_png(tmp_path / "in", [300_000], SHOT)  # with the frame before repeated, it does not end before Ctrl-C
    words = command("file", path, "-o", out / "%d.png", "-y", "--missing", "hold", "--background", "blur", *CHROMA)
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: len(list(out.glob(".*.part/*.png"))) > 3)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    with Image.open(out / "2.png") as image:
        assert image.size == (48, 32)
