"""Where uploads and results lie: a folder, or a bucket that all machines reach. One small interface, chosen by address.

Which keys there are is in `stream/storage/keys.py`: words of [a-z0-9._-] joined by "/", made by the server, never by a
user.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from stream.errors import UsageError
from stream.registry import find
from stream.settings import Settings

STORAGES = {"file": "stream.storage.folder:Folder", "s3": "stream.storage.s3:Bucket"}
"""By the scheme of MATTEBOX_STORAGE; each is called with the settings and `beat`, as `open_storage`."""

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


class Storage(Protocol):
    """Files by key. An object is complete or not there. All methods block: call them in a thread.

    Any may raise DiskError (no space, no right, out of reach); what is not there is a FileNotFoundError.
    """

    def put(self, key: str, path: Path) -> None:
        """Keep the file at `path` as `key`, in the place of what was there. The file is the storage's from now on."""
        ...

    def draft(self, key: str) -> Path | None:
        """Where to write what `put` shall keep as `key`, beside its place; None where that is on another machine: see
        `send`. What an earlier writer of `key` has left of its draft is removed."""
        ...

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        """Keep these bytes as `key`, in the place of what was there, without a file of them on this machine's disk but
        for the storage's own. What `pieces` raises is raised, and nothing kept."""
        ...

    def local(self, key: str, folder: Path) -> Path:
        """The object as a file to read: its own where it lies on this machine, else a copy made in `folder`."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Its bytes from `start` on, in chunks of up to a mebibyte."""
        ...

    def size(self, key: str) -> int: ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so, sorted. Give a whole folder with its slash, as in "jobs/ID/"."""
        ...

    def remove(self, key: str) -> None:
        """That key; nothing if there is none."""
        ...

    def remove_all(self, prefix: str) -> None:
        """All keys that begin so."""
        ...

    def forget_drafts(self, before_s: float) -> None:
        """Drafts not written to since that time, in seconds since 1970: whoever made them was killed."""
        ...


def open_storage(settings: Settings, beat: Callable[[], None] = lambda: None) -> Storage:
    """The one that MATTEBOX_STORAGE names: a folder in data_dir where it is empty. Raises UsageError, DiskError.

    beat: told again and again while something is copied to another machine or from there, which may take long.
    """
    scheme, colon, _ = settings.storage.partition("://")
    place = STORAGES.get(scheme if colon else "file")
    if place is None:
        raise UsageError(f"MATTEBOX_STORAGE: {scheme}:// is unknown; a folder, or one of: {', '.join(STORAGES)}")
    storage: Storage = find(place)(settings, beat)
    return storage


def checked(key: str) -> str:
    """The key itself. Raises ValueError for one that no server of ours makes."""
    if not _KEY.fullmatch(key.removesuffix("/")):
        raise ValueError(f"{key!r} is no storage key")
    return key
