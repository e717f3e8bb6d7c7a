"""Objects that a process opens again and again, such as backgrounds: the storage's own file, or a copy that is kept."""

import os
from contextlib import suppress
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
        with suppress(FileNotFoundError):
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
    """Other processes do the same at the same time, so that any file may be gone by now."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    left = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if left <= _KEPT_BYTES:
            return
        if path != but:
            left -= size
            path.unlink(missing_ok=True)
