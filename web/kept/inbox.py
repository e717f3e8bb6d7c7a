"""Where uploads lie while they arrive: one folder each, one writer at a time, across processes. Knows no HTTP.

`<data_dir>/uploads/OWNER/ID/` with `info` (the record), `data` (what came so far; its size is the offset) and `lock`.
A complete one is looked at and goes to storage, its record beside it (`stream/storage/keys.py`), so that any web
process finds it; the folder stays, empty but for the record, until the upload expires. Methods open files: call them in
a thread. Web processes that share `data_dir` share the uploads under way.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.errors import DiskError, InputError, MatteboxError, TooLarge, disk_error
from stream.limits import FILE_ID
from stream.records.jobs import Media
from stream.settings import Settings
from stream.sources.probe import probe
from stream.storage import Storage, keys
from web.http.threads import in_thread

_MOST = 1000  # uploads of one user, of whatever size
_NOBODY = "-"  # the folder of the user without a name; users' names begin with a letter or digit


class Busy(MatteboxError):  # noqa: N818 - named for what went wrong, as all of them
    """Another writer is at it."""

    code = "busy"


class OverQuota(TooLarge):
    code = "over_quota"


class Upload(BaseModel):
    """bytes: its length when complete; metadata: as the client wrote it; title: the user's name for it, for display.

    state: "arriving", "ready" (in storage), or "unusable", and then `problem` and `detail` say why.
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
        """Its key in storage."""
        return keys.upload_source(self.id)


