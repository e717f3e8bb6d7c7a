"""A worker for live video: takes offers and feeds while it has capacity, runs them, and ends them when it is drained.

Runs on the event loop. Running videos do not need Redis: while it is unavailable they continue, no new ones are taken,
and changes of state are stored later.
"""

import asyncio
import logging
from contextlib import suppress

from stream.loops import Loops, start
from stream.records.feed_store import FeedStore
from stream.records.live import DRAINED, WORKER_LOST
from stream.records.live_store import LiveStore
from stream.records.options import Options
from stream.serve.heartbeat import Health
from stream.settings import Settings
from workers import choosers
from workers.device import threads
from workers.lifecycle import Lifecycle
from workers.live import capacity
from workers.live.active_feeds import ActiveFeeds
from workers.live.active_videos import ActiveVideos
from workers.live.pool import Engines
from workers.live.sessions import Sessions

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_RENEW_FEEDS_S = 0.5
_PICTURES_S = 1.0  # until requests for pictures are listened to again, after an outage of Redis
_WAIT_S = 1.0  # for a command, in one call
_TAKE_S = 0.25  # for an offer, in one call; a worker that is shutting down waits for its end
_TAKEN_S = 3.0  # for the end of that call while Redis is slow
_FULL_S = 0.2  # until a full worker checks again for room
_ENDED_S = 0.1  # until a worker that is shutting down checks again whether its videos have ended
_DRAIN_S = 2.0  # to store the last states


class LiveWorker:
    """store: is not closed by the worker."""

    def __init__(self, settings: Settings, store: LiveStore) -> None:
        self._settings, self._store = settings, store
        self._loops = Loops(_log, "running videos continue")
        self._life = Lifecycle("live", store, self._loops, self._meters)
        self._engines = Engines(settings)
        self._load = capacity.Load(settings.cores())
        self._sessions = Sessions(self._life.worker_id, store, self._loops)
        self._videos = ActiveVideos(settings, self._engines, self._sessions)
        feeds = FeedStore(store.link)
        self._feeds = ActiveFeeds(settings, self._engines, feeds, store, self._life.worker_id, self._loops)
        self._warm = False

    async def warm(self) -> None:
        """Load the engine for the default options and measure the capacity. Raises WeightsError, UsageError."""
        threads.apply(self._settings)
        engine = await self._engines.get(Options())
        videos = await asyncio.to_thread(capacity.videos, engine, self._settings)
        found = {"engine": engine.name, "device": engine.device, "choosers": choosers.installed()}
        self._life.update(capacity=videos, **found)
        self._warm = True
        _log.info("engine %s on %s: room for %d videos", engine.name, engine.device, videos)

    def health(self) -> Health:
        """For the heartbeats to the supervisor. Does not depend on Redis."""
        return self._engines.health(serving=self._running() > 0) if self._warm else Health.STARTING

    async def run_until_stopped(self) -> None:
        """`run` until SIGTERM, SIGINT or SIGHUP; a second signal ends the process at once."""
        await self._life.run_until_stopped(self.run)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then take no more offers, hand feeds back, end every video as DRAINED unless it
        ends by itself within `drain_s`, and return."""
        videos = (self._renew, _EVERY_S), (self._report, _EVERY_S), (self._obey, 0.0)
        feeds = (self._feeds.renew, _RENEW_FEEDS_S), (self._feeds.report, _EVERY_S)
        pictures = self._feeds.serve_pictures, _PICTURES_S
        async with self._life.serving(stop, self._reap, *videos, *feeds, pictures):
            taking = start(self._loops.repeat(self._take, until=stop), _log)
            try:
                await stop.wait()
                await self._drain(taking)
            finally:
                taking.cancel()
        await self._engines.close()

    async def _drain(self, taking: "asyncio.Task[None]") -> None:
        """taking: the task that takes offers. It is not cancelled: that could lose an offer just received."""
        await self._loops.attempt(self._life.beat)
        await asyncio.gather(self._end_videos(), self._feeds.hand_back_all())
        await asyncio.wait([taking], timeout=_TAKEN_S)
        await self._loops.settle(_DRAIN_S)

    async def _end_videos(self) -> None:
        """Give the running videos `drain_s` to end by themselves, because another worker cannot take over a connection;
        a feed it can."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                while len(self._videos):
                    await asyncio.sleep(_ENDED_S)
        await self._videos.end_all(DRAINED)

    def _meters(self) -> dict[str, object]:
        """Fields of `Worker`."""
        load = round(self._load(), 3)
        failures = dict(self._sessions.failures)
        own = {"load": load, "sessions": self._running(), "failures": failures, "feeds": self._feeds.counts()}
        return own | self._engines.meters() | capacity.memory()

    async def _reap(self) -> None:
        for session in await self._store.reap():
            _log.info("session %s: %s", session.id, session.reason)

    async def _renew(self) -> None:
        for session_id in await self._sessions.renew():
            self._loops.start(self._videos.end(session_id, WORKER_LOST))

    async def _report(self) -> None:
        load = {"load": self._life.record.load}
        await self._sessions.report(
            {id: meters.model_copy(update=load) for id, meters in self._videos.meters().items()}
        )

    async def _take(self) -> None:
        if not self._has_capacity():
            await self._claim(unmatted=True)
            await asyncio.sleep(_FULL_S)
            return
        taken = await self._store.take(self._life.worker_id, _TAKE_S)
        if taken is None:
            await self._claim(unmatted=False)  # offers come first, because a client is waiting
            return
        if self._life.leaving.is_set():
            await self._sessions.hand_back(*taken)
        else:
            self._loops.start(self._videos.start(*taken))

    async def _claim(self, unmatted: bool) -> None:
        if not self._running() or capacity.has_capacity(self._life.record.load):
            await self._feeds.claim(unmatted)

    def _running(self) -> int:
        """Number of videos and feeds."""
        return len(self._videos) + len(self._feeds)

    def _has_capacity(self) -> bool:
        videos, record = len(self._videos) + self._feeds.matted, self._life.record
        return videos < record.capacity and (not videos or capacity.has_capacity(record.load))

    async def _obey(self) -> None:
        for command in await self._store.commands(self._life.worker_id, _WAIT_S):
            self._loops.start(self._videos.obey(command))
