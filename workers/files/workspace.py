"""The folder of a worker's temporary files. The worker removes it when it ends; if it was killed, another worker does.

A lock on a file in the folder shows that the worker is alive; the system releases it however the process ends.
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from stream.errors import disk_error

_LOCK = "lock"


class Desk:
    """The folders of the running task, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fresh(self, name: str) -> Path:
        """An empty folder of that name; an old one is removed. Raises DiskError."""
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
    """`<root>/<worker_id>`, locked as long as this process lives. Raises DiskError."""

    def __init__(self, root: Path, worker_id: str) -> None:
        self._root, self.path = root, root / worker_id
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as exc:
            raise disk_error(exc, self.path) from exc

    def dead(self) -> list[str]:
        """Remove the folders of dead workers. Returns their ids."""
        return [folder.name for folder in self._others() if _removed_if_dead(folder)]

    def _others(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [folder for folder in self._root.iterdir() if folder.is_dir() and folder != self.path]
        return []

    def clear(self) -> None:
        """Remove the files of a task whose process died."""
        for folder in self.path.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _removed_if_dead(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # being created or removed at the moment
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
