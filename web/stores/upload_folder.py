"""Uploads in progress in a folder. Each has its own folder and one writer at a time, across all processes.

`<root>/OWNER/ID/` contains `info` (the record), `data` (the bytes received so far; its size is the offset) and `lock`.
The locks work between processes, and on NFS and CephFS between machines too: web processes that share the folder share
the uploads. A complete upload is moved, with its record, to storage (`stream/storage/keys.py`). The folder keeps only
the record until the upload expires. All methods block: call them in a thread.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from stream import private
from stream.errors import DiskError, disk_error
from stream.limits import FILE_ID
from stream.records.upload_records import Busy
from stream.settings import Settings
from stream.storage import Storage, keys
from web.stores.file_lock import locked
from web.stores.uploads import MOST_UPLOADS, Upload, new_upload, over_quota, stored, too_many

_UNNAMED = "-"  # folder of the user without a name; names begin with a letter or digit, so none is equal


class FileDraft:
    """The bytes received of one upload, opened for one writer. offset: their number.

    Raises Busy if another writer has opened it, FileNotFoundError if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = (folder / "data").open("r+b", buffering=0)
        except BlockingIOError:
            os.close(self._lock)
            raise Busy from None
        except BaseException:
            os.close(self._lock)
            raise
        self.offset = self._file.seek(0, os.SEEK_END)

    def write(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                count = self._file.write(view) or 0
                self.offset += count
                view = view[count:]

    def sync(self) -> None:
        """Flush to the disk. Call it before the new offset is sent to the client."""
        os.fsync(self._file.fileno())

    def truncate(self, offset: int) -> None:
        """Discard everything after `offset`."""
        self._file.truncate(offset)
        self.offset = self._file.seek(offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        os.close(self._lock)


class UploadFolder:
    """The uploads of all users that have a folder below `root`. Their records may outlive those in storage."""

    def __init__(self, settings: Settings, storage: Storage, root: Path) -> None:
        self._settings, self._storage, self._root = settings, storage, root

    def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        """A new upload of `length` bytes. Raises TooLarge, OverQuota, DiskError."""
        upload = new_upload(self._settings, owner, length, metadata, title)
        try:
            with self._owner_lock(owner):
                self._check_quota(owner, length)
                self._folder(upload).mkdir(mode=0o700)
                private.create(self._folder(upload) / "data").close()
                self.save(upload)
        except OSError as exc:
            raise disk_error(exc, "the upload") from exc
        return upload

    def _owner_lock(self, owner: str) -> AbstractContextManager[None]:
        """Prevent other requests from creating an upload of this user between checking the quota and creating one."""
        return locked(self._of_owner(owner) / ".lock")

    def _check_quota(self, owner: str, length: int) -> None:
        quota = self._settings.uploads_per_user
        kept = self.uploads(owner)
        if len(kept) >= MOST_UPLOADS:
            raise too_many()
        used = sum(u.bytes for u in kept if u.state != "unusable")
        if used + length > quota:
            raise over_quota(quota, used)
        if length > shutil.disk_usage(self._root).free:
            raise DiskError("the server's disk has too little free space for this upload")

    def uploads(self, owner: str) -> list[Upload]:
        """The user's uploads that have a folder on this machine."""
        folder = self._of_owner(owner)
        found = (
            [self._read(path) for path in folder.iterdir() if FILE_ID.fullmatch(path.name)] if folder.is_dir() else []
        )
        return [upload for upload in found if upload is not None]

    def all_uploads(self) -> list[Upload]:
        """As `uploads`, of all users."""
        owners = [path.name for path in self._root.iterdir()] if self._root.is_dir() else []
        return [upload for owner in owners for upload in self.uploads("" if owner == _UNNAMED else owner)]

    def forget_drafts(self, before_s: float) -> None:
        """Remove folders without a record, unchanged since `before_s` (Unix time): their creator was killed."""
        for folder in self._root.glob("*/*"):
            with suppress(FileNotFoundError):
                if FILE_ID.fullmatch(folder.name) and self._read(folder) is None and folder.stat().st_mtime < before_s:
                    shutil.rmtree(folder, ignore_errors=True)

    def has(self, owner: str, id: str) -> bool:
        """Whether an upload with this id, incomplete or complete, has its folder here."""
        return bool(FILE_ID.fullmatch(id)) and (self._of_owner(owner) / id).is_dir()

    def get(self, owner: str, id: str) -> Upload | None:
        """The owner's upload with this id, from this machine or from storage."""
        if not FILE_ID.fullmatch(id):
            return None
        folder = self._of_owner(owner) / id
        upload = self._read(folder)
        if upload is None or (upload.state == "arriving" and not (folder / "data").exists()):
            upload = stored(self._storage, id) or upload
        return upload if upload is not None and upload.owner == owner else None

    def offset(self, upload: Upload) -> int:
        """The number of bytes received. Raises FileNotFoundError."""
        if upload.state != "arriving":
            return upload.bytes
        # opened: on NFS, the size of a file that another machine writes is only read again when it is opened
        with suppress(FileNotFoundError), (self._folder(upload) / "data").open("rb", buffering=0) as data:
            return data.seek(0, os.SEEK_END)
        current = self.get(upload.owner, upload.id)
        if current is None or current.state == "arriving":
            raise FileNotFoundError(upload.id)
        return current.bytes  # it was completed after `upload` was read

    def open(self, upload: Upload) -> FileDraft:
        """Open an upload for writing, exclusively. Raises Busy, FileNotFoundError."""
        return FileDraft(self._folder(upload))

    def touch(self, upload: Upload) -> Upload:
        """Postpone the expiry of an upload: it restarts now. Returns the new record."""
        renewed = upload.model_copy(update={"expires_s": time.time() + self._settings.upload_keep_s})
        if self._folder(upload).is_dir():
            self.save(renewed)
        return renewed

    def save(self, upload: Upload) -> None:
        """Write the record of an upload, atomically."""
        draft = self._folder(upload) / f"info.{secrets.token_hex(4)}"
        private.write(draft, upload.model_dump_json())
        draft.replace(self._folder(upload) / "info")

    def remove(self, upload: Upload) -> None:
        """Remove an upload, from storage too. Raises Busy."""
        folder = self._folder(upload)
        if (folder / "data").exists():
            with suppress(FileNotFoundError), FileDraft(folder):
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._storage.remove_all(keys.upload(upload.id))

    def data(self, upload: Upload) -> Path:
        """The file with the bytes of an upload in progress."""
        return self._folder(upload) / "data"

    def move_to_storage(self, upload: Upload) -> None:
        """Keep a complete upload, and store its record. Call it only while the upload is open for writing. `data` is
        removed last, so that an interrupted call can be repeated."""
        data = self.data(upload)
        record = data.with_name("note")
        record.unlink(missing_ok=True)  # of an interrupted call
        private.write(record, upload.model_dump_json())
        self._storage.put(keys.upload_info(upload.id), record)
        if upload.state == "ready":
            self._storage.put(upload.source, data)
        data.unlink(missing_ok=True)
        self.save(upload)

    @staticmethod
    def _read(folder: Path) -> Upload | None:
        try:
            return Upload.model_validate_json((folder / "info").read_bytes())
        except (OSError, ValidationError):
            return None  # it was just removed, or never completely written

    def _folder(self, upload: Upload) -> Path:
        return self._of_owner(upload.owner) / upload.id

    def _of_owner(self, owner: str) -> Path:
        return self._root / (owner or _UNNAMED)
