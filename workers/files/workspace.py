"""A folder for what a worker has on its disk just now, gone when the worker is, by its own hand or the next one's.

A lock on a file in it says that its worker lives; the system lets go of that however a process ends.
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from stream.errors import disk_error

_LOCK = "lock"


class Desk:
    """The folders of a worker's task in hand, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fresh(self, name: str) -> Path:
        """An empty folder in it; what was there by that name is removed. Raises DiskError."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
        except OSError as exc:
            raise disk_error(exc, folder) from exc
        return folder

    def remove(self, name: str) -> None:
        shutil.rmtree(self.path / name, ignore_errors=True)


class Workspace:
    """`<root>/<worker>`, locked as long as this process lives. Raises DiskError."""

    def __init__(self, root: Path, worker: str) -> None:
        self._root, self.path = root, root / worker
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as exc:
            raise disk_error(exc, self.path) from exc

    def dead(self) -> list[str]:
        """Remove the folders of workers that are gone; their names."""
        return [folder.name for folder in self._others() if _buried(folder)]

    def _others(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [folder for folder in self._root.iterdir() if folder.is_dir() and folder != self.path]
        return []

    def clear(self) -> None:
        """Remove what a task has left that could not do so itself."""
        for folder in self.path.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _buried(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # just being made, or just being removed
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
