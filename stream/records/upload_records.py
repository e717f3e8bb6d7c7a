"""The records in Redis of uploads that web stores in a bucket, so that any web process can continue them.

An upload has one writer at a time: `open` gives it a lease of 5 s, which `renew` and every other call extend. When a
lease has expired, another writer may open the upload; from then on calls of the old writer raise Fenced. Every writer
has a random id, so this holds even if Redis loses its last writes in a failover. Knows nothing about buckets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from stream.errors import Fenced, MatteboxError
from stream.records.jobs import OVER_QUOTA, TOO_MANY
from stream.records.redis_link import RedisLink


@dataclass(frozen=True)
class Content:
    """What is stored of an upload. offset: the number of bytes.

    multipart: id of its multipart upload; "" if it has none. parts: number of its parts, each of `part_bytes` bytes.
    tail: name and size of each object that holds the bytes after the parts, in order.
    """

    multipart: str = ""
    parts: int = 0
    tail: tuple[tuple[str, int], ...] = ()
    offset: int = 0


@dataclass(frozen=True)
class OpenUpload:
    """An upload opened by one writer, whose id is random, and what was stored then. part_bytes: size of its parts."""

    id: str
    writer: str
    content: Content
    part_bytes: int


@dataclass(frozen=True)
class FoundUpload:
    """record: as JSON. offset: number of bytes stored. expires_s: Unix time, by the clock of Redis."""

    record: str
    offset: int
    expires_s: float


class Busy(MatteboxError):  # noqa: N818 - error names state what went wrong, without "Error"
    """Another connection is writing to the upload."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__("another connection is writing to this upload")


class LimitReached(Exception):  # noqa: N818
    """The owner has as many uploads as allowed, or `used` bytes, to which no more may be added. too_many: which."""

    def __init__(self, too_many: bool, used: int) -> None:
        super().__init__()
        self.too_many, self.used = too_many, used


class UploadRecords:
    """keep_s: how long an upload is kept after its last use. Every method may raise StoreDown."""

    def __init__(self, link: RedisLink, keep_s: float) -> None:
        self._link, self._keys, self._keep_s = link, link.keys, keep_s

    async def create(
        self, id: str, owner: str, record: str, size: int, part_bytes: int, *, quota: int, most: int
    ) -> float:
        """Store a new upload of `size` bytes. Returns when it expires, in Unix time. Raises LimitReached if the owner
        would have more than `quota` bytes or `most` uploads."""
        values = (id, owner, record, size, part_bytes, self._keep_s, quota, most)
        problem, value = await self._link.run("upload/create", *values)
        if problem in (TOO_MANY, OVER_QUOTA):
            raise LimitReached(problem == TOO_MANY, int(float(value)))
        return float(value)

    async def find(self, id: str) -> FoundUpload | None:
        fields = ("record", "offset", "expires_s")
        record, offset, expires_s = await self._link.ask("HMGET", self._keys.upload(id), *fields)
        return FoundUpload(record, int(offset), float(expires_s)) if record else None

    async def ids_of(self, owner: str) -> list[str]:
        return list(await self._link.ask("HKEYS", self._keys.uploads_of(owner)))

    async def ids(self) -> set[str]:
        """The ids of all uploads."""
        return set(await self._link.ask("ZRANGE", self._keys.uploads, 0, -1))

    async def expired(self, ahead_s: float) -> list[str]:
        """The ids of the uploads that will have expired `ahead_s` seconds from now."""
        now_s = await self._link.now_s() + ahead_s
        return list(await self._link.ask("ZRANGEBYSCORE", self._keys.uploads, "-inf", now_s))

    async def touch(self, id: str) -> float | None:
        """Let it expire later: its time restarts. Returns when it expires; None if there is no such upload."""
        expires_s = await self._link.run("upload/touch", id, self._keep_s)
        return None if expires_s is None else float(expires_s)

    async def remove(self, id: str) -> None:
        await self._link.run("upload/remove", id)

    # For the one writer of an upload.

    async def open(self, id: str) -> OpenUpload:
        """Open an incomplete upload for writing. Raises Busy, and FileNotFoundError if it is complete or missing."""
        writer = token_hex(8)
        reply: list[Any] = await self._link.run("upload/open", id, writer)
        if reply[0] == "busy":
            raise Busy
        if reply[0] == "gone":
            raise FileNotFoundError(id)
        multipart, parts, tail, offset, part_bytes = reply[1:]
        pieces = tuple((str(name), int(size)) for name, size in json.loads(tail))
        return OpenUpload(id, writer, Content(multipart, int(parts), pieces, int(offset)), int(part_bytes))

    async def renew(self, opened: OpenUpload) -> None:
        """Raises Fenced."""
        _check(await self._link.run("upload/renew", opened.id, opened.writer))

    async def reserve(self, opened: OpenUpload) -> int:
        """A number for a part, higher than all before, which no other writer gets. Raises Fenced."""
        return int(_check(await self._link.run("upload/reserve", opened.id, opened.writer)))

    async def commit(self, opened: OpenUpload, content: Content, kept: int, parts: Sequence[str]) -> None:
        """Replace what is stored. kept: how many of the stored parts remain; `parts` follow them. Can be repeated.
        Raises Fenced."""
        tail = json.dumps(content.tail)
        head = (opened.id, opened.writer, self._keep_s, content.multipart, kept, tail, content.offset)
        _check(await self._link.run("upload/commit", *head, *parts))

    async def parts(self, id: str) -> list[str]:
        """The parts, as passed to `commit`, in order."""
        return list(await self._link.ask("LRANGE", self._keys.upload_parts(id), 0, -1))

    async def finish(self, opened: OpenUpload, record: str, counted: int) -> None:
        """Mark it as complete. counted: bytes that count for its owner. Raises Fenced."""
        _check(await self._link.run("upload/finish", opened.id, opened.writer, record, counted, self._keep_s))

    async def close(self, opened: OpenUpload) -> None:
        """Give up the lease, so that the next writer need not wait for its end."""
        await self._link.run("upload/close", opened.id, opened.writer)


def _check(reply: Any) -> Any:
    if not reply:
        raise Fenced("another connection has continued this upload")
    return reply
