"""Calls that a server refuses for a while, of every kind: each raises StoreDown, and later ones work."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from stream.errors import StoreDown
from stream.records.redis_link import RedisLink, is_outage, reason
from stream.records.redis_sentinel import current_master
from tests.refusals import REFUSALS
from tests.servers import RedisServer, asynctest

SECRET = "private-title"
Call = Callable[[RedisLink], Awaitable[object]]


async def plain(link: RedisLink) -> object:
    return await link.ask("SET", "title", SECRET)


async def pipeline(link: RedisLink, transaction: bool = False) -> object:
    pipe = link.pipeline(transaction)
    pipe.get("title")
    pipe.set("title", SECRET)
    pipe.set("other", SECRET)
    return await link.call(pipe.execute())


async def transaction(link: RedisLink) -> object:
    return await pipeline(link, transaction=True)


async def script(link: RedisLink) -> object:
    return await link.run("live/send", "w1", SECRET)


CALLS: tuple[Call, ...] = (plain, pipeline, transaction, script)


@asynccontextmanager
async def linked(server: RedisServer) -> AsyncIterator[RedisLink]:
    link = RedisLink(server.url)
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.parametrize(
    "kind",
    # a paused server is noticed by the limit of replies
    [pytest.param(kind, marks=pytest.mark.clocked) if kind == "paused" else kind for kind in REFUSALS],
)
@asynctest
async def test_a_server_that_refuses_calls_counts_as_down(own_server: RedisServer, kind: str) -> None:
    refusal = REFUSALS[kind]
    async with linked(own_server) as link:
        for call in CALLS:
            await call(link)
        assert await link.ping()
        await asyncio.to_thread(refusal.begin, own_server)
        for outcome in await asyncio.gather(*(call(link) for call in CALLS), return_exceptions=True):
            assert isinstance(outcome, StoreDown), repr(outcome)
            assert re.fullmatch(rf"Redis at [^ ]+: ({refusal.reply})[^\n]*", str(outcome)), outcome
            assert SECRET not in str(outcome)
        assert not await link.ping()
        if refusal.end is not None:
            await asyncio.to_thread(refusal.end, own_server)
            for call in CALLS:
                await call(link)
            assert await link.ping()


@asynctest
async def test_a_transaction_that_is_refused_at_its_end(own_server: RedisServer) -> None:
    async with linked(own_server) as link:
        await link.ask("MULTI")  # the calls share the pool's only connection
        await link.ask("SET", "a", "1")
        with own_server.client() as raw:
            raw.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreDown, match="EXECABORT"):
            await link.ask("EXEC")


@asynctest
async def test_a_call_that_waits_while_its_server_becomes_a_replica(own_server: RedisServer) -> None:
    async with linked(own_server) as link:
        waiting = asyncio.create_task(link.ask("BLPOP", "queue", 1, wait_s=1))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(REFUSALS["replica"].begin, own_server)
        with pytest.raises(StoreDown, match=r"UNBLOCKED|READONLY"):
            await waiting


@pytest.mark.parametrize("call", [("SET", "a"), ("NOSUCH",), ("LPUSH", "text", "x"), ("EVAL", "error('odd')", 0)])
@asynctest
async def test_a_call_that_is_wrong_is_no_outage(server: RedisServer, call: tuple[str | float, ...]) -> None:
    async with linked(server) as link:
        await link.ask("SET", "text", "OOM")
        with pytest.raises(ResponseError) as caught:
            await link.ask(*call)
        assert not is_outage(caught.value)


@asynctest
async def test_values_in_a_command_are_not_mistaken_for_a_reply(server: RedisServer) -> None:
    """A pipeline's error quotes the command, with its values."""
    async with linked(server) as link:
        await link.ask("SET", "text", "")
        pipe = link.pipeline()
        pipe.lpush("text", "NOREPLICAS of pipeline caused error: ('OOM")
        with pytest.raises(ResponseError, match="OOM") as caught:
            await link.call(pipe.execute())
        assert reason(caught.value).startswith("WRONGTYPE")


def sentinel_state(port: int, epoch: int, **flags: bool) -> dict[str, object]:
    """What a sentinel says about the master."""
    well = {"is_master": True, "is_sdown": False, "is_odown": False}
    return {"ip": "127.0.0.1", "port": port, "config-epoch": epoch} | well | flags


@pytest.mark.parametrize(
    ("states", "port"),
    [
        ([sentinel_state(1, 4)], 1),
        ([sentinel_state(1, 4), sentinel_state(2, 5)], 2),  # the first one was cut off during the failover
        ([sentinel_state(2, 5, is_sdown=True), sentinel_state(2, 5)], 2),  # the first one is not connected to it yet
        ([sentinel_state(2, 5, is_sdown=True, is_odown=True), sentinel_state(2, 5)], 2),
        ([sentinel_state(2, 5, is_sdown=True), sentinel_state(2, 5, is_odown=True)], None),
        ([sentinel_state(1, 4), sentinel_state(2, 5, is_sdown=True)], None),  # not the old one
        ([sentinel_state(2, 5, is_master=False)], None),
    ],
)
def test_the_master_that_sentinels_name(states: list[dict[str, object]], port: int | None) -> None:
    assert current_master(states) == (port and ("127.0.0.1", port))
