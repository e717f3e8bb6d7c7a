"""`mattebox subjects`: lists the candidates of a frame, and draws them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from stream.records.subjects import parse_subjects
from tests.commands.in_process import mattebox_here
from tests.media import numbered_clip
from tests.workers.choosers import halves


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with halves.registered():
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("subjects") / "clip.mp4", frames=12)


def test_each_candidate_is_a_line_with_what_chooses_it(clip: Path) -> None:
    done = mattebox_here("subjects", clip)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split() == ["1", "point:0.25,0.5", "box", "0.000,0.000,0.500,1.000", "area", "50.0%", "score", "0.90"]
    assert second.split()[:2] == ["2", "box:0.7,0.2,0.2,0.2"]
    assert "chooser halves on test: it knows halves" in done.stderr


def test_the_frame_at_a_time_is_listed_with_prompts_of_that_time(clip: Path) -> None:
    whole = [json.loads(line) for line in mattebox_here("subjects", clip, "--json").stdout.splitlines()]
    assert [each["subject"] for each in whole] == ["point:0.25,0.5", "box:0.7,0.2,0.2,0.2"]
    assert whole[1]["score"] == 0.0
    assert set(whole[0]) == {"number", "subject", "box", "area", "score", "outlines"}
    later = [json.loads(line) for line in mattebox_here("subjects", clip, "--json", "--at", "0.2").stdout.splitlines()]
    (subject,) = parse_subjects([later[1]["subject"]])
    assert subject.prompts[0].at_s == pytest.approx(0.2, abs=0.05)
    assert later[1]["score"] == pytest.approx(subject.prompts[0].at_s * 25 / 100, abs=0.011)


def test_the_candidates_are_drawn_into_a_picture(clip: Path, tmp_path: Path) -> None:
    for name in ("drawn.png", "drawn.jpg", "drawn.webp", "drawn.tif", "drawn.avif"):
        done = mattebox_here("subjects", clip, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (64, 48)
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "drawn.avif",
        "drawn.jpg",
        "drawn.png",
        "drawn.tif",
        "drawn.webp",
    ]


def test_pictures_have_no_time(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "photo.png")
    done = mattebox_here("subjects", tmp_path / "photo.png")
    assert done.stdout.split()[1] == "point:0.25,0.5"
    assert mattebox_here("subjects", tmp_path / "photo.png", "--at", "1").returncode == 2


def test_few_and_large_ones_only(clip: Path) -> None:
    assert len(mattebox_here("subjects", clip, "--most", "1").stdout.splitlines()) == 1
    assert len(mattebox_here("subjects", clip, "--smallest", "0.2").stdout.splitlines()) == 1
    done = mattebox_here("subjects", clip, "--smallest", "0.9")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing was found that could be a subject" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--chooser", "mask"],
            2,
            "chooser: mask does not list candidates; use one of: sam2, edgetam, mask2former, eomt, oneformer",
        ),
        (["--chooser", "sam4"], 2, "chooser: unknown chooser 'sam4'"),
        (["--weights", "tiny"], 2, "--weights needs --chooser"),
        (["-o", "none.gif"], 2, "the candidates are drawn into a picture; use one of: .png .jpg .webp"),
        (["-o", "/no/such/folder/o.png"], 1, "the folder /no/such/folder does not exist"),
        (["--at", "soon"], 2, "--at: "),
        (["--at", "99"], 1, "it cannot start at"),
        (["--grid", "1"], 2, "--grid"),
    ],
)
def test_wrong_requests_are_refused(clip: Path, arguments: list[str], code: int, message: str) -> None:
    done = mattebox_here("subjects", clip, *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not done.stdout


def test_an_existing_picture_and_the_input_are_kept(clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "there.png"
    picture.write_bytes(b"mine")
    done = mattebox_here("subjects", clip, "-o", picture)
    assert done.returncode == 2
    assert picture.read_bytes() == b"mine"
    assert mattebox_here("subjects", clip, "-o", picture, "-y").returncode == 0
    assert picture.read_bytes() != b"mine"
    done = mattebox_here("subjects", picture, "-o", picture, "-y")
    assert done.returncode == 2
    assert "the output would overwrite the input" in done.stderr


def test_a_network_of_ones_own_lists_its_classes(clip: Path, tmp_path: Path) -> None:
    """The whole way with a real network, tiny and with random weights."""
    pytest.importorskip("transformers")
    from tests.workers.choosers import tiny_segmenters

    tiny_segmenters.mask2former().save_pretrained(tmp_path)
    size = {"size": {"height": 64, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(size))
    done = mattebox_here("subjects", clip, "--chooser", "mask2former", "--weights", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found
    assert {each["subject"] for each in found} <= {"class:wall", "class:person", "class:dog", "class:sky"}
