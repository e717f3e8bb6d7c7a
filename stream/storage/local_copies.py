"""Cached local copies of stored objects that are opened repeatedly, such as backgrounds.

Storage in a local folder needs no copies: the stored file itself is used.
"""

import os
from contextlib import suppress
from pathlib import Path

from stream import private
from stream.errors import disk_error
from stream.settings import Settings
from stream.storage import open_storage

SCHEME = "storage://"
"""Marks a text as a storage key where it could also be a path."""

_CACHE_BYTES = 2 * 2**30  # limit of the cache; the least recently used copies are removed first


def local_path(text: str, settings: Settings) -> Path:
    """The local file that a text names: a path, or a storage key after `SCHEME`. Raises FileNotFoundError if the object
    does not exist, ValueError if it is no key, DiskError."""
    return nearby(text.removeprefix(SCHEME), settings) if text.startswith(SCHEME) else Path(text)


def nearby(key: str, settings: Settings) -> Path:
    """A local, read-only file with the content of an object, which must never change. Raises FileNotFoundError if the
    object does not exist, DiskError."""
    storage, folder = open_storage(settings), settings.cache_dir / "objects"
    cached = folder / key.replace("/", "--")
    try:
        with suppress(FileNotFoundError):
            os.utime(cached)
            return cached
        private.make_folder(folder)
    except OSError as exc:
        raise disk_error(exc, cached) from exc
    path = storage.local(key, folder)
    if path.parent != folder:  # the stored file itself
        return path
    path.replace(cached)
    _evict(folder, cached)
    return cached


def _evict(folder: Path, keep: Path) -> None:
    """Remove the least recently used copies over the limit. Other processes may remove files at the same time."""
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
