"""Which masks can be read: each is read once, until it changes, and failures are not tried all the time."""

import os
from pathlib import Path

import pytest

from stream.errors import UnreadableMedia, UsageError
from workers.choosers import readable
from workers.choosers.readable import Readable


class Counting:
    """Reads the text of files. Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, text: str) -> str:
        self.calls += 1
        if not Path(text).exists():
            raise UsageError(f"mask: {text} does not exist")
        if (content := Path(text).read_text()) == "broken":
            raise UnreadableMedia(f"mask: {text} is broken")
        return content


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    file, read = tmp_path / "mask.png", Counting()
    file.write_text("one")
    known = Readable(read)
    assert [known(str(file)) for _ in range(3)] == ["one"] * 3
    assert read.calls == 1
    file.write_text("other")
    assert [known(str(file)) for _ in range(3)] == ["other"] * 3
    file.unlink()
    assert known(str(file)) == "other"
    assert read.calls == 2


def test_a_failure_has_the_same_sentence_without_reading_again_until_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = tmp_path / "mask.png", Counting()
    file.write_text("broken")
    known = Readable(read)
    for _ in range(3):
        with pytest.raises(UnreadableMedia, match=r"mask\.png is broken"):
            known(str(file))
    with pytest.raises(UsageError, match=r"none\.png does not exist"):
        known(str(tmp_path / "none.png"))
    assert read.calls == 2
    monkeypatch.setattr(readable, "_AGAIN_S", 0.0)
    later = Readable(read)
    with pytest.raises(UnreadableMedia):
        later(str(file))
    file.write_text("mended")
    os.utime(file)
    assert later(str(file)) == "mended"


def test_stored_objects_never_change() -> None:
    calls: list[str] = []
    known = Readable(calls.append)
    for _ in range(3):
        known("storage://backgrounds/one")
    assert calls == ["storage://backgrounds/one"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readable, "_MOST", 2)
    calls: list[str] = []
    known = Readable(calls.append)
    for text in ("storage://a", "storage://b", "storage://c", "storage://c", "storage://a"):
        known(text)
    assert calls == ["storage://a", "storage://b", "storage://c", "storage://a"]