class Draft:
    """What has come of one upload, held by one writer. Raises Busy; FileNotFoundError where there is no such upload."""

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
        """What was written is on the disk: only then is a client told to go on from there."""
        os.fsync(self._file.fileno())

    def cut(self, offset: int) -> None:
        """Forget what came after `offset`."""
        self._file.truncate(offset)
        self.offset = self._file.seek(offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        os.close(self._lock)


class Inbox:
    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._root = settings.data_dir.absolute() / "uploads"

    def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        """Room for an upload of `length` bytes. Raises TooLarge, OverQuota, DiskError."""
        limit, now_s = self._settings.max_upload_bytes, time.time()
        if length > limit:
            raise TooLarge(f"an upload may have {limit:,} bytes")
        upload = Upload(
            id=secrets.token_hex(16), owner=owner, bytes=length, metadata=metadata, title=title,
            created_s=now_s, expires_s=now_s + self._settings.upload_keep_s,
        )  # fmt: skip
        try:
            with self._alone(owner):
                self._check_room(owner, length)
                self._folder(upload).mkdir(mode=0o700)
                (self._folder(upload) / "data").touch(mode=0o600)
                self.save(upload)
        except OSError as exc:
            raise disk_error(exc, "the upload") from exc
        return upload

    @contextmanager
    def _alone(self, owner: str) -> Iterator[None]:
        """No other process makes an upload of this user meanwhile: two halves of a quota are not spent twice."""
        folder = self._of_owner(owner)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / ".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _check_room(self, owner: str, length: int) -> None:
        quota = self._settings.uploads_per_user
        kept = self.uploads(owner)
        if len(kept) >= _MOST:
            raise OverQuota(f"you have {_MOST} uploads; remove some, or wait until they expire")
        used = sum(u.bytes for u in kept if u.state != "unusable")
        if used + length > quota:
            raise OverQuota(f"your uploads may have {quota:,} bytes together, and {used:,} are used")
        if length > shutil.disk_usage(self._root).free:
            raise DiskError("the server's disk has no room for this upload")

    def uploads(self, owner: str) -> list[Upload]:
        """Those of a user that this folder knows."""
        folder = self._of_owner(owner)
        found = (
            [self._read(path) for path in folder.iterdir() if FILE_ID.fullmatch(path.name)] if folder.is_dir() else []
        )
        return [upload for upload in found if upload is not None]

    def every(self) -> list[Upload]:
        owners = [path.name for path in self._root.iterdir()] if self._root.is_dir() else []
        return [upload for owner in owners for upload in self.uploads("" if owner == _NOBODY else owner)]

    def forget_drafts(self, before_s: float) -> None:
        """Folders without a record, not touched since that time: whoever made them was killed in between."""
        for folder in self._root.glob("*/*"):
            with suppress(FileNotFoundError):
                if FILE_ID.fullmatch(folder.name) and self._read(folder) is None and folder.stat().st_mtime < before_s:
                    shutil.rmtree(folder, ignore_errors=True)

    def get(self, owner: str, id: str) -> Upload | None:
        """The owner's upload of that id, wherever it lies."""
        if not FILE_ID.fullmatch(id):
            return None
        folder = self._of_owner(owner) / id
        upload = self._read(folder)
        if upload is None or (upload.state == "arriving" and not (folder / "data").exists()):
            upload = self.stored(id) or upload
        return upload if upload is not None and upload.owner == owner else None

    def offset(self, upload: Upload) -> int:
        """How much has come. Raises FileNotFoundError."""
        with suppress(FileNotFoundError):
            return upload.bytes if upload.state != "arriving" else (self._folder(upload) / "data").stat().st_size
        now = self.get(upload.owner, upload.id)
        if now is None or now.state == "arriving":
            raise FileNotFoundError(upload.id)
        return now.bytes  # it was handed over since the record was read

    def open(self, upload: Upload) -> Draft:
        """For writing; whoever has it is alone with it. Raises Busy, FileNotFoundError."""
        return Draft(self._folder(upload))

    def touch(self, upload: Upload) -> Upload:
        """Its time starts anew."""
        fresh = upload.model_copy(update={"expires_s": time.time() + self._settings.upload_keep_s})
        if self._folder(upload).is_dir():
            self.save(fresh)
        return fresh

    def save(self, upload: Upload) -> None:
        draft = self._folder(upload) / f"info.{secrets.token_hex(4)}"
        draft.write_text(upload.model_dump_json())
        draft.replace(self._folder(upload) / "info")

    def remove(self, upload: Upload) -> None:
        """With what it holds in storage. Raises Busy."""
        folder = self._folder(upload)
        if (folder / "data").exists():
            with suppress(FileNotFoundError), Draft(folder):
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._storage.remove_all(keys.upload(upload.id))

    async def finish(self, upload: Upload) -> Upload:
        """All has come: look at it, and hand it to storage if it is a video. Its writer calls this. Raises DiskError.

        Whatever interrupts it, it can be done again: the bytes leave this folder last.
        """
        data = self._folder(upload) / "data"
        try:
            media = await probe(data, self._settings)
            finished = upload.model_copy(update={"state": "ready", "media": media})
        except InputError as exc:
            found = {"state": "unusable", "problem": exc.code, "detail": str(exc)}
            finished = upload.model_copy(update=found)
        await in_thread(self._hand_over, finished, data)
        return finished

    def _hand_over(self, upload: Upload, data: Path) -> None:
        note = data.with_name("note")
        note.write_text(upload.model_dump_json())
        self._storage.put(keys.upload_info(upload.id), note)
        if upload.state == "ready":
            self._storage.put(upload.source, data)
        data.unlink(missing_ok=True)
        self.save(upload)

    def stored(self, id: str) -> Upload | None:
        """What storage knows of it, from whichever machine it came."""
        try:
            return Upload.model_validate_json(b"".join(self._storage.read(keys.upload_info(id))))
        except (FileNotFoundError, ValidationError):
            return None

    @staticmethod
    def _read(folder: Path) -> Upload | None:
        try:
            return Upload.model_validate_json((folder / "info").read_bytes())
        except (OSError, ValidationError):
            return None  # removed a moment ago, or never whole

    def _folder(self, upload: Upload) -> Path:
        return self._of_owner(upload.owner) / upload.id

    def _of_owner(self, owner: str) -> Path:
        return self._root / (owner or _NOBODY)
