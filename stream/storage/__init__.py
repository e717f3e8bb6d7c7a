"""Storage of uploads and results: a folder, or an S3 bucket shared by all machines, selected by MATTEBOX_STORAGE.

`stream/storage/keys.py` lists the keys: names of [a-z0-9._-] joined by "/", made by the server, never by users.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stream.errors import UsageError
from stream.registry import find
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.storage.multipart import Multipart

STORAGES = {"file": "stream.storage.folder:Folder", "s3": "stream.storage.s3:Bucket"}
"""By the scheme of MATTEBOX_STORAGE; each class takes the settings and `beat`, as `open_storage` does."""

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


class Storage(Protocol):
    """Objects (files) by key. An object is complete or does not exist. All methods block: call them in a thread.

    All may raise DiskError (no space, no permission, unreachable), and FileNotFoundError for a missing object.
    """

    def check(self) -> None:
        """Check at start that objects can be stored, as far as that needs no other machine."""
        ...

    def put(self, key: str, path: Path) -> None:
        """Store the file at `path` as `key`, replacing any object there. The storage takes over the file."""
        ...

    def incoming(self) -> Path | None:
        """A folder for uploads in progress, shared by all processes that use this storage; None where objects are
        stored on another machine: see `multipart`."""
        ...

    @property
    def multipart(self) -> "Multipart | None":
        """Writes objects in parts, which several processes may send one after the other; None for a folder."""
        ...

    def draft(self, key: str) -> Path | None:
        """A path to write a file that `put` will store as `key`, in the same folder as the object; None where objects
        are stored on another machine: see `send`. Drafts of `key` left by earlier writers are removed."""
        ...

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        """Store these bytes as `key`, replacing any object there, without a temporary copy on this machine. Errors of
        the iterator are raised, and nothing is stored."""
        ...

    def local(self, key: str, folder: Path) -> Path:
        """A file to read: the object's own where it is stored on this machine, else a new copy in `folder`."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes from `start` on, at most `length`, in chunks of up to 1 MiB."""
        ...

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys with this prefix, sorted. For a whole folder include its slash, as in "jobs/ID/"."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object, if it exists."""
        ...

    def remove_all(self, prefix: str) -> None:
        """Remove all objects with this prefix."""
        ...

    def forget_drafts(self, before_s: float) -> None:
        """Remove drafts not written to since that time, in seconds since 1970: their writers were killed."""
        ...


def open_storage(settings: Settings, beat: Callable[[], None] = lambda: None) -> Storage:
    """The storage that MATTEBOX_STORAGE selects; by default a folder in data_dir. Raises UsageError, DiskError.

    beat: called regularly as a sign of progress during long copies to or from another machine.
    """
    scheme, colon, _ = settings.storage.partition("://")
    target = STORAGES.get(scheme if colon else "file")
    if target is None:
        raise UsageError(
            f"MATTEBOX_STORAGE: {scheme}:// is not supported; use a folder, or one of: {', '.join(STORAGES)}"
        )
    storage: Storage = find(target)(settings, beat)
    return storage


def checked(key: str) -> str:
    """The key itself, if it is valid. Raises ValueError."""
    if not _KEY.fullmatch(key.removesuffix("/")):
        raise ValueError(f"{key!r} is not a valid storage key")
    return key
