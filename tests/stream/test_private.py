import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream import private
from stream.errors import DiskError


@pytest.fixture(autouse=True)
def usual_umask() -> None:
    assert os.umask(0o022) == 0o022, "the usual umask, with which files are readable by all"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_created_files_and_folders_are_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    private.make_folder(tmp_path / "a" / "b")
    private.make_folder(tmp_path / "a" / "b")
    private.write(tmp_path / "a" / "b" / "c", "text")
    assert [mode(tmp_path / path) for path in ("a", "a/b", "a/b/c")] == [0o700, 0o700, 0o600]
    assert mode(tmp_path) == 0o755, "a folder of the user's own is left as it is"
    with pytest.raises(FileExistsError):
        private.write(tmp_path / "a" / "b" / "c", "other")


def test_a_usable_folder_is_created_and_left_empty(tmp_path: Path) -> None:
    private.check_folder(tmp_path / "new" / "data")
    assert list((tmp_path / "new" / "data").iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/data"])
def test_a_file_in_place_of_a_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="not a folder"):
        private.check_folder(tmp_path / place)


def test_a_missing_parent_that_cannot_be_created() -> None:
    with pytest.raises(DiskError, match="cannot write /proc/none/data: "):
        private.check_folder(Path("/proc/none/data"))


def test_a_full_disk(small_disk: Path) -> None:
    with (small_disk / "rest").open("wb") as file, pytest.raises(OSError, match="space"):
        file.write(bytes(4 * 2**20))
    with pytest.raises(DiskError, match="the disk is full"):
        private.check_folder(small_disk)
    assert [path.name for path in small_disk.iterdir()] == ["rest"]


def test_a_read_only_file_system(small_disk: Path) -> None:
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DiskError, match="the file system is read-only"):
        private.check_folder(small_disk / "data")


def test_folders_are_created_by_several_at_the_same_time(tmp_path: Path) -> None:
    for n in range(30):
        start, folder = threading.Barrier(8), tmp_path / str(n) / "a" / "b" / "c"

        def make(_: int, start: threading.Barrier = start, folder: Path = folder) -> None:
            start.wait()
            private.make_folder(folder)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(8)))
        assert folder.is_dir()
