"""Feeds that fail."""

from stream.records import lifetimes
from stream.records.feed_store import FeedStore
from tests.web.running_site import Site


def give_up(site: Site, reason: str) -> None:
    """What a worker reports after errors that repeat, about the feed that waits."""

    async def crash() -> None:
        feeds = FeedStore(site.context.store.link)
        for _ in range(lifetimes.FEED_LOSSES):
            claimed = await feeds.claim("w1")
            assert claimed is not None
            await feeds.crashed(claimed.feed, reason)

    site.call(crash())
