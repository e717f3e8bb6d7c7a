"""Local files of objects that are opened repeatedly, such as backgrounds: the storage's own, or a cached copy."""

import os
from contextlib import suppress
from pathlib import Path

from stream.errors import disk_error
from stream.settings import Settings
from stream.storage import open_storage

SCHEME = "storage://"
"""Prefix of a storage key in places where a path is allowed too."""

_CACHE_BYTES = 2 * 2**30  # limit of the cache; the least recently used copies are removed first


def nearby(key: str, settings: Settings) -> Path:
    """A file to read with the content of an object that never changes. Raises FileNotFoundError, DiskError."""
    storage, folder = open_storage(settings), settings.cache_dir / "objects"
    cached = folder / key.replace("/", "--")
    try:
        with suppress(FileNotFoundError):
            os.utime(cached)
            return cached
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise disk_error(exc, cached) from exc
    path = storage.local(key, folder)
    if path.parent != folder:  # the storage's own file
        return path
    path.replace(cached)
    _evict(folder, cached)
    return cached


def _evict(folder: Path, keep: Path) -> None:
    """Remove the least recently used copies over the limit. Concurrent processes do the same: files may vanish."""
    copies: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            copies.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in copies)
    for _, size, path in sorted(copies):
        if total <= _CACHE_BYTES:
            return
        if path != keep:
            total -= size
            path.unlink(missing_ok=True)
