from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.sinks.parts.sequence import HEADER, PartialSequence

PATTERN = "%05d.png"


def write(folder: Path, count: int, content: str = "new", pattern: str = PATTERN) -> None:
    """Write a sequence of `count` pictures that all have the same content."""
    sequence = PartialSequence(folder, pattern)
    sequence.path.mkdir()
    for number in range(1, count + 1):
        (sequence.path / (pattern % number)).write_text(content)
    (sequence.path / "timestamps.txt").write_text("\n".join([HEADER, *["0"] * count, ""]))
    sequence.publish()


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "timestamps.txt"}


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_sequence_replaces_the_previous_one_completely(tmp_path: Path, before: int) -> None:
    write(tmp_path / "out", before, "old")
    write(tmp_path / "out", 2)
    assert contents(tmp_path / "out") == {"00001.png": "new", "00002.png": "new"}
    assert len((tmp_path / "out" / "timestamps.txt").read_text().splitlines()) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_files_are_kept(tmp_path: Path) -> None:
    write(tmp_path, 2, "old")
    (tmp_path / "me.png").write_text("mine")
    (tmp_path / "folder").mkdir()
    sequence = PartialSequence(tmp_path, PATTERN)
    sequence.path.mkdir()
    sequence.discard()
    assert (tmp_path / "00001.png").read_text() == "old"
    (tmp_path / "folder").rmdir()
    write(tmp_path, 1)
    assert contents(tmp_path) == {"00001.png": "new", "me.png": "mine"}


def test_pictures_of_another_program_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "00001.png").write_text("mine")
    with pytest.raises(UsageError, match=r"contains 00001\.png, which is not of an earlier output"):
        write(tmp_path, 1)
    assert contents(tmp_path) == {"00001.png": "mine"}


def test_pictures_beyond_the_previous_sequence_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 2, "old")
    (tmp_path / "00007.png").write_text("mine")
    with pytest.raises(UsageError, match=r"contains 00007\.png"):
        write(tmp_path, 9)


def test_sequences_with_different_names_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path, 2, "old")
    with pytest.raises(UsageError, match=r"contains timestamps\.txt"):
        write(tmp_path, 2, pattern="shot%d.png")


def test_times_of_another_program_are_kept(tmp_path: Path) -> None:
    (tmp_path / "timestamps.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"contains timestamps\.txt"):
        write(tmp_path, 1)
