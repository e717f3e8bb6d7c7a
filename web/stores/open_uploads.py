"""The store of uploads that belongs to the storage; older uploads in the data folder are completed where they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stream.records.redis_link import RedisLink
from stream.records.upload_records import UploadRecords
from stream.settings import Settings
from stream.sources.probe import Prober
from stream.storage import Storage
from web.stores.bucket_uploads import BucketUploads
from web.stores.folder_uploads import FolderUploads
from web.stores.uploads import Draft, Kept, Upload, UploadStore


def open_uploads(settings: Settings, storage: Storage, link: RedisLink) -> UploadStore:
    prober, before = Prober(settings), settings.data_dir.absolute() / "uploads"
    incoming, multipart = storage.incoming(), storage.multipart
    old = FolderUploads(settings, storage, before, prober)
    if incoming == before:
        return old
    if incoming is not None:
        return _TwoStores(FolderUploads(settings, storage, incoming, prober), old)
    assert multipart is not None, "a storage has either"
    records = UploadRecords(link, settings.upload_keep_s)
    return _TwoStores(BucketUploads(settings, storage, multipart, records, prober), old)


class _TwoStores:
    """Implements UploadStore. New uploads are in `new`; `old` has those that an older version, or a server with other
    settings, began on this machine."""

    def __init__(self, new: UploadStore, old: FolderUploads) -> None:
        self._new, self._old = new, old

    async def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        return await self._new.create(owner, length, metadata, title)

    async def uploads(self, owner: str) -> list[Upload]:
        return [*await self._new.uploads(owner), *await self._old.uploads(owner)]

    async def get(self, owner: str, id: str) -> Upload | None:
        return await (await self._of(owner, id)).get(owner, id)

    async def _of(self, owner: str, id: str) -> UploadStore:
        return self._old if await self._old.has(owner, id) else self._new

    async def offset(self, upload: Upload) -> int:
        return await (await self._store(upload)).offset(upload)

    async def _store(self, upload: Upload) -> UploadStore:
        return await self._of(upload.owner, upload.id)

    @asynccontextmanager
    async def open(self, upload: Upload, verified: bool = False) -> AsyncIterator[Draft]:
        async with (await self._store(upload)).open(upload, verified) as draft:
            yield draft

    async def touch(self, upload: Upload) -> Upload:
        return await (await self._store(upload)).touch(upload)

    async def remove(self, upload: Upload) -> None:
        await (await self._store(upload)).remove(upload)

    async def finish(self, upload: Upload, draft: Draft) -> Upload:
        return await (await self._store(upload)).finish(upload, draft)

    async def kept(self, ahead_s: float) -> Kept:
        new, old = await self._new.kept(ahead_s), await self._old.kept(ahead_s)
        return Kept(new.known | old.known, new.expired + old.expired)

    async def forget_drafts(self, before_s: float) -> None:
        await self._new.forget_drafts(before_s)
        await self._old.forget_drafts(before_s)
