"""Every storage keeps what it is given, whole, under its key."""

from pathlib import Path

import pytest

from stream.settings import Settings
from stream.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(Settings(data_dir=tmp_path / "data"))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_what_is_put_can_be_read(storage: Storage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192
    storage.put("jobs/a/result.mp4", written(tmp_path / "draft", content))
    assert storage.size("jobs/a/result.mp4") == len(content)
    assert b"".join(storage.read("jobs/a/result.mp4")) == content
    assert b"".join(storage.read("jobs/a/result.mp4", 1_500_000, 100)) == content[1_500_000:1_500_100]
    assert storage.local("jobs/a/result.mp4", tmp_path).read_bytes() == content
    assert not (tmp_path / "draft").exists(), "the file is the storage's"


def test_put_replaces(storage: Storage, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        storage.put("uploads/a", written(tmp_path / "draft", content))
    assert b"".join(storage.read("uploads/a")) == b"second"


def test_keys_and_removal(storage: Storage, tmp_path: Path) -> None:
    for key in ("jobs/a/1", "jobs/a/2", "jobs/ab/1", "uploads/a"):
        storage.put(key, written(tmp_path / "draft", b"x"))
    assert storage.keys("jobs/a/") == ["jobs/a/1", "jobs/a/2"]
    assert storage.keys("jobs/") == ["jobs/a/1", "jobs/a/2", "jobs/ab/1"]
    storage.remove("jobs/a/1")
    storage.remove("jobs/a/1")
    assert storage.keys("jobs/a/") == ["jobs/a/2"]
    storage.remove_all("jobs/a/")
    assert storage.keys("") == ["jobs/ab/1", "uploads/a"]


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a/../b", "A", "a\0", "", ".hidden", "a/.part"])
def test_odd_keys_are_refused(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="no storage key"):
        storage.size(key)


def test_what_is_not_there(storage: Storage, tmp_path: Path) -> None:
    for ask in (lambda: storage.size("a"), lambda: storage.local("a", tmp_path), lambda: next(storage.read("a"))):
        with pytest.raises(FileNotFoundError):
            ask()
