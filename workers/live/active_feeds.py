"""The feeds of a worker: claimed from Redis, renewed, changed, reported, and handed back when the worker shuts down.

Runs on the event loop. While Redis is unavailable, running feeds continue. A feed that this worker no longer owns is
ended at once, because another worker sends to its outputs then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from stream.errors import Fenced, MatteboxError, NoFeed, UsageError, without_paths
from stream.fetch.gateway import Gateway
from stream.loops import Loops
from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.feeds import ClaimedFeed, Feed
from stream.records.live import ENGINE_FAILED, USAGE, FeedCounts
from stream.records.live_store import LiveStore
from stream.records.versions import can_process
from stream.settings import Settings
from workers.live.feed import LiveFeed
from workers.live.pool import Engines
from workers.live.stored import stored
from workers.live.streams import Streams
from workers.scene.composite import untouched

_log = logging.getLogger(__name__)
_RETRY_S = 0.5
_HAND_BACK_S = 2.0  # then the lease expires


class ActiveFeeds:
    """The worker's feeds by id. live: the store of the streams on this server, which may be sources."""

    def __init__(
        self, settings: Settings, engines: Engines, store: FeedStore, live: LiveStore, worker_id: str, loops: Loops
    ) -> None:
        self._settings, self._engines, self._store, self._live = settings, engines, store, live
        self._worker_id, self._loops = worker_id, loops
        self._held: dict[str, ClaimedFeed] = {}
        self._feeds: dict[str, LiveFeed] = {}
        self._ended_counts = FeedCounts()
        self._gateway: Gateway | None = None
        self._leaving = False

    def _proxy(self) -> str:
        """The URL of the gateway for sources over HTTP, which is opened for the first feed."""
        self._gateway = self._gateway or Gateway(self._settings)
        return self._gateway.url

    def __len__(self) -> int:
        return len(self._held)

    @property
    def matted(self) -> int:
        """The number of feeds that need mattes. One that sends its source on unchanged leaves the room of a video to
        others: its source may be the very stream that waits for this worker."""
        return sum(not untouched(claimed.feed.options) for claimed in self._held.values())

    def counts(self) -> FeedCounts:
        """What all feeds did since the worker's start, also those that it no longer runs."""
        return sum((running.counts() for running in self._feeds.values()), start=self._ended_counts)

    async def claim(self, unmatted: bool) -> None:
        """Take the next feed that waits, if any, and start it. unmatted: only one that needs no mattes. Raises
        StoreDown."""
        claimed = await self._store.claim(self._worker_id, unmatted)
        if claimed is None:
            return
        if self._leaving:
            await self._release(claimed.feed, self._store.hand_back)
            return
        running = self._feeds.get(claimed.feed.id)
        self._held[claimed.feed.id] = claimed
        if running is None:
            self._loops.start(self._start(claimed))
        else:  # its lease had expired before this worker could renew it
            self._loops.start(self._apply(running, claimed))

    async def _start(self, claimed: ClaimedFeed) -> None:
        feed = claimed.feed
        _log.info("feed %s (%s) from %s", feed.id, feed.name, feed.source)
        try:
            engine, streams = self._engines.ready(feed.options), Streams(self._live, self._settings)
            running = LiveFeed(claimed, self._settings, engine, self._proxy(), streams, self._ended)
            running.start()
        except MatteboxError as exc:
            self._held.pop(feed.id, None)
            detail = without_paths(str(exc))
            await self._release(feed, lambda owned: self._store.fail(owned, USAGE, detail))
            return
        except Exception:  # noqa: BLE001 - a bug, or a machine without threads left: another worker tries
            _log.exception("feed %s does not start", feed.id)
            self._held.pop(feed.id, None)
            await self._release(feed, lambda owned: self._store.crashed(owned, ENGINE_FAILED))
            return
        self._feeds[feed.id] = running
        await running.change(claimed, engine)
        if engine is None:
            await self._engines.provide(running, feed.options, f"feed {running.id}")

    async def renew(self) -> None:
        """Renew all leases; end the feeds that were lost, and apply the changes of others. Raises StoreDown."""
        held = dict(self._held)
        lost, changed = await self._store.renew(list(held.values()))
        for feed_id in lost:
            if (current := self._held.get(feed_id)) and current.feed.fence == held[feed_id].feed.fence:
                self._loops.start(self._end_lost(feed_id))  # else it was claimed again meanwhile
        for feed_id in changed:
            await self._change(feed_id)

    async def _end_lost(self, feed_id: str) -> None:
        """End a feed that was stopped, removed, or taken by another worker."""
        self._held.pop(feed_id, None)
        if (running := self._forget(feed_id)) is not None:
            _log.info("feed %s was stopped, or belongs to another worker now", feed_id)
            await running.end(at_once=True)

    async def _change(self, feed_id: str) -> None:
        held, running = self._held.get(feed_id), self._feeds.get(feed_id)
        if held is None or running is None:
            return
        try:
            claimed = await self._store.read(held.feed)
        except (Fenced, NoFeed):  # the next `renew` ends it
            return
        self._held[feed_id] = claimed
        if not can_process(claimed.feed, claimed.feed.options.engine):
            _log.warning("feed %s was changed by a newer version, and is left to a newer worker", feed_id)
            await self._give_up(feed_id, self._store.leave)
            return
        self._loops.start(self._apply(running, claimed))

    async def _apply(self, running: LiveFeed, claimed: ClaimedFeed) -> None:
        options = claimed.feed.options
        try:
            engine = self._engines.ready(options)
        except UsageError as exc:  # outputs that were removed or paused must not wait for it
            kept = claimed.feed.model_copy(update={"options": running.options})
            await running.change(replace(claimed, feed=kept), None)
            running.notice = str(exc)
            return
        await running.change(claimed, engine)
        if engine is None:
            await self._engines.provide(running, options, f"feed {running.id}")

    async def report(self) -> None:
        """Store the states and meters of all feeds. Raises StoreDown."""
        for feed_id, running in list(self._feeds.items()):
            if (held := self._held.get(feed_id)) is not None:
                with suppress(Fenced, NoFeed):  # the next `renew` ends it
                    await self._store.report(held.feed, running.report())

    async def serve_pictures(self) -> None:
        """Answer requests for pictures of feeds until cancelled. Raises StoreDown."""
        await FeedPictures(self._live.link).serve(self._worker_id, self._picture)

    async def _picture(self, feed_id: str) -> bytes:
        running = self._feeds.get(feed_id)
        return b"" if running is None else await asyncio.to_thread(running.picture)

    def _forget(self, feed_id: str) -> LiveFeed | None:
        """Take a feed out of those that run, but keep its counts."""
        running = self._feeds.pop(feed_id, None)
        if running is not None:
            self._ended_counts += running.counts()
        return running

    def _ended(self, feed_id: str) -> None:
        held, running = self._held.pop(feed_id, None), self._forget(feed_id)
        if held is not None and running is not None:
            feed = held.feed
            self._loops.start(self._release(feed, lambda owned: self._store.crashed(owned, ENGINE_FAILED)))

    async def hand_back_all(self) -> None:
        """End all feeds, each then waiting for another worker, and take no more."""
        self._leaving = True
        await asyncio.gather(*(self._hand_back(feed_id) for feed_id in list(self._held)))
        if self._gateway is not None:
            await asyncio.to_thread(self._gateway.close)
            self._gateway = None

    async def _hand_back(self, feed_id: str) -> None:
        await self._give_up(feed_id, self._store.hand_back)

    async def _give_up(self, feed_id: str, release: Callable[[Feed], Awaitable[None]]) -> None:
        """End a feed, and then let another worker take it."""
        held, running = self._held.get(feed_id), self._forget(feed_id)
        if running is not None:
            await running.end(at_once=False)
        self._held.pop(feed_id, None)
        if held is not None:
            await self._release(held.feed, release)

    async def _release(self, feed: Feed, release: Callable[[Feed], Awaitable[None]]) -> None:
        """Give the feed up. If Redis is unavailable meanwhile, its lease expires."""
        with suppress(Fenced, NoFeed):  # it was stopped or removed meanwhile
            await stored(lambda: release(feed), _RETRY_S, _HAND_BACK_S)
