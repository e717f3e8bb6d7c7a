"""Temporary folders on disk: `Workspace`, a worker's own folder, and `Desk`, the folders of its tasks inside.

The worker removes its folder when it ends. If the worker was killed, another worker on this machine does: a locked file
in the folder shows that the worker is alive, and the system releases the lock however the process ends.
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from stream import private
from stream.errors import disk_error

_LOCK = "lock"


class Desk:
    """Named folders for the files of tasks, in the worker's folder `path`. Used by the child process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fresh(self, name: str) -> Path:
        """A new, empty folder with this name, instead of an old one. Raises DiskError."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            private.make_folder(folder)
        except OSError as exc:
            raise disk_error(exc, folder) from exc
        return folder

    def remove(self, name: str) -> None:
        shutil.rmtree(self.path / name, ignore_errors=True)


class Workspace:
    """The worker's folder `<root>/<worker_id>`, locked as long as the worker lives. Raises DiskError."""

    def __init__(self, root: Path, worker_id: str) -> None:
        self._root, self.path = root, root / worker_id
        try:
            private.make_folder(self.path)
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
        """Remove the folders of tasks, after the process that ran them died."""
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
