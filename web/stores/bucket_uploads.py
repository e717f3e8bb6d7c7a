"""Uploads in progress in a bucket: any web process can continue them, and nothing of them stays on a web machine.

Their bytes are the parts of a multipart upload (`bucket_draft.py`), their records are in Redis until they expire. A
complete upload has its record in the bucket too, so that it is found without Redis's. It is copied to this machine
once, to be probed.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stream.errors import InputError
from stream.limits import FILE_ID
from stream.loops import Loops
from stream.records.upload_records import FoundUpload, LimitReached, UploadRecords
from stream.settings import Settings
from stream.sources.probe import Prober
from stream.storage import Storage, keys
from stream.storage.multipart import Multipart
from web.http.threads import in_store_thread, in_thread
from web.stores.bucket_draft import BucketDraft
from web.stores.scratch import Scratch
from web.stores.uploads import MOST_UPLOADS, Draft, Kept, Upload, new_upload, over_quota, stored, too_many

_PART_BYTES = 8 * 2**20  # more than S3's limit of 5 MiB; also what a web process that is killed loses of an upload
_MOST_PARTS = 5000  # half of S3's limit: a number is lost whenever a writer is replaced while it sends a part
_RENEW_S = 1.5
_log = logging.getLogger(__name__)


class BucketUploads:
    """Implements UploadStore. Times are those of Redis."""

    def __init__(
        self, settings: Settings, storage: Storage, multipart: Multipart, records: UploadRecords, prober: Prober
    ) -> None:
        self._settings, self._storage, self._multipart = settings, storage, multipart
        self._records, self._prober, self._scratch = records, prober, Scratch(settings)

    async def create(self, owner: str, length: int, metadata: str, title: str) -> Upload:
        upload, quota = new_upload(self._settings, owner, length, metadata, title), self._settings.uploads_per_user
        text, part = upload.model_dump_json(), part_bytes(length)
        try:
            expires_s = await self._records.create(upload.id, owner, text, length, part, quota=quota, most=MOST_UPLOADS)
        except LimitReached as exc:
            raise too_many() if exc.too_many else over_quota(quota, exc.used) from None
        return upload.model_copy(update={"expires_s": expires_s})

    async def uploads(self, owner: str) -> list[Upload]:
        found = [await self.get(owner, id) for id in await self._records.ids_of(owner)]
        return [upload for upload in found if upload is not None]

    async def get(self, owner: str, id: str) -> Upload | None:
        if not FILE_ID.fullmatch(id):
            return None
        found = await self._records.find(id)
        upload = _read(found) if found else await in_thread(stored, self._storage, id)
        return upload if upload is not None and upload.owner == owner else None

    async def offset(self, upload: Upload) -> int:
        if upload.state != "arriving":
            return upload.bytes
        found = await self._records.find(upload.id)
        if found is None:
            raise FileNotFoundError(upload.id)
        return found.offset

    @asynccontextmanager
    async def open(self, upload: Upload, verified: bool = False) -> AsyncIterator[BucketDraft]:
        opened = await self._records.open(upload.id)
        draft = BucketDraft(
            self._records, self._storage, self._multipart, self._scratch, upload, opened, verified
        )  # fmt: skip
        async with Loops(_log, "its upload continues").running((draft.renew, _RENEW_S)):
            try:
                yield draft
            finally:
                await draft.close()

    async def touch(self, upload: Upload) -> Upload:
        expires_s = await self._records.touch(upload.id)
        return upload if expires_s is None else upload.model_copy(update={"expires_s": expires_s})

    async def remove(self, upload: Upload) -> None:
        with suppress(FileNotFoundError):
            opened = await self._records.open(upload.id)
            if multipart := opened.content.multipart:
                await in_thread(self._multipart.abort, upload.source, multipart)
        await in_thread(self._storage.remove_all, keys.upload(upload.id))
        await self._records.remove(upload.id)

    async def finish(self, upload: Upload, draft: Draft) -> Upload:
        assert isinstance(draft, BucketDraft)
        await draft.assemble()
        try:
            async with self._prober.turn():
                finished = await self._probed(upload)
        except InputError as exc:
            finished = upload.probed(exc)
        await in_store_thread(self._keep, finished)
        counted = finished.bytes if finished.state == "ready" else 0
        await draft.finish(finished.model_dump_json(), counted)
        return finished

    async def _probed(self, upload: Upload) -> Upload:
        with self._scratch.folder(needed=upload.bytes) as folder:
            path = await in_store_thread(self._storage.local, upload.source, folder)
            return upload.probed(await self._prober.inspect(path))

    def _keep(self, upload: Upload) -> None:
        """Store the record of a complete upload, and remove what is no longer needed."""
        with self._scratch.folder() as folder:
            record = folder / "info"
            record.write_text(upload.model_dump_json())
            self._storage.put(keys.upload_info(upload.id), record)
        needed = {keys.upload_info(upload.id)} | ({upload.source} if upload.state == "ready" else set())
        for key in self._storage.keys(keys.upload(upload.id)):
            if key not in needed:
                self._storage.remove(key)

    async def kept(self, ahead_s: float) -> Kept:
        found = [await self._records.find(id) for id in await self._records.expired(ahead_s)]
        return Kept(frozenset(await self._records.ids()), tuple(_read(record) for record in found if record))

    async def forget_drafts(self, before_s: float) -> None:
        begun = await in_thread(self._multipart.unfinished, keys.UPLOADS, before_s)
        known = await self._records.ids() if begun else set()
        for key, id in begun:
            if keys.id_of(key) not in known:
                await in_thread(self._multipart.abort, key, id)


def part_bytes(length: int) -> int:
    """The size of the parts of an upload of `length` bytes: a multiple of a MiB, so that 5,000 are enough."""
    return max(_PART_BYTES, -(-length // (_MOST_PARTS * 2**20)) * 2**20)


def _read(found: FoundUpload) -> Upload:
    return Upload.model_validate_json(found.record).model_copy(update={"expires_s": found.expires_s})
