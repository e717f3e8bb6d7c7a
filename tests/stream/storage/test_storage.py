"""Every storage keeps complete objects under their keys."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stream.errors import DiskError, EncodeError, UsageError
from stream.settings import Settings
from stream.storage import Storage, open_storage
from stream.storage.s3 import _RETRIES
from tests.waiting import PATIENCE_S


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3"))
    return open_storage(Settings(data_dir=tmp_path / "data"))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_stored_file_can_be_read(storage: Storage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192
    storage.put("jobs/a/result.mp4", written(tmp_path / "draft", content))
    assert storage.size("jobs/a/result.mp4") == len(content)
    assert b"".join(storage.read("jobs/a/result.mp4")) == content
    assert b"".join(storage.read("jobs/a/result.mp4", 1_500_000, 100)) == content[1_500_000:1_500_100]
    assert storage.local("jobs/a/result.mp4", tmp_path).read_bytes() == content
    assert not (tmp_path / "draft").exists(), "the storage takes over the file"


def test_put_replaces(storage: Storage, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        storage.put("uploads/a", written(tmp_path / "draft", content))
    assert b"".join(storage.read("uploads/a")) == b"second"


@pytest.mark.long
def test_sent_bytes_are_stored_completely_or_not_at_all(storage: Storage) -> None:
    pieces = [bytes([n]) * 2**20 for n in range(40)]
    storage.send("jobs/a/result.mp4", pieces)
    assert b"".join(storage.read("jobs/a/result.mp4")) == b"".join(pieces)

    def broken() -> Iterator[bytes]:
        yield from pieces
        raise EncodeError("failed")

    with pytest.raises(EncodeError, match="failed"):
        storage.send("jobs/a/result.mp4", broken())
    assert storage.size("jobs/a/result.mp4") == 40 * 2**20, "the previous object is kept"
    with pytest.raises(EncodeError, match="failed"):
        storage.send("jobs/a/other.mp4", broken())
    assert storage.keys("jobs/") == ["jobs/a/result.mp4"]


def test_a_folders_draft_is_beside_its_object_and_old_drafts_are_removed(tmp_path: Path) -> None:
    storage, folder = open_storage(Settings(data_dir=tmp_path / "data")), tmp_path / "data" / "storage" / "jobs" / "a"
    draft = storage.draft("jobs/a/result.mp4")
    assert draft is not None
    assert draft.parent == folder
    for name in (draft.name, f".{draft.name}.0123abcd.part"):  # of a worker that was killed
        (folder / name).write_bytes(b"half")
    other = written(draft.with_name(".matte.mp4.part"), b"of another output")
    successor = storage.draft("jobs/a/result.mp4")
    assert successor is not None
    assert (successor.parent, list(folder.iterdir())) == (folder, [other])
    assert successor != draft, "a worker that was stopped cannot write to it"
    storage.put("jobs/a/result.mp4", written(successor, b"all of it"))
    assert (folder / "result.mp4").read_bytes() == b"all of it"
    assert not successor.exists()


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
def test_invalid_keys_are_refused(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="not a valid storage key"):
        storage.size(key)


def test_missing_objects_raise_file_not_found(storage: Storage, tmp_path: Path) -> None:
    for access in (lambda: storage.size("a"), lambda: storage.local("a", tmp_path), lambda: next(storage.read("a"))):
        with pytest.raises(FileNotFoundError):
            access()


def test_a_large_object_is_uploaded_in_parts(s3: Settings, tmp_path: Path) -> None:
    storage = open_storage(s3)
    content = bytes(range(256)) * 4 * 20_000  # over two parts
    storage.put("jobs/a/film.mkv", written(tmp_path / "draft", content))
    assert storage.size("jobs/a/film.mkv") == len(content)
    chunks = list(storage.read("jobs/a/film.mkv", 5))
    assert max(map(len, chunks)) <= 2**20
    assert b"".join(chunks) == content[5:]
    copy = storage.local("jobs/a/film.mkv", tmp_path)
    assert copy.parent == tmp_path
    assert copy.read_bytes() == content


def test_a_long_copy_reports_progress(s3: Settings, tmp_path: Path) -> None:
    beats: list[int] = []
    storage = open_storage(s3, lambda: beats.append(1))
    storage.put("jobs/a/film.mkv", written(tmp_path / "draft", bytes(12 * 2**20)))
    assert len(beats) == 12
    storage.local("jobs/a/film.mkv", tmp_path)
    assert len(beats) == 12 + 2


def test_an_aborted_upload_leaves_nothing(s3: Settings) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(40 * 2**20)
        raise EncodeError("failed")

    with pytest.raises(EncodeError):
        open_storage(s3).send("jobs/a/result.mp4", broken())
    assert "<Upload>" not in httpx.get(f"{s3.s3_endpoint}/films?uploads", timeout=PATIENCE_S).text


def test_a_prefix_separates_objects(s3: Settings, tmp_path: Path) -> None:
    prefixed, whole = open_storage(s3), open_storage(s3.model_copy(update={"storage": "s3://films"}))
    prefixed.put("a", written(tmp_path / "draft", b"x"))
    assert whole.keys("") == ["of/mattebox/a"]
    assert prefixed.keys("") == ["a"]


def test_an_unreachable_bucket_is_a_disk_error(s3: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_RETRIES, "max_retries", 0)
    unreachable = open_storage(s3.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(DiskError, match="s3://films"):
        unreachable.size("a")
    with pytest.raises(DiskError):
        unreachable.put("a", written(tmp_path / "draft", b"x"))
    assert (tmp_path / "draft").exists(), "the file is kept where storing it failed"
    with pytest.raises(DiskError):
        open_storage(s3.model_copy(update={"storage": "s3://none"})).put("a", tmp_path / "draft")


@pytest.mark.parametrize("address", ["ftp://x/y", "s3://", "gs://bucket"])
def test_unsupported_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="MATTEBOX_STORAGE"):
        open_storage(Settings(storage=address))


def test_everything_in_a_folder_of_ones_own_is_private(tmp_path: Path) -> None:
    assert os.umask(0o022) == 0o022, "the usual umask, with which files are readable by all"
    own = tmp_path / "films"
    own.mkdir(mode=0o755)
    storage = open_storage(Settings(data_dir=tmp_path / "data", storage=str(own)))
    storage.put("jobs/a/segments/0000.mp4", written(tmp_path / "new", b"put"))
    storage.send("jobs/a/preview.jpg", [b"sent"])
    draft = storage.draft("jobs/b/result.mp4")
    assert draft is not None
    storage.put("jobs/b/result.mp4", written(draft, b"drafted"))
    found = {path.relative_to(own).as_posix(): path.stat().st_mode & 0o777 for path in own.rglob("*")}
    assert {path: oct(mode) for path, mode in found.items() if "." in path} == {
        "jobs/a/segments/0000.mp4": "0o600", "jobs/a/preview.jpg": "0o600", "jobs/b/result.mp4": "0o600",
    }  # fmt: skip
    assert {mode for path, mode in found.items() if "." not in path} == {0o700}
    assert own.stat().st_mode & 0o777 == 0o755, "the folder itself is the user's"


PUT_BETWEEN_MOUNTS = """
from pathlib import Path
from stream.settings import Settings
from stream.storage import open_storage
storage = open_storage(Settings(storage="results"))
storage.put("uploads/a", Path("arriving/data"))
assert b"".join(storage.read("uploads/a")) == b"content"
assert not Path("arriving/data").exists()
assert storage.keys("") == ["uploads/a"]
"""


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
    reason="needs permission to mount",
)
def test_a_file_is_moved_between_two_mounts_of_one_file_system(tmp_path: Path) -> None:
    """As two volumes of a container are: their device is the same, but no file can be renamed across."""
    for name in ("arriving", "results"):
        (tmp_path / name).mkdir()
    written(tmp_path / "arriving/data", b"content")
    mounts = "mount --bind arriving arriving && mount --bind results results"
    command = ["unshare", "--mount", "sh", "-euc", f'{mounts} && exec "$0" -c "$1"', sys.executable, PUT_BETWEEN_MOUNTS]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=PATIENCE_S)
    assert [path.name for path in (tmp_path / "results").rglob("*") if path.is_file()] == ["a"]
