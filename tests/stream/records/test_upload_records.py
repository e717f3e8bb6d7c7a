"""Records of uploads: one writer at a time, whatever another does that does not know it was replaced."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.errors import Fenced
from stream.records.redis_link import RedisLink
from stream.records.upload_records import Busy, Content, LimitReached, UploadRecords
from tests.servers import KEYS, RedisServer, asynctest

KEEP_S = 600.0
HALF = Content("multi", 1, (("w-1", 7),), 17)


@asynccontextmanager
async def upload_records(server: RedisServer) -> AsyncIterator[UploadRecords]:
    link = RedisLink(server.url)
    try:
        yield UploadRecords(link, KEEP_S)
    finally:
        await link.close()


async def created(records: UploadRecords, id: str = "u", owner: str = "ann", size: int = 30) -> None:
    await records.create(id, owner, f"record of {id}", size, 10, quota=100, most=4)


def expire_lease(server: RedisServer, id: str = "u") -> None:
    """As if its writer had been stopped for longer than that."""
    with server.client() as client:
        client.hset(KEYS.upload(id), "lease_until_s", "1")


@asynctest
async def test_an_upload_from_creation_to_removal(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records)
        opened = await records.open("u")
        assert (opened.content, opened.part_bytes) == (Content(), 10)
        assert [await records.reserve(opened) for _ in range(2)] == [1, 2]
        for _ in range(2):  # a repeat: the first reply was lost
            await records.commit(opened, HALF, 0, ["2 tag"])
        await records.close(opened)
        found = await records.find("u")
        assert found is not None
        assert (found.record, found.offset) == ("record of u", 17)
        again = await records.open("u")
        assert (again.content, await records.parts("u")) == (HALF, ["2 tag"])
        await records.commit(again, Content("multi", 2, (), 30), 1, ["3 other"])
        assert await records.parts("u") == ["2 tag", "3 other"]
        await records.finish(again, "complete", 30)
        with pytest.raises(FileNotFoundError):
            await records.open("u")
        assert await records.ids_of("ann") == ["u"]
        await records.remove("u")
        assert await records.find("u") is None
        with server.client() as client:
            assert client.keys("*") == []


@asynctest
async def test_a_second_writer_waits_for_the_end_of_the_lease(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records)
        first = await records.open("u")
        with pytest.raises(Busy):
            await records.open("u")
        expire_lease(server)
        await records.renew(first)
        with pytest.raises(Busy):
            await records.open("u")
        await records.close(first)
        await records.open("u")


@asynctest
async def test_a_writer_that_was_replaced_changes_nothing(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records)
        old = await records.open("u")
        number = await records.reserve(old)
        expire_lease(server)
        new = await records.open("u")
        assert await records.reserve(new) > number
        await records.commit(new, HALF, 0, ["2 tag"])
        for late in (
            records.commit(old, Content("other", 1, (), 10), 0, ["1 late"]),
            records.reserve(old),
            records.renew(old),
            records.finish(old, "late", 30),
        ):
            with pytest.raises(Fenced):
                await late
        await records.close(old)
        with pytest.raises(Busy):
            await records.open("u")
        assert await records.parts("u") == ["2 tag"]
        assert (await records.find("u")) is not None


@asynctest
async def test_a_rollback_removes_parts(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records)
        opened = await records.open("u")
        await records.commit(opened, Content("multi", 2, (), 20), 0, ["1 a", "2 b"])
        await records.commit(opened, Content("multi", 1, (), 10), 1, [])
        assert await records.parts("u") == ["1 a"]
        await records.commit(opened, Content("multi"), 0, [])
        assert await records.parts("u") == []


@asynctest
async def test_an_owners_limits(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records, "a", size=60)
        await created(records, "a", size=60)  # a repeat counts once
        with pytest.raises(LimitReached) as refused:
            await created(records, "b", size=41)
        assert (refused.value.too_many, refused.value.used) == (False, 60)
        await created(records, "b", "bob", size=41)
        opened = await records.open("a")
        await records.finish(opened, "unusable", 0)
        for id in "cde":
            await created(records, id, size=0)
        with pytest.raises(LimitReached) as refused:
            await created(records, "f", size=0)
        assert refused.value.too_many
        with server.client() as client:
            client.delete(KEYS.upload("c"))  # it has expired
        await created(records, "f", size=0)


@asynctest
async def test_expiry(server: RedisServer) -> None:
    async with upload_records(server) as records:
        await created(records, "a")
        await created(records, "b")
        assert await records.ids() == {"a", "b"}
        assert (await records.expired(KEEP_S - 60), sorted(await records.expired(KEEP_S + 60))) == ([], ["a", "b"])
        longer = UploadRecords(RedisLink(server.url), 2 * KEEP_S)
        expires_s = await longer.touch("a")
        found = await records.find("a")
        assert found is not None
        assert found.expires_s == expires_s
        assert await records.expired(KEEP_S + 60) == ["b"]
        assert await records.touch("c") is None
        await longer._link.close()
        with server.client() as client:
            assert all(client.ttl(key) > KEEP_S for key in client.keys("*"))
