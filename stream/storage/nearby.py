"""Objects that a process opens again and again, such as backgrounds: the storage's own file, or a copy that is kept."""

import os
from pathlib import Path

from stream.errors import disk_error
from stream.settings import Settings
from stream.storage import open_storage

SCHEME = "storage://"
"""Before a key, where a path may stand too."""

_KEPT_BYTES = 2 * 2**30  # of copies on this machine; the ones not used for longest go first


def nearby(key: str, settings: Settings) -> Path:
    """A file to read, of an object that never changes. Raises FileNotFoundError, DiskError."""
    storage, folder = open_storage(settings), settings.cache_dir / "objects"
    kept = folder / key.replace("/", "--")
    try:
        if kept.is_file():
            os.utime(kept)
            return kept
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise disk_error(exc, kept) from exc
    path = storage.local(key, folder)
    if path.parent != folder:  # it is the storage's own
        return path
    path.replace(kept)
    _forget_oldest(folder, kept)
    return kept


def _forget_oldest(folder: Path, but: Path) -> None:
    files = sorted((path for path in folder.iterdir() if path != but), key=lambda path: path.stat().st_mtime)
    left = but.stat().st_size + sum(path.stat().st_size for path in files)
    for path in files:
        if left <= _KEPT_BYTES:
            return
        left -= path.stat().st_size
        path.unlink(missing_ok=True)
