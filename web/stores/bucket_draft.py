"""One writer of an upload that is stored in a bucket, in parts of equal size.

Received bytes are collected in a temporary file. When it has as many as a part, they are stored as one, while the next
are received: a client that sends faster than the bucket takes them has to wait. What is left at the end of a request is
a small object, the tail; it becomes the beginning of the next part. A part or a tail counts once it is in the record in
Redis (`stream/records/upload_records.py`), and its number or name is never used again: a writer that was replaced
cannot change what the next one stores.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO, NoReturn, TypeVar

from stream.errors import DiskError, Fenced, MatteboxError, StoreDown
from stream.records.upload_records import Content, OpenUpload, UploadRecords
from stream.storage import Storage, keys
from stream.storage.multipart import MOST_PARTS, Multipart, Part, PartsLost
from web.http.threads import in_part_thread, in_thread
from web.stores.scratch import Scratch
from web.stores.uploads import Rewound, Upload

T = TypeVar("T")
_COPIED = 2**20  # bytes at once
_TAILS = 16  # objects; more are joined to one
_PATIENCE_S = 15.0  # how long an outage of Redis may last, such as a failover, before the request fails
_PAUSE_S = 0.5
_log = logging.getLogger(__name__)


class BucketDraft:
    """Implements Draft. multipart: of the storage."""

    def __init__(
        self, records: UploadRecords, storage: Storage, multipart: Multipart, scratch: Scratch,
        upload: Upload, opened: OpenUpload, verified: bool,
    ) -> None:  # fmt: skip
        self._records, self._storage, self._multipart, self._scratch = records, storage, multipart, scratch
        self._upload, self._opened, self._verified = upload, opened, verified
        self._begun = self._stored = opened.content
        self._id, self._key = opened.content.multipart, upload.source
        self._names = {name for name, _ in opened.content.tail}  # of all tails seen
        self._made = 0  # tails
        self._sending: asyncio.Future[None] | None = None
        self._failed = False  # then what was received is not stored
        self._spool: BinaryIO | None = None
        self.offset = opened.content.offset
        self._reset(opened.content)

    def _reset(self, content: Content) -> None:
        """Continue after `content`."""
        self._parts, self._tail, self._sent = content.parts, content.tail, list[Part]()
        self.offset = content.offset
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    async def write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            if self._filled == self._opened.part_bytes:
                await self._rotate()
            if self._spool is None:
                self._spool = await in_thread(self._scratch.file)
            taken = view[: self._opened.part_bytes - self._filled]
            try:
                await in_thread(self._spool.write, taken)
            except OSError:  # it may have a part of these bytes
                self._failed = True
                raise
            self.offset += len(taken)
            view = view[len(taken) :]

    @property
    def _filled(self) -> int:
        """Bytes of the part that is being collected, with its tail."""
        return self.offset - self._parts * self._opened.part_bytes

    async def _rotate(self) -> None:
        """Begin to store the part that is full, once the part before is stored."""
        await self._settle()
        spool, tail = self._take()
        self._parts += 1
        end = Content(parts=self._parts, offset=self.offset)
        self._sending = asyncio.ensure_future(self._send_part(spool, tail, end))

    def _take(self) -> tuple[BinaryIO | None, tuple[tuple[str, int], ...]]:
        """What follows the last part, which then no longer belongs to the draft: a file, and the tail before it."""
        taken = self._spool, self._tail
        self._spool, self._tail = None, ()
        return taken

    async def _settle(self) -> None:
        """Wait for the part that is being sent, also when the caller is cancelled meanwhile. Raises its error."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
            sending, self._sending = self._sending, None
            sending.result()

    async def _send_part(self, spool: BinaryIO | None, tail: tuple[tuple[str, int], ...], end: Content) -> None:
        """Store a part, and count it unless a checksum is still to be verified. end: what is stored then."""
        try:
            if not self._id:
                self._id = await in_part_thread(self._multipart.begin, self._key)
            with await in_part_thread(self._joined, spool, tail) as file:
                number = await self._patiently(lambda: self._records.reserve(self._opened))
                if number > MOST_PARTS:
                    raise DiskError("the upload was interrupted too often; start it again")
                self._sent.append(await in_part_thread(self._multipart.send_part, self._key, self._id, number, file))
            if not self._verified:
                await self._commit(end)
        except (FileNotFoundError, PartsLost):
            await self._rewind()
        except BaseException:
            self._failed = True
            raise
        finally:
            if spool is not None:
                spool.close()

    def _joined(self, spool: BinaryIO | None, tail: tuple[tuple[str, int], ...]) -> BinaryIO:
        """A file with the bytes of the tail and of `spool`, at its beginning. It may be `spool` itself."""
        if spool is not None and not tail:
            spool.seek(0)
            return spool
        file = self._scratch.file()
        try:
            for name, _ in tail:
                file.writelines(self._storage.read(keys.upload_tail(self._upload.id, name)))
            if spool is not None:
                spool.seek(0)
                shutil.copyfileobj(spool, file, _COPIED)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    async def sync(self) -> None:
        """Store everything that was received."""
        await self._settle()
        if self._stored.offset == self.offset and not self._sent:
            return
        if self.offset == self._upload.bytes:
            await self._store_end()
        elif self._spool is not None:
            await self._store_tail()
        if self._stored.offset != self.offset or self._sent:
            await self._commit(Content(parts=self._parts, tail=self._tail, offset=self.offset))

    async def _store_end(self) -> None:
        """Store the rest as the last part, which may be small; or as the object itself, if it is all there is."""
        spool, tail = self._take()
        if self._parts and (spool or tail):
            self._parts += 1
            await self._send_part(spool, tail, Content(parts=self._parts, offset=self.offset))
        elif spool or tail:
            try:
                await in_part_thread(self._put, self._key, spool, tail)
            except FileNotFoundError:
                await self._rewind()

    async def _store_tail(self) -> None:
        whole = len(self._tail) >= _TAILS
        spool, tail = self._take()
        size = self.offset - self._parts * self._opened.part_bytes - (0 if whole else sum(s for _, s in tail))
        self._made += 1
        name = f"{self._opened.writer}-{self._made}"
        self._names.add(name)
        key = keys.upload_tail(self._upload.id, name)
        try:
            await in_part_thread(self._put, key, spool, tail if whole else ())
        except FileNotFoundError:
            await self._rewind()
        self._tail = (*(() if whole else tail), (name, size))

    def _put(self, key: str, spool: BinaryIO | None, tail: tuple[tuple[str, int], ...]) -> None:
        """Store the bytes of the tail and of `spool`, which is closed, as an object."""
        try:
            with self._joined(spool, tail) as file, self._scratch.folder() as folder:
                path = folder / "object"
                with path.open("wb") as copy:
                    shutil.copyfileobj(file, copy, _COPIED)
                self._storage.put(key, path)
        finally:
            if spool is not None:
                spool.close()

    async def _commit(self, content: Content, kept: int | None = None) -> None:
        """Count what is stored. kept: number of parts that count already; None: all of them."""
        content = replace(content, multipart=self._id)
        keeps = self._stored.parts if kept is None else kept
        parts = [f"{part.number} {part.tag}" for part in self._sent]
        try:
            await self._patiently(lambda: self._records.commit(self._opened, content, keeps, parts))
        except MatteboxError:
            self._failed = True  # it is unknown what counts
            raise
        self._stored, self._sent = content, []

    async def _rewind(self) -> NoReturn:
        """Count only what certainly exists: the parts, if they do. Raises Rewound; the draft can then only be closed.

        Redis has lost its last writes in a failover, and has a tail that was removed or a number that was used. The
        file of the next part stays open: `write` may be using it.
        """
        self._failed = True
        parts, self._sent = self._stored.parts, []
        if self._id and not (parts and await in_part_thread(self._has_parts)):
            await in_part_thread(self._multipart.abort, self._key, self._id)
            parts, self._id = 0, ""
        content = Content(parts=parts, offset=parts * self._opened.part_bytes)
        await self._commit(content, kept=parts)
        raise Rewound(content.offset)

    def _has_parts(self) -> bool:
        return (self._key, self._id) in self._multipart.unfinished(self._key, float("inf"))

    async def truncate(self, offset: int) -> None:
        """Discard everything received since the draft was opened, at `offset`."""
        assert offset == self._begun.offset
        with suppress(MatteboxError, OSError):
            await self._settle()
        if self._stored.offset < offset:  # it was rewound
            return
        self._reset(self._begun)
        self._failed = False
        if self._stored != self._begun:
            await self._commit(self._begun, kept=self._begun.parts)

    async def assemble(self) -> None:
        """Make the object of a complete upload. Can be repeated. Raises Rewound."""
        try:
            if not self._upload.bytes:
                await in_part_thread(self._put, self._key, None, ())
            if self._stored.parts:
                found = (line.partition(" ") for line in await self._records.parts(self._upload.id))
                parts = [Part(int(number), tag) for number, _, tag in found]
                with suppress(FileNotFoundError):  # completed, but the answer or the commit was lost
                    await in_part_thread(self._multipart.complete, self._key, self._id, parts)
            if await in_part_thread(self._storage.size, self._key) != self._upload.bytes:
                raise PartsLost(self._key)
        except (FileNotFoundError, PartsLost):
            self._stored = Content()
            await self._rewind()
        if self._stored.parts:
            self._id = ""
            await self._commit(Content(offset=self._upload.bytes), kept=0)

    async def finish(self, record: str, counted: int) -> None:
        """Mark the upload as complete. Raises Fenced."""
        await self._patiently(lambda: self._records.finish(self._opened, record, counted))

    async def renew(self) -> None:
        """Renew the lease. Another writer that has it is noticed by the next call that stores something."""
        with suppress(Fenced):
            await self._records.renew(self._opened)

    async def close(self) -> None:
        """Store what was received, unless a checksum is missing, and let other writers open the upload."""
        try:
            if not self._failed and not self._verified:
                await self.sync()
            else:
                await self._settle()
        except (MatteboxError, OSError) as exc:
            _log.warning("upload %s: the last bytes of a request are lost: %s", self._upload.id, exc)
        with suppress(MatteboxError, OSError):
            if not self._failed:
                await in_part_thread(self._remove_old)
        with suppress(MatteboxError):
            await self._records.close(self._opened)
        if self._spool is not None:
            self._spool.close()

    def _remove_old(self) -> None:
        for name in self._names - {name for name, _ in self._stored.tail}:
            self._storage.remove(keys.upload_tail(self._upload.id, name))
        if self._id and not self._stored.multipart:
            self._multipart.abort(self._key, self._id)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of a call of Redis, repeated while Redis is unavailable, for a few seconds."""
        until_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                return await call()
            except StoreDown:
                if asyncio.get_running_loop().time() > until_s:
                    raise
            await asyncio.sleep(_PAUSE_S)
