"""Uploads: their records, and what the stores of uploads in progress have in common. Knows nothing about HTTP.

An upload in progress is in a folder (`folder_uploads.py`) or, where objects are in a bucket, in the bucket and in Redis
(`bucket_uploads.py`); `open_uploads.py` chooses. A complete upload is in storage, with its record.
"""

import secrets
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.errors import InputError, MatteboxError, TooLarge, without_paths
from stream.records.jobs import Media
from stream.settings import Settings
from stream.storage import Storage, keys

MOST_UPLOADS = 1000  # per user, of any size


class OverQuota(TooLarge):
    code = "over_quota"


class Rewound(MatteboxError):  # noqa: N818 - named after the problem, without "Error"
    """Bytes that had been stored are lost; the upload continues at `offset`."""

    code = "rewound"

    def __init__(self, offset: int) -> None:
        super().__init__(f"stored bytes were lost; continue from {offset}")
        self.offset = offset


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

    def probed(self, found: Media | InputError) -> "Upload":
        """The record once it is known what the file is."""
        if isinstance(found, InputError):
            fault = {"state": "unusable", "problem": found.code, "detail": without_paths(str(found))}
            return self.model_copy(update=fault)
        return self.model_copy(update={"state": "ready", "media": found})


class Draft(Protocol):
    """The bytes received of one upload, opened for one writer."""

    @property
    def offset(self) -> int:
        """Their number."""
        ...

    async def write(self, piece: bytes) -> None: ...

    async def sync(self) -> None:
        """Store what was written so far. Call it before the new offset is sent to the client."""
        ...

    async def truncate(self, offset: int) -> None:
        """Discard everything after `offset`, which is that at which the draft was opened."""
        ...


@dataclass(frozen=True)
class Kept:
    """known: the ids of all uploads that a store knows. expired: those that have expired."""

    known: frozenset[str]
    expired: tuple[Upload, ...]


class UploadStore(Protocol):
    """The uploads of all users. Methods may raise DiskError, and StoreDown where Redis is used."""

    async def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        """A new upload of `length` bytes. Raises TooLarge, OverQuota."""
        ...

    async def uploads(self, owner: str) -> list[Upload]: ...

    async def get(self, owner: str, id: str) -> Upload | None:
        """The owner's upload with this id."""
        ...

    async def offset(self, upload: Upload) -> int:
        """The number of bytes stored. Raises FileNotFoundError."""
        ...

    def open(self, upload: Upload, verified: bool = False) -> AbstractAsyncContextManager[Draft]:
        """Open an upload for writing, exclusively. What was written is stored at the end, if possible.

        verified: store nothing before `sync`, because the bytes have a checksum. Raises Busy, FileNotFoundError; the
        draft's methods raise Fenced if another writer could open it, and Rewound.
        """
        ...

    async def touch(self, upload: Upload) -> Upload:
        """Postpone the expiry of an upload: it restarts now. Returns the new record."""
        ...

    async def remove(self, upload: Upload) -> None:
        """Remove an upload, from storage too. Raises Busy."""
        ...

    async def finish(self, upload: Upload, draft: Draft) -> Upload:
        """Probe a complete upload, and keep it in storage if it is a video. Returns the new record. Raises Rewound, and
        Overloaded if too many others are waiting to be probed. An interrupted call can be repeated."""
        ...

    async def kept(self, ahead_s: float) -> Kept:
        """ahead_s: count as expired what will have expired so many seconds from now."""
        ...

    async def forget_drafts(self, before_s: float) -> None:
        """Remove what processes that were killed before that time (Unix time) left, and nobody can continue."""
        ...


def new_upload(settings: Settings, owner: str, length: int, metadata: str, title: str) -> Upload:
    """The record of a new upload. Raises TooLarge."""
    limit, now_s = settings.max_upload_bytes, time.time()
    if length > limit:
        raise TooLarge(f"an upload may have at most {limit:,} bytes")
    return Upload(
        id=secrets.token_hex(16), owner=owner, bytes=length, metadata=metadata, title=title,
        created_s=now_s, expires_s=now_s + settings.upload_keep_s,
    )  # fmt: skip


def too_many() -> OverQuota:
    return OverQuota(f"you have {MOST_UPLOADS} uploads; remove some, or wait until they expire")


def over_quota(quota: int, used: int) -> OverQuota:
    return OverQuota(f"your uploads may have at most {quota:,} bytes in total; they have {used:,} already")


def stored(storage: Storage, id: str) -> Upload | None:
    """The record in storage of a complete upload; None if there is none. Blocks: call it in a thread."""
    try:
        return Upload.model_validate_json(b"".join(storage.read(keys.upload_info(id))))
    except (FileNotFoundError, ValidationError):
        return None
