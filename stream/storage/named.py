"""Places whose files have names chosen by users: a folder, or a prefix in an S3 bucket. `mattebox batch` reads videos
from such places and stores its results in one.

Storage (`stream/storage/__init__.py`) is different: the program generates its keys, and its files are private. The
working storage of a batch is inside the place of its results, so that a complete result only gets its final name.
"""

import os
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from stream import private
from stream.errors import UsageError, disk_error
from stream.settings import Settings
from stream.storage import Storage
from stream.storage.s3 import Bucket

S3 = "s3://"
WORK = ".mattebox"
"""The working storage of a batch, below the place of its results. Hidden, so it is never taken for an input."""

_HEAD_BYTES = 2**16  # enough to recognise the kind of a file
_COPY_BYTES = 5 * 2**30  # S3 copies no larger object within a bucket


@dataclass(frozen=True)
class Found:
    """A file of a place. name: its path below the place, with "/". size: in bytes. version: a text that changes with
    the content: the time of the last change of a file, the ETag of an object."""

    name: str
    size: int
    version: str


class Place(Protocol):
    """A folder or a bucket. All methods block, and raise FileNotFoundError for a missing file and DiskError."""

    def prepare(self) -> None:
        """Make it ready for results: creates the folder, if it does not exist."""
        ...

    def files(self) -> Iterator[Found]:
        """All files, except hidden ones and those in hidden folders."""
        ...

    def find(self, name: str) -> Found:
        """The size and the version of a file."""
        ...

    def names(self) -> Container[str]:
        """The names of all files, for many lookups."""
        ...

    def local(self, name: str, folder: Path) -> Path:
        """A file to read: the original if it is on this machine, else a copy in `folder`."""
        ...

    def head(self, name: str, folder: Path) -> Path:
        """A file that starts with the same bytes, to recognise its kind: the original, or a short copy in `folder`."""
        ...

    def take(self, storage: Storage, key: str, name: str) -> None:
        """Move an object of the working storage here, under `name`, in one step; replaces a file of this name."""
        ...


def open_place(address: str, settings: Settings) -> Place:
    """The place with this address: s3://BUCKET, s3://BUCKET/PREFIX, or the path of a folder. Raises UsageError."""
    if address.startswith(S3):
        return NamedBucket(address, settings)
    return NamedFolder(Path(address))


def work_settings(results: str, settings: Settings) -> Settings:
    """Settings for the working storage of a batch with this address of its results."""
    return settings.model_copy(update={"storage": f"{results.rstrip('/')}/{WORK}"})


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


class NamedFolder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise disk_error(exc, self._root) from exc

    def files(self) -> Iterator[Found]:
        return self._below(self._root, "")

    def _below(self, folder: Path, prefix: str) -> Iterator[Found]:
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as exc:
            raise UsageError(f"{folder}: {exc.strerror}") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file():
                with suppress(FileNotFoundError):
                    yield self.find(prefix + entry.name)

    def find(self, name: str) -> Found:
        status = (self._root / name).stat()
        return Found(name, status.st_size, str(status.st_mtime_ns))

    def names(self) -> Container[str]:
        return _Existing(self._root)

    def local(self, name: str, folder: Path) -> Path:
        path = self._root / name
        if not path.is_file():
            raise FileNotFoundError(name)
        return path

    def head(self, name: str, folder: Path) -> Path:
        return self.local(name, folder)

    def take(self, storage: Storage, key: str, name: str) -> None:
        final = self._root / name
        path = storage.local(key, final.parent)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            path.chmod(0o666 & ~_umask())  # the working storage is private; results are as those of `mattebox file`
            os.replace(path, final)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise disk_error(exc, final) from exc


class _Existing:
    """The names of existing files, without listing them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __contains__(self, name: object) -> bool:
        return (self._root / str(name)).exists()


def _umask() -> int:
    """The process's umask, which can only be read by setting it; for a moment, new files are private."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _any(key: str) -> str:
    return key


class NamedBucket(Bucket):
    """Names may contain any characters."""

    _checked = staticmethod(_any)

    def __init__(self, address: str, settings: Settings) -> None:
        """Does not contact the server. Raises UsageError."""
        if not address.removeprefix(S3).partition("/")[0]:
            raise UsageError("write the address of a bucket as s3://BUCKET or s3://BUCKET/PREFIX")
        super().__init__(settings.model_copy(update={"storage": address}), lambda: None)

    def prepare(self) -> None:
        """Nothing to do."""

    def files(self) -> Iterator[Found]:
        return (found for found in self._listed() if not _is_hidden(found.name))

    def _listed(self) -> Iterator[Found]:
        import obstore

        with self._named_errors(""):
            for page in obstore.list(self._store):
                for meta in page:
                    yield Found(meta["path"], meta["size"], _version(meta))

    def find(self, name: str) -> Found:
        import obstore

        try:
            with self._named_errors(name):
                meta = obstore.head(self._store, name)
        except ValueError:  # a name that no object can have
            raise FileNotFoundError(name) from None
        return Found(name, meta["size"], _version(meta))

    def names(self) -> Container[str]:
        return frozenset(found.name for found in self.files())

    def head(self, name: str, folder: Path) -> Path:
        path = folder / token_hex(8)
        with private.create(path) as file:
            file.writelines(self.read(name, 0, _HEAD_BYTES))
        return path

    def take(self, storage: Storage, key: str, name: str) -> None:
        import obstore

        size = storage.size(key)
        if size > _COPY_BYTES:
            self.send(name, storage.read(key))
        else:
            with self._named_errors(name):
                obstore.copy(self._store, f"{WORK}/{key}", name)
        storage.remove(key)


def _version(meta: object) -> str:
    """The ETag; where a server has none, the time of the last change."""
    fields: dict[str, object] = dict(meta)  # type: ignore[call-overload]
    return str(fields.get("e_tag") or fields["last_modified"])
