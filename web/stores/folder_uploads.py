"""Uploads in progress in a folder, which `upload_folder.py` describes, for callers on an event loop."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stream.errors import InputError
from stream.settings import Settings
from stream.sources.probe import Prober
from stream.storage import Storage
from web.http.threads import in_lock_thread, in_store_thread, in_thread
from web.stores.upload_folder import FileDraft, UploadFolder
from web.stores.uploads import Draft, Kept, Upload


class FolderDraft:
    def __init__(self, file: FileDraft) -> None:
        self._file = file

    @property
    def offset(self) -> int:
        return self._file.offset

    async def write(self, piece: bytes) -> None:
        await in_thread(self._file.write, [piece])

    async def sync(self) -> None:
        await in_thread(self._file.sync)

    async def truncate(self, offset: int) -> None:
        await in_thread(self._file.truncate, offset)


class FolderUploads:
    """Implements UploadStore."""

    def __init__(self, settings: Settings, storage: Storage, root: Path, prober: Prober) -> None:
        self._folder, self._prober = UploadFolder(settings, storage, root), prober

    async def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        return await in_lock_thread(self._folder.create, owner, length, metadata, title)

    async def uploads(self, owner: str) -> list[Upload]:
        return await in_thread(self._folder.uploads, owner)

    async def has(self, owner: str, id: str) -> bool:
        """Whether an upload with this id has its folder here."""
        return await in_thread(self._folder.has, owner, id)

    async def get(self, owner: str, id: str) -> Upload | None:
        return await in_thread(self._folder.get, owner, id)

    async def offset(self, upload: Upload) -> int:
        return await in_thread(self._folder.offset, upload)

    @asynccontextmanager
    async def open(self, upload: Upload, verified: bool = False) -> AsyncIterator[FolderDraft]:
        with await in_thread(self._folder.open, upload) as file:
            yield FolderDraft(file)

    async def touch(self, upload: Upload) -> Upload:
        return await in_thread(self._folder.touch, upload)

    async def remove(self, upload: Upload) -> None:
        await in_thread(self._folder.remove, upload)

    async def finish(self, upload: Upload, draft: Draft) -> Upload:
        try:
            finished = upload.probed(await self._prober.probe(self._folder.data(upload)))
        except InputError as exc:
            finished = upload.probed(exc)
        await in_store_thread(self._folder.move_to_storage, finished)
        return finished

    async def kept(self, ahead_s: float) -> Kept:
        uploads, now_s = await in_thread(self._folder.all_uploads), time.time() + ahead_s
        expired = tuple(upload for upload in uploads if upload.expires_s < now_s)
        return Kept(frozenset(upload.id for upload in uploads), expired)

    async def forget_drafts(self, before_s: float) -> None:
        await in_thread(self._folder.forget_drafts, before_s)
