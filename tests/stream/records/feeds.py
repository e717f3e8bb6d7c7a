"""Feeds for tests of the feed store."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

from stream.records.feed_store import FeedStore
from stream.records.feeds import ClaimedFeed, Feed, FeedOutput, FeedSecrets, OutputSecret
from tests.servers import RedisServer

SECRETS = FeedSecrets(
    "rtsp://ann:pass-word@camera.example/cam", {"0000000a": OutputSecret(url="rtmp://live.example/app/stream-key")}
)
MOST = 100


def new_feed(name: str = "stage", **fields: Any) -> Feed:
    output = FeedOutput(id="0000000a", address="rtmp://live.example")
    known = {"id": str(uuid4()), "owner": "ann", "source": "rtsp://camera.example/cam", "outputs": (output,)}
    return Feed.model_validate(known | {"name": name} | fields)


async def created(store: FeedStore, name: str = "stage", **fields: Any) -> Feed:
    return await store.create(new_feed(name, **fields), SECRETS, MOST)


async def claimed(store: FeedStore, worker: str = "w1") -> ClaimedFeed:
    """The next feed, which must be waiting."""
    found = await store.claim(worker)
    assert found is not None
    return found


@asynccontextmanager
async def stores(server: RedisServer, count: int = 1) -> AsyncIterator[list[FeedStore]]:
    async with AsyncExitStack() as cleanup:
        opened = [FeedStore(server.url) for _ in range(count)]
        for store in opened:
            cleanup.push_async_callback(store.close)
        yield opened
