"""The records of feeds in Redis, which web and workers share. `feeds.py` describes them.

Every state transition is one atomic script (`stream/records/lua/feed`). A worker owns a feed while the feed is RUNNING
and the `worker` and `fence` of its copy match the record: `claim` sets both and starts a lease of 3 s, which `renew`
extends every half second. When a lease expires, the next call of any process gives the feed to other workers; from then
on calls of the old owner raise Fenced. After an outage, in which no process reached Redis, owners have 3 s more.
`lua/feed/deaths.lua` decides which feed is to blame for the death of a worker.

Changes by the owner increase the record's `version`. `renew` returns it, and the worker reads the feed again: no change
is missed. Feeds have no expiry. When Redis was flushed, workers restore the feeds that they run.
"""

import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from stream.errors import FeedChanged, FeedNameTaken, Fenced, KeyReused, NoFeed, TooManyFeeds
from stream.limits import RECORD_ID
from stream.records import versions
from stream.records.feeds import (
    ClaimedFeed,
    Feed,
    FeedPage,
    FeedReport,
    FeedSecrets,
    FeedState,
    FeedSummary,
    OutputSecret,
    secret_field,
)
from stream.records.jobs import TOO_MANY
from stream.records.redis_link import RedisLink

_CURSOR = re.compile(f"([0-9]{{1,16}})_({RECORD_ID.pattern})")
_LOST, _GONE = "lost", "gone"
_LEFT = 100  # versions of feeds remembered that this version cannot process


