"""`mattebox models classes`, and the options that need the same weights."""

import json
from pathlib import Path

import pytest

from tests.commands.in_process import mattebox_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `save_pretrained` writes it, without tensors, which the names do not need."""
    labels = {"0": "wall", "1": "person, individual", "2": "dog"}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": labels}))
    return tmp_path


def test_classes_of_a_folder_are_listed(folder: Path) -> None:
    done = mattebox_here("models", "classes", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wall\nperson, individual\ndog\n"


def test_classes_of_the_setting_are_listed_as_json(folder: Path) -> None:
    done = mattebox_here("models", "classes", "--json", env={"MATTEBOX_MASK2FORMER": folder})
    assert [json.loads(line)["names"] for line in done.stdout.splitlines()] == [
        ["wall"], ["person", "individual"], ["dog"],
    ]  # fmt: skip


def test_classes_of_another_chooser_are_listed(folder: Path) -> None:
    done = mattebox_here("models", "classes", "eomt", env={"MATTEBOX_EOMT": folder})
    assert done.stdout == "wall\nperson, individual\ndog\n"
    assert mattebox_here("models", "classes", f"oneformer:{folder}").stdout == done.stdout


@pytest.mark.parametrize(
    ("name", "variant", "pulled"),
    [
        ("eomt:coco", "coco", "eomt:coco"),
        ("small", "small", "mask2former:small"),
        ("oneformer", "large", "oneformer:large"),
    ],
)
def test_missing_weights_are_named_with_the_command_that_downloads_them(
    tmp_path: Path, name: str, variant: str, pulled: str
) -> None:
    pytest.importorskip("huggingface_hub")
    done = mattebox_here("models", "classes", name, env={"MATTEBOX_CACHE_DIR": tmp_path})
    assert done.returncode == 1
    expected = f"error: the weights {variant} are missing; download them with: mattebox models pull {pulled}\n"
    assert done.stderr == expected


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("smal", 2, "mask2former: 'smal' is not one of large, small, a repo id"),
        ("eomt:cocoa", 2, "eomt: 'cocoa' is not one of ade20k, coco, a repo id"),
        ("/no/such/folder", 1, "/no/such/folder: /no/such/folder/config.json does not name classes"),
    ],
)
def test_other_weights_are_refused(name: str, code: int, message: str) -> None:
    done = mattebox_here("models", "classes", name)
    assert done.returncode == code
    assert message in done.stderr


def test_unknown_parts_to_keep_are_refused_before_the_input_is_read() -> None:
    done = mattebox_here("file", "none.mp4", "-o", "o.mp4", "--keep", "hats")
    assert done.returncode == 2
    assert "keep: 'hats' is not one of: hair, hat, glasses, earring, necklace; did you mean hat?" in done.stderr
