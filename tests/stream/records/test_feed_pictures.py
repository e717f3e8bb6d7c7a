"""Pictures of feeds between workers and web, through a real Redis that keeps nothing of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.errors import StoreDown
from stream.records import feed_pictures
from stream.records.feed_pictures import FeedPictures
from stream.records.redis_link import RedisLink
from tests.servers import RedisServer, asynctest

JPEG = bytes(range(256)) * 80


@asynccontextmanager
async def serving(server: RedisServer, worker: str, pictures: dict[str, bytes]) -> AsyncIterator[FeedPictures]:
    """A worker that has these pictures, and web."""

    async def draw(feed: str) -> bytes:
        return pictures.get(feed, b"")

    of_web, of_worker = RedisLink(server.url), RedisLink(server.url)
    task = asyncio.create_task(FeedPictures(of_worker).serve(worker, draw))
    while not await of_web.ask("PUBSUB", "CHANNELS", f"*{worker}"):
        await asyncio.sleep(0.01)
    try:
        yield FeedPictures(of_web)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await of_web.close()
        await of_worker.close()


@asynctest
async def test_a_picture_goes_from_the_worker_to_web_and_stays_nowhere(server: RedisServer) -> None:
    async with serving(server, "w1", {"a": JPEG, "b": JPEG[:1000]}) as web:
        with server.client() as raw:
            before = raw.keys()
            found = await asyncio.gather(*(web.picture("w1", feed) for feed in "abab"))
            assert found == [JPEG, JPEG[:1000]] * 2
            assert await web.picture("w1", "unknown") == b""
            assert raw.keys() == before
            while raw.pubsub_channels("*picture:*"):  # until the server has noticed that web listens no longer
                await asyncio.sleep(0.01)


@asynctest
async def test_a_worker_that_does_not_listen_has_no_picture(server: RedisServer) -> None:
    async with serving(server, "w2", {"a": JPEG}) as web:
        assert await web.picture("gone", "a") == b""


@pytest.mark.long
@asynctest
async def test_requests_are_answered_after_a_pause(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subscription is checked while there are no requests."""
    monkeypatch.setattr(feed_pictures, "_POLL_S", 0.05)
    async with serving(server, "w3", {"a": JPEG}) as web:
        await asyncio.sleep(0.5)
        assert await web.picture("w3", "a") == JPEG


async def none(feed: str) -> bytes:
    return b""


@asynctest
async def test_without_redis_there_is_an_outage(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_pictures, "_POLL_S", 0.05)
    link = RedisLink(own_server.url)
    pictures = FeedPictures(link)
    assert await pictures.picture("gone", "a") == b""
    serving = asyncio.ensure_future(pictures.serve("w1", none))
    while not await link.ask("PUBSUB", "CHANNELS", "*"):
        await asyncio.sleep(0.01)
    own_server.freeze()
    with pytest.raises(StoreDown):
        await serving
    own_server.thaw()
    own_server.kill()
    with pytest.raises(StoreDown):
        await pictures.picture("gone", "a")
    with pytest.raises(StoreDown):
        await pictures.serve("w1", none)
    await link.close()
