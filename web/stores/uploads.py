"""The store of uploads. An upload in progress has its own folder and one writer at a time, across all processes.

`<data_dir>/uploads/OWNER/ID/` contains `info` (the record), `data` (the bytes received so far; its size is the offset)
and `lock`. A complete upload is probed and then moved, with its record, to storage (`stream/storage/keys.py`), where
every web process finds it. The folder keeps only the record until the upload expires. Web processes that share
`data_dir` share the uploads in progress. Methods open files: call them in a thread. Knows nothing about HTTP.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream import private
from stream.errors import DiskError, InputError, MatteboxError, TooLarge, disk_error, without_paths
from stream.limits import FILE_ID
from stream.records.jobs import Media
from stream.settings import Settings
from stream.sources.probe import Prober
from stream.storage import Storage, keys
from web.http.threads import in_store_thread
from web.stores.file_lock import locked

_MAX_UPLOADS = 1000  # per user, of any size
_UNNAMED = "-"  # folder of the user without a name; names begin with a letter or digit, so none is equal


class Busy(MatteboxError):  # noqa: N818 - error names state what went wrong, without "Error"
    """Another connection is writing to the upload."""

    code = "busy"


class OverQuota(TooLarge):
    code = "over_quota"


class Upload(BaseModel):
    """The record of an upload. bytes: its length when complete. metadata: as the client sent it. title: for display.

    state: "arriving", "ready" (in storage), or "unusable", with the reason in `problem` (a code) and `detail`.
    created_s, expires_s: Unix time.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    bytes: int = Field(ge=0)
    metadata: str = ""
    title: str = ""
    created_s: float
    expires_s: float
    state: Literal["arriving", "ready", "unusable"] = "arriving"
    problem: str = ""
    detail: str = ""
    media: Media | None = None

    @property
    def source(self) -> str:
        """The storage key of its video."""
        return keys.upload_source(self.id)


class Draft:
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
            raise Busy("another connection is writing to this upload") from None
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


class UploadStore:
    """The uploads of all users: those in progress on this machine, and the complete ones in storage."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._root = settings.data_dir.absolute() / "uploads"
        self._prober = Prober(settings)

    def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        """A new upload of `length` bytes. Raises TooLarge, OverQuota, DiskError."""
        limit, now_s = self._settings.max_upload_bytes, time.time()
        if length > limit:
            raise TooLarge(f"an upload may have at most {limit:,} bytes")
        upload = Upload(
            id=secrets.token_hex(16), owner=owner, bytes=length, metadata=metadata, title=title,
            created_s=now_s, expires_s=now_s + self._settings.upload_keep_s,
        )  # fmt: skip
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
        if len(kept) >= _MAX_UPLOADS:
            raise OverQuota(f"you have {_MAX_UPLOADS} uploads; remove some, or wait until they expire")
        used = sum(u.bytes for u in kept if u.state != "unusable")
        if used + length > quota:
            raise OverQuota(f"your uploads may have at most {quota:,} bytes in total; they have {used:,} already")
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

    def get(self, owner: str, id: str) -> Upload | None:
        """The owner's upload with this id, from this machine or from storage."""
        if not FILE_ID.fullmatch(id):
            return None
        folder = self._of_owner(owner) / id
        upload = self._read(folder)
        if upload is None or (upload.state == "arriving" and not (folder / "data").exists()):
            upload = self.stored(id) or upload
        return upload if upload is not None and upload.owner == owner else None

    def offset(self, upload: Upload) -> int:
        """The number of bytes received. Raises FileNotFoundError."""
        with suppress(FileNotFoundError):
            return upload.bytes if upload.state != "arriving" else (self._folder(upload) / "data").stat().st_size
        current = self.get(upload.owner, upload.id)
        if current is None or current.state == "arriving":
            raise FileNotFoundError(upload.id)
        return current.bytes  # it was completed after `upload` was read

    def open(self, upload: Upload) -> Draft:
        """Open an upload for writing, exclusively. Raises Busy, FileNotFoundError."""
        return Draft(self._folder(upload))

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
            with suppress(FileNotFoundError), Draft(folder):
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._storage.remove_all(keys.upload(upload.id))

    async def finish(self, upload: Upload) -> Upload:
        """Probe a complete upload, and move it to storage if it is a video. Returns the new record. Raises DiskError,
        and Overloaded if too many others are waiting to be probed.

        Call it only while the upload is open for writing. `data` is removed last, so that an interrupted call can be
        repeated.
        """
        data = self._folder(upload) / "data"
        try:
            media = await self._prober.probe(data)
            finished = upload.model_copy(update={"state": "ready", "media": media})
        except InputError as exc:
            fault = {"state": "unusable", "problem": exc.code, "detail": without_paths(str(exc))}
            finished = upload.model_copy(update=fault)
        await in_store_thread(self._move_to_storage, finished, data)
        return finished

    def _move_to_storage(self, upload: Upload, data: Path) -> None:
        record = data.with_name("note")
        record.unlink(missing_ok=True)  # of an interrupted call
        private.write(record, upload.model_dump_json())
        self._storage.put(keys.upload_info(upload.id), record)
        if upload.state == "ready":
            self._storage.put(upload.source, data)
        data.unlink(missing_ok=True)
        self.save(upload)

    def stored(self, id: str) -> Upload | None:
        """The record in storage, also of an upload that another machine received; None if there is none."""
        try:
            return Upload.model_validate_json(b"".join(self._storage.read(keys.upload_info(id))))
        except (FileNotFoundError, ValidationError):
            return None

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
