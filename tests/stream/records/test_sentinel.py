"""The link to a master that Sentinel watches: it follows every failover, and no call hangs on the old master."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from stream.errors import ServerError, StoreDown
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from stream.records.redis_check import check
from stream.records.redis_link import RedisLink
from tests.sentinels import MASTER, Group, sentinel_group
from tests.servers import asynctest
from tests.stream.records.live import live, new

pytestmark = [pytest.mark.slow, pytest.mark.clocked]

PASSWORD, SENTINEL_PASSWORD = "of the/servers", "of the:sentinels"
LIMIT_S = 15.0


@pytest.fixture(scope="module")
def group() -> Iterator[Group]:
    with sentinel_group(PASSWORD, SENTINEL_PASSWORD) as group:
        yield group


@asynccontextmanager
async def connected(group: Group, count: int = 1) -> AsyncIterator[list[LiveStore]]:
    opened = [LiveStore(group.url()) for _ in range(count)]
    try:
        yield opened
    finally:
        for store in opened:
            await store.close()


async def works_again(web: LiveStore, worker: LiveStore) -> float:
    """Seconds until a whole session works: an offer, its answer, and its state."""
    began_s = time.monotonic()
    while True:
        try:
            await live(web, worker, new())
            return time.monotonic() - began_s
        except (StoreDown, AssertionError):
            assert time.monotonic() - began_s < LIMIT_S
            await asyncio.sleep(0.1)


@asynctest
async def test_a_master_that_was_demoted_is_left(group: Group) -> None:
    """It still answers, but refuses writes; and the new master has none of the scripts."""
    async with connected(group, 2) as (web, worker):
        session = await live(web, worker, new())
        await asyncio.gather(*(web.ping() for _ in range(8)))  # several connections to the old master
        old = await asyncio.to_thread(group.master)
        group.fail_over()
        assert await asyncio.to_thread(group.master_other_than, old) != old
        assert await works_again(web, worker) < LIMIT_S
        assert await worker.renew([session]) == set()
        assert await web.session(session.id) == session


@asynctest
async def test_no_call_hangs_on_a_master_that_does_not_answer(group: Group) -> None:
    async with connected(group, 2) as (web, worker):
        session = await live(web, worker, new())
        old = await asyncio.to_thread(group.master)
        waits = [asyncio.create_task(worker.take("w1", 30)), asyncio.create_task(worker.commands("w1", 30))]
        await asyncio.sleep(0.1)
        group.freeze(old)
        try:
            began_s = time.monotonic()
            ended = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(end, StoreDown) for end in ended), ended
            assert time.monotonic() - began_s < 4
            assert await works_again(web, worker) < LIMIT_S
            assert await worker.renew([session]) == set()
        finally:
            group.thaw(old)
        assert await asyncio.to_thread(group.replicas) == [old]
        await web.beat(Worker(id="w1"))
        assert [seen.id for seen in await worker.workers()] == ["w1"]


@asynctest
async def test_a_sentinel_that_does_not_answer_delays_nobody(group: Group) -> None:
    frozen = next(iter(group.sentinels.values()))
    frozen.send_signal(signal.SIGSTOP)
    try:
        async with connected(group) as (store,):
            began_s = time.monotonic()
            assert await store.ping()
            assert time.monotonic() - began_s < 0.4
    finally:
        frozen.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("?sentinel_password=of%20the%3Asentinels", "", "the sentinels require a password"),
        ("of%20the%3Asentinels", "wrong", "sentinel_username or sentinel_password is wrong"),
        ("of%20the%2Fservers", "wrong", "the user or the password is wrong"),
        (f"/{MASTER}/", "/others/", "the sentinels watch no master with that name"),
        ("redis+", "rediss+", "it does not use TLS"),
    ],
)
@asynctest
async def test_a_problem_is_reported_in_one_line(group: Group, old: str, new: str, line: str) -> None:
    assert old in group.url()
    text = await problem(group.url().replace(old, new))
    assert line in text
    assert "\n" not in text
    assert "%" not in text, "no password is repeated"


@asynctest
async def test_a_sentinel_taken_for_a_server_and_the_reverse(group: Group) -> None:
    sentinel, server = next(iter(group.sentinels)), await asyncio.to_thread(group.master)
    login = "of%20the%3Asentinels"
    assert "it is a sentinel: write redis+sentinel://" in await problem(f"redis://:{login}@127.0.0.1:{sentinel}")
    url = f"redis+sentinel://127.0.0.1:{server}/{MASTER}?sentinel_password=of%20the%2Fservers"
    assert "it is a Redis server, not a sentinel" in await problem(url)


async def problem(url: str) -> str:
    link = RedisLink(url)
    try:
        with pytest.raises(ServerError) as caught:
            await check(link)
    finally:
        await link.close()
    return str(caught.value)
