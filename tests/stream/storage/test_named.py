"""Folders and buckets with files that users have named."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.settings import Settings
from stream.storage import named, open_storage
from stream.storage.named import Place, open_place, work_settings

NAMES = ["AB/C.MP4", "Zoë/c 1.mp4", "a.mp4", "x#y%20?.mp4"]
HIDDEN = [".mattebox/jobs/1/result.mp4", ".DS_Store", "sub/.trash/a.mp4"]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Settings]:
    """(address of an empty place, settings)."""
    if request.param == "s3":
        settings: Settings = request.getfixturevalue("s3")
        return f"{settings.storage}/in put", settings
    return str(tmp_path / "place"), Settings(data_dir=tmp_path / "data")


@pytest.fixture
def filled(place: tuple[str, Settings], tmp_path: Path) -> Callable[[str, bytes], Place]:
    """Stores a file in the place."""
    address, settings = place

    def store(name: str, content: bytes) -> Place:
        opened = open_place(address, settings)
        if isinstance(opened, named.NamedBucket):
            opened.send(name, [content])
        else:
            path = Path(address) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return opened

    return store


def test_files_are_found_by_any_name_and_hidden_ones_are_not(
    filled: Callable[[str, bytes], Place], tmp_path: Path
) -> None:
    for name in (*NAMES, *HIDDEN):
        opened = filled(name, name.encode())
    found = list(opened.files())
    assert sorted(each.name for each in found) == NAMES
    for each in found:
        assert each.size == len(each.name.encode())
        assert opened.find(each.name) == each
        assert opened.local(each.name, tmp_path).read_bytes() == each.name.encode()
        assert opened.head(each.name, tmp_path).read_bytes() == each.name.encode()
    assert all(name in opened.names() for name in NAMES)
    assert "b.mp4" not in opened.names()
    for missing in ("b.mp4", "a\tb"):
        with pytest.raises(FileNotFoundError):
            opened.find(missing)


def test_a_changed_file_has_another_version(filled: Callable[[str, bytes], Place]) -> None:
    opened = filled("a.mp4", b"first")
    before = opened.find("a.mp4")
    filled("a.mp4", b"other")
    if isinstance(opened, named.NamedFolder):  # a clock may be too coarse for two writes in a row
        os.utime(opened.local("a.mp4", Path()), ns=(1, 1))
    assert opened.find("a.mp4") != before


@pytest.mark.parametrize("copied", [True, False])
def test_a_complete_object_gets_its_final_name(
    place: tuple[str, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    """copied: within the bucket; objects over 5 GiB are sent again."""
    if not copied:
        monkeypatch.setattr(named, "_COPY_BYTES", 3)
    address, settings = place
    storage, opened = open_storage(work_settings(address, settings)), open_place(address, settings)
    for content in (b"first", b"second"):
        storage.send("jobs/1/result.mp4", [content])
        opened.take(storage, "jobs/1/result.mp4", "Sub/A b.mp4")
        assert opened.local("Sub/A b.mp4", tmp_path).read_bytes() == content
    assert storage.keys("jobs/") == []
    assert [each.name for each in opened.files()] == ["Sub/A b.mp4"]
    with pytest.raises(FileNotFoundError):
        opened.take(storage, "jobs/1/result.mp4", "other.mp4")


def test_results_in_a_folder_are_not_private(tmp_path: Path) -> None:
    address, settings = str(tmp_path / "results"), Settings(data_dir=tmp_path / "data")
    storage, opened = open_storage(work_settings(address, settings)), open_place(address, settings)
    storage.send("jobs/1/result.mp4", [b"x"])
    assert stat.S_IMODE((tmp_path / "results/.mattebox/jobs/1/result.mp4").stat().st_mode) == 0o600
    before = os.umask(0o027)
    try:
        opened.prepare()
        open_place(f"{address}/new/folder", settings).prepare()
        opened.take(storage, "jobs/1/result.mp4", "a.mp4")
        assert os.umask(0o027) == 0o027, "it is as before"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "results/a.mp4").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "results/new/folder").stat().st_mode) == 0o750


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="s3://BUCKET"):
        open_place("s3:///prefix", Settings())
