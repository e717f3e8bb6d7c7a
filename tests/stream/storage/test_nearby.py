"""Objects at hand: a folder's own file as it is, another storage's as a copy that is kept, within bounds."""

import os
from pathlib import Path

import pytest

from stream import storage
from stream.settings import Settings
from stream.storage import nearby as module
from stream.storage.folder import Folder
from stream.storage.nearby import nearby


class Far(Folder):
    """A storage whose objects lie on another machine: a file to read is a copy."""

    copies = 0

    def local(self, key: str, folder: Path) -> Path:
        Far.copies += 1
        copy = folder / f"copy-{Far.copies}"
        copy.write_bytes(super().local(key, folder).read_bytes())
        return copy


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(storage.STORAGES, "far", f"{__name__}:Far")
    monkeypatch.setattr(Far, "copies", 0)
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", storage=f"far://{tmp_path / 'there'}")


def put(settings: Settings, key: str, size: int) -> None:
    draft = settings.cache_dir.parent / "draft"
    draft.write_bytes(b"x" * size)
    storage.open_storage(settings).put(key, draft)


def test_a_folders_own_file_is_not_copied(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    put(settings, "gallery/a.jpg", 10)
    assert nearby("gallery/a.jpg", settings) == tmp_path / "data" / "storage" / "gallery" / "a.jpg"
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache" / "objects").iterdir())


def test_others_are_fetched_once(far: Settings) -> None:
    put(far, "gallery/a.jpg", 10)
    first = nearby("gallery/a.jpg", far)
    assert first.read_bytes() == b"x" * 10
    assert nearby("gallery/a.jpg", far) == first
    assert Far.copies == 1
    with pytest.raises(FileNotFoundError):
        nearby("gallery/b.jpg", far)


def test_those_not_used_for_longest_go_first(far: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 250)
    paths = []
    for n, name in enumerate("abc"):
        put(far, f"gallery/{name}", 100)
        paths.append(nearby(f"gallery/{name}", far))
        os.utime(paths[-1], (n, n))
        if n == 1:
            nearby("gallery/a", far)  # used again: b is the oldest now
    assert [path.exists() for path in paths] == [True, False, True]


def test_another_process_forgets_too(far: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 100)
    put(far, "gallery/a", 100)
    put(far, "gallery/b", 100)
    first = nearby("gallery/a", far)
    (first.parent / "gone").symlink_to(first.parent / "nowhere")  # listed, and not there when it is looked at
    assert nearby("gallery/b", far).exists()
    assert not first.exists()
