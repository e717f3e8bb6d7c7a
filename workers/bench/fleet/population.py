"""Simulated workers with live sessions, tasks of jobs and feeds, stored in Redis as real ones are.

The records are those that workers restore after Redis has lost its data: one call each, through the scripts of the
stores.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from stream.records.feed_store import FeedStore
from stream.records.feeds import ClaimedFeed, Feed, FeedOutput, FeedSecrets, FeedState, OutputSecret
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job
from stream.records.live import Meters, Session, SessionKind, SessionState, Worker
from stream.records.live_store import LiveStore
from stream.records.redis_link import RedisLink
from stream.storage import keys

_AT_ONCE = 16  # calls
_FRAMES = 300  # of a segment
_MOST_FEEDS = 1_000_000
_OUTPUT = FeedOutput(id="0000000a", address="rtmp://live.example")
_SOURCE = keys.upload_source("1")
_SECRETS = FeedSecrets("rtsp://camera.example/1", {_OUTPUT.id: OutputSecret(url="rtmp://live.example/app/key")})
METERS = Meters(
    fps_in=30, fps_out=30, matte_fps=30, latency_ms=40, glass_ms=80, stages_ms={"decode": 3, "matte": 9, "encode": 7},
    dropped={"late": 2}, width=1280, height=720, engine="birefnet", device="cuda:0", bitrate_bps=2_500_000, load=0.7,
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """workers: each runs `sessions` live sessions, a task of a job and `feeds` feeds. tasks: that wait, per worker;
    `submitted` of them are those of jobs that are not yet planned. owners: of jobs, per worker."""

    workers: int
    sessions: int = 10
    tasks: int = 50
    submitted: int = 4
    feeds: int = 2
    owners: float = 0.5

    @property
    def all_owners(self) -> int:
        return max(1, round(self.workers * self.owners))


@dataclass
class Population:
    """What the workers have, by worker."""

    size: Size
    link: RedisLink
    sessions: list[list[Session]] = field(default_factory=list)
    tasks: list[JobTask] = field(default_factory=list)
    feeds: list[list[ClaimedFeed]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live, self.jobs, self.feed_store = LiveStore(self.link), JobStore(self.link), FeedStore(self.link)
        self._numbers = itertools.count()

    def owner(self, number: int) -> str:
        return f"owner-{number % self.size.all_owners}"

    def new_job(self) -> Job:
        return Job(id=str(uuid4()), owner=self.owner(next(self._numbers)), source=_SOURCE)

    def record(self, number: int) -> Worker:
        """The heartbeat of a worker."""
        name, sessions = worker_name(number), self.size.sessions
        return Worker(
            id=name, host="node", pid=1, state="ready", capacity=sessions, sessions=sessions, load=0.7,
            engine="birefnet", device="cuda:0", memory_bytes=2**31,
        )  # fmt: skip


def worker_name(number: int) -> str:
    return f"node-{number:05}-1f0c"


async def populate(link: RedisLink, size: Size) -> Population:
    """Fill an empty Redis. Raises StoreDown."""
    people = Population(size, link)
    numbers = range(size.workers)
    people.sessions = [_sessions(number, size) for number in numbers]
    people.tasks = [_task(number, people) for number in numbers]
    people.feeds = [_feeds(number, people) for number in numbers]
    await _each(people.sessions, people.live.renew)
    await _each([people.record(number) for number in numbers], people.live.beat)
    segments = size.tasks - size.submitted + 1
    await _each(people.tasks, lambda task: people.jobs.restore(task, [_FRAMES] * segments, []))
    await _each([people.new_job() for _ in range(size.workers * size.submitted)], people.jobs.submit)
    await _each(people.feeds, people.feed_store.renew)
    return people


async def keep_alive(people: Population) -> None:
    """Renew all leases, as workers do all the time. Raises StoreDown."""
    await _each(people.sessions, people.live.renew)
    await _each(people.tasks, people.jobs.renew)
    await _each(people.feeds, people.feed_store.renew)


async def waiting_feed(people: Population, name: str) -> Feed:
    """Create a feed that waits for a worker."""
    feed = Feed(id=str(uuid4()), owner=people.owner(0), name=name, source="rtsp://camera.example/1", outputs=(_OUTPUT,))
    return await people.feed_store.create(feed, _SECRETS, _MOST_FEEDS)


def _sessions(number: int, size: Size) -> list[Session]:
    """Every fifth one publishes a stream."""
    names = [f"stream-{number}-{n}" if n % 5 == 0 else "" for n in range(size.sessions)]
    return [
        Session(
            id=str(uuid4()), kind=SessionKind.PUBLISH if name else SessionKind.CAMERA, name=name,
            owner=f"user-{number}", state=SessionState.LIVE, worker=worker_name(number), fence=1, meters=METERS,
        )
        for name in names
    ]  # fmt: skip


def _task(number: int, people: Population) -> JobTask:
    job = people.new_job()
    return JobTask(job, "0000", worker_name(number), 1, plan='{"segments": []}')


def _feeds(number: int, people: Population) -> list[ClaimedFeed]:
    feeds = [
        Feed(
            id=str(uuid4()), owner=people.owner(number), name=f"feed-{number}-{n}", source="rtsp://camera.example/1",
            outputs=(_OUTPUT,), state=FeedState.RUNNING, worker=worker_name(number), fence=1,
        )
        for n in range(people.size.feeds)
    ]  # fmt: skip
    return [ClaimedFeed(feed, _SECRETS) for feed in feeds]


async def _each(values: Iterable[Any], call: Callable[[Any], Awaitable[Any]]) -> None:
    """Call with each value, a few at once."""
    queue = iter(list(values))

    async def work() -> None:
        for value in queue:
            await call(value)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
