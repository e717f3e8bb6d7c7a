"""`mattebox models export` on the command line: what it refuses, in one line."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from tests.commands.in_process import mattebox_here


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rvm"], 2, "rvm cannot be exported, only BiRefNet: general, lite"),
        (["nonsense"], 2, "'nonsense' is not one of general, lite"),
        (["lite", "--precision", "int4"], 2, "'int4' is not one of 'fp32', 'fp16', 'int8'"),
        (["lite", "-o", "none/x.onnx"], 1, "none does not exist"),
        (["lite", "-o", "x.bin"], 2, "x.bin must end in .onnx"),
        (["none.safetensors", "-o", "x.onnx"], 1, "none.safetensors does not exist"),
        (["lite", "-o", "x.onnx", "--clip", "none.mp4"], 1, "none.mp4"),
        (["lite", "-o", "x.onnx"], 1, "mattebox models pull birefnet:lite"),
    ],
)
def test_errors_are_one_line(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    offline = {"MATTEBOX_OFFLINE": 1, "MATTEBOX_CACHE_DIR": tmp_path}
    done = mattebox_here("models", "export", *_inside(words, tmp_path), env=offline)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


def _inside(words: list[str], folder: Path) -> list[str]:
    """The same words with the outputs in the folder."""
    return [str(folder / word) if before == "-o" else word for before, word in zip(["", *words], words, strict=False)]


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without_torch(name: str, *others: Any) -> ModuleSpec | None:
        return None if name == "torch" else find(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    done = mattebox_here("models", "export", "lite", "-o", "x.onnx")
    assert done.returncode == 2
    assert "models export: needs torch; install with: " in done.stderr
    assert "mattebox[export]" in done.stderr


def test_an_existing_file_is_not_replaced_without_being_asked(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    (tmp_path / "x.onnx").write_text("before")
    done = mattebox_here("models", "export", "lite", tmp_path / "x.onnx")
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert (tmp_path / "x.onnx").read_text() == "before"
