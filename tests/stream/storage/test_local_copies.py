"""Local files of objects: a folder's own file, or a cached copy from another storage, within a limit."""

import os
from pathlib import Path

import pytest

from stream import storage
from stream.settings import Settings
from stream.storage import local_copies as module
from stream.storage.folder import Folder
from stream.storage.local_copies import nearby


class Remote(Folder):
    """A storage whose objects are on another machine: a file to read is a copy."""

    copies = 0

    def local(self, key: str, folder: Path) -> Path:
        Remote.copies += 1
        copy = folder / f"copy-{Remote.copies}"
        copy.write_bytes(super().local(key, folder).read_bytes())
        return copy


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(storage.STORAGES, "remote", f"{__name__}:Remote")
    monkeypatch.setattr(Remote, "copies", 0)
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", storage=f"remote://{tmp_path}/objects")


def put(settings: Settings, key: str, size: int) -> None:
    draft = settings.cache_dir.parent / "draft"
    draft.write_bytes(b"x" * size)
    storage.open_storage(settings).put(key, draft)


def test_a_folders_own_file_is_not_copied(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    put(settings, "gallery/a.jpg", 10)
    assert nearby("gallery/a.jpg", settings) == tmp_path / "data" / "storage" / "gallery" / "a.jpg"
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache" / "objects").iterdir())


def test_remote_objects_are_copied_once(remote: Settings) -> None:
    put(remote, "gallery/a.jpg", 10)
    first = nearby("gallery/a.jpg", remote)
    assert first.read_bytes() == b"x" * 10
    assert nearby("gallery/a.jpg", remote) == first
    assert Remote.copies == 1
    with pytest.raises(FileNotFoundError):
        nearby("gallery/b.jpg", remote)


def test_the_least_recently_used_are_removed_first(remote: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_BYTES", 250)
    paths = []
    for n, name in enumerate("abc"):
        put(remote, f"gallery/{name}", 100)
        paths.append(nearby(f"gallery/{name}", remote))
        os.utime(paths[-1], (n, n))
        if n == 1:
            nearby("gallery/a", remote)  # used again: b is the least recently used now
    assert [path.exists() for path in paths] == [True, False, True]


def test_files_removed_by_another_process_are_ignored(remote: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_BYTES", 100)
    put(remote, "gallery/a", 100)
    put(remote, "gallery/b", 100)
    first = nearby("gallery/a", remote)
    (first.parent / "gone").symlink_to(first.parent / "nowhere")  # listed, but missing when its size is read
    assert nearby("gallery/b", remote).exists()
    assert not first.exists()