class FeedStore:
    """Store of the feeds. One object per process, for its event loop. Every method may raise StoreDown."""

    def __init__(self, redis: str | RedisLink) -> None:
        """redis: the URL of a server (see `RedisLink`), or a shared link. Raises UsageError."""
        self._link = RedisLink(redis) if isinstance(redis, str) else redis
        self._left: deque[str] = deque(maxlen=_LEFT)
        self._keys = self._link.keys

    async def close(self) -> None:
        await self._link.close()

    # For clients that create and watch feeds.

    async def create(self, feed: Feed, secrets: FeedSecrets, most: int, key: str = "", request: str = "") -> Feed:
        """Store a new feed, which waits for a worker unless its state is STOPPED.

        most: the number of feeds that its owner may have. If the owner used the idempotency key in the last 24 h,
        returns the feed created then instead. request: a digest, by which requests under one key are compared. Raises
        TooManyFeeds, FeedNameTaken, KeyReused.
        """
        name, hidden = self._keys.feed_key(feed.owner, key) if key else "", secrets.to_fields()
        reply = await self._link.run(
            "feed/create", name, request, most, len(hidden), *hidden, *feed.to_fields(secrets)
        )  # fmt: skip
        if reply[0] == TOO_MANY:
            raise TooManyFeeds(f"you have {most} feeds, which is the limit; remove one, or change it")
        return self._feed(reply, feed)

    async def feed(self, id: str) -> Feed | None:
        found = await self._link.ask("HGETALL", self._keys.feed(id))
        return versions.attempted(Feed.from_fields, found) if found else None

    async def page(self, owner: str, limit: int, cursor: str = "") -> FeedPage:
        """The owner's next `limit` feeds, newest first. cursor: from the page before; "" starts at the newest.

        Raises ValueError for an invalid cursor.
        """
        start = _place(cursor) if cursor else ("", "")
        created, id, *records = await self._link.run("feed/page", owner, *start, limit)
        feeds = versions.readable(Feed.from_fields, (record for record in records if record))
        return FeedPage(feeds, f"{created}_{id}" if id else "")

    async def change(
        self, feed: Feed, run: bool, added: Mapping[str, OutputSecret] | None = None, removed: Collection[str] = ()
    ) -> Feed:
        """Store the name, options and outputs of this copy, and whether the feed shall run.

        feed: as it was read, with the changes. run: start it if it is STOPPED or FAILED; otherwise stop it. added,
        removed: secrets by the id of the output. Raises FeedChanged if someone else changed it meanwhile, NoFeed,
        FeedNameTaken.
        """
        gone = [secret_field(id) for id in removed]
        new = [text for id, s in (added or {}).items() for text in (secret_field(id), versions.dump_json(s))]
        outputs = json.dumps([versions.dump(output) for output in feed.outputs])
        format = max(versions.format_of(record) for record in (feed, *(added or {}).values()))
        texts = (feed.name, versions.dump_json(feed.options), outputs, format)
        runs = "1" if run else "0"
        reply = await self._link.run("feed/change", feed.id, feed.version, runs, *texts, len(gone), *gone, *new)
        return self._feed(reply, feed)

    async def remove(self, id: str) -> None:
        """Remove a feed with its secrets; its worker ends it. Raises NoFeed."""
        _check(await self._link.run("feed/remove", id), id)

    async def summary(self) -> FeedSummary:
        """How many feeds there are in each state, and what the running ones report, of all users."""
        states, reports = await self._link.run("feed/summary")
        counts = dict(zip(states[::2], states[1::2], strict=True))
        running = [versions.read_json(FeedReport, report) for report in reports]
        return FeedSummary({state: int(counts.get(state, 0)) for state in FeedState}, running)

    async def reap(self) -> None:
        """Let other workers take the feeds of lost workers. Called by web processes, about twice a second."""
        await self._link.run("feed/reap")

    # For workers.

    async def claim(self, worker: str, unmatted: bool = False) -> ClaimedFeed | None:
        """Take the feed that has waited longest of those that the worker may run: it becomes RUNNING, with a new fence
        and a lease of 3 s. None: there is none. Call it only with free capacity. unmatted: take only one that needs no
        mattes (background none). Only feeds that this version can process are taken."""
        found = await self._link.run(
            "feed/claim", worker, "1" if unmatted else "", versions.understood(), *self._left
        )  # fmt: skip
        if not found:
            return None
        claimed = _claimed(*found)
        if claimed.feed.newer:
            await self.leave(claimed.feed)
            return None
        return claimed

    async def renew(self, held: Iterable[ClaimedFeed]) -> tuple[set[str], set[str]]:
        """Renew the leases of a worker's feeds, every half second.

        Returns the ids of the feeds that the worker no longer owns and must end, and of those that were changed since
        this copy was read. Leases that expired while Redis was unreachable are renewed. Records that Redis has lost are
        restored.
        """
        feeds = {claimed.feed.id: claimed for claimed in held}
        if not feeds:
            return set(), set()
        pairs = [text for c in feeds.values() for text in (c.feed.id, str(c.feed.fence))]
        worker = next(iter(feeds.values())).feed.worker
        answers = dict(zip(feeds, await self._link.run("feed/renew", worker, *pairs), strict=True))
        lost = {id for id, answer in answers.items() if answer == _LOST}
        for id in [id for id, answer in answers.items() if answer == _GONE]:
            if not await self._restored(feeds[id]):
                lost.add(id)
        current = {id: answer for id, answer in answers.items() if answer not in (_LOST, _GONE)}
        return lost, {id for id, version in current.items() if int(version) != feeds[id].feed.version}

    async def _restored(self, claimed: ClaimedFeed) -> bool:
        hidden = claimed.secrets.to_fields()
        reply = await self._link.run("feed/restore", len(hidden), *hidden, *claimed.feed.to_fields(claimed.secrets))
        return bool(reply[0] == "ok")

    async def read(self, feed: Feed) -> ClaimedFeed:
        """The current version of a feed that this worker owns. Raises NoFeed, Fenced."""
        reply = await self._link.run("feed/read", *feed.ownership())
        _check(reply, feed.id)
        return _claimed(*reply[1:])

    async def report(self, feed: Feed, report: FeedReport) -> None:
        """Store the states and meters of a running feed. Raises NoFeed, Fenced."""
        texts = versions.report_texts(report)
        _check(await self._link.run("feed/report", *feed.ownership(), *texts), feed.id)

    async def hand_back(self, feed: Feed) -> None:
        """Let other workers take the feed, because this one shuts down. Raises NoFeed, Fenced, as do the next two."""
        await self._release(feed, "back", "", "")

    async def leave(self, feed: Feed) -> None:
        """Let other workers take the feed, because a newer version has stored it in a way that this one does not know.
        This store does not take it again until it is changed. Raises NoFeed, Fenced."""
        self._left.append(f"{feed.id} {feed.version}")
        await self.hand_back(feed)

    async def crashed(self, feed: Feed, reason: str) -> None:
        """The feed ended by an unexpected error: it is tried again, by any worker; the third time it fails."""
        await self._release(feed, "crashed", reason, "")

    async def fail(self, feed: Feed, reason: str, detail: str) -> None:
        """The feed cannot run as it is, until its owner changes it."""
        await self._release(feed, "failed", reason, detail)

    async def _release(self, feed: Feed, how: Literal["back", "crashed", "failed"], reason: str, detail: str) -> None:
        _check(await self._link.run("feed/release", *feed.ownership(), how, reason, detail), feed.id)

    def _feed(self, reply: list[Any], feed: Feed) -> Feed:
        _check(reply, feed.id, feed.name)
        return Feed.from_fields(reply[1])


def _claimed(record: list[str], secrets: list[str]) -> ClaimedFeed:
    return ClaimedFeed(Feed.from_fields(record), FeedSecrets.from_fields(secrets))


def _place(cursor: str) -> tuple[str, str]:
    """Creation time and id of the last feed before a page. Raises ValueError."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError("this is not a cursor of this list")
    return match[1], match[2]


def _check(reply: list[Any], id: str, name: str = "") -> None:
    match reply[0]:
        case "gone":
            raise NoFeed(f"no feed {id}")
        case "fenced":
            raise Fenced(f"feed {id} is no longer owned by this worker")
        case "changed":
            raise FeedChanged(f"feed {id} was changed at the same time; try again")
        case "name_in_use":
            raise FeedNameTaken(f"you have another feed with the name {name!r}")
        case "key_reused":
            raise KeyReused("this idempotency key was used for a different feed")
