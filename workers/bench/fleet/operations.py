"""The calls that are measured: those that workers and web processes make all the time, and those that start work.

Each is a context manager that prepares the calls of one round, yields the call, and then undoes their effects. A call
gets its number in the round.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from stream.errors import StoreDown
from stream.loops import start
from stream.records.feeds import ClaimedFeed
from stream.records.job_store import JobTask
from stream.records.live import BYE, Answer, Session, SessionKind, SessionState
from workers.bench.fleet.population import METERS, Population, waiting_feed, worker_name

Call = Callable[[int], Awaitable[object]]
Round = Callable[[Population, int], AbstractAsyncContextManager[Call]]
_log = logging.getLogger(__name__)
_WAIT_S = 60.0
_TAKE_S = 0.5
_TAKERS = 2
_ANSWER = Answer(sdp="v=0")
_number = itertools.count()


@dataclass(frozen=True)
class Operation:
    """every_s: how often each worker makes the call; 0: only when there is work. at_once: calls at the same time."""

    name: str
    round: Round
    every_s: float = 0.0
    at_once: int = 1


def _plain(call: Callable[[Population, int], Awaitable[object]]) -> Round:
    """A call without preparation. It gets the number of a worker."""

    @asynccontextmanager
    async def one_round(people: Population, count: int) -> AsyncIterator[Call]:
        first = next(_number) * count
        yield lambda n: call(people, (first + n) % people.size.workers)

    return one_round


def _report(people: Population, worker: int) -> Awaitable[object]:
    return people.live.report_all((session, METERS) for session in people.sessions[worker])


@asynccontextmanager
async def _offers(people: Population, count: int) -> AsyncIterator[Call]:
    """From an offer to the end of the session, with a worker that takes it."""
    working = [start(_answer_offers(people, worker_name(n)), _log) for n in range(_TAKERS)]

    async def offer(number: int) -> None:
        session = Session(id=str(uuid4()), kind=SessionKind.CAMERA, owner=f"user-{number}")
        if await people.live.offer(session, "v=0", _WAIT_S) != _ANSWER:
            raise StoreDown("an offer was not answered")

    try:
        yield offer
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def _answer_offers(people: Population, worker: str) -> None:
    while True:
        if (taken := await people.live.take(worker, _TAKE_S)) is not None:
            session, _ = taken
            await people.live.reply(session, _ANSWER)
            await people.live.move(session, SessionState.LIVE)
            await people.live.move(session, SessionState.ENDED, BYE)


@asynccontextmanager
async def _takes(people: Population, count: int) -> AsyncIterator[Call]:
    taken: list[JobTask] = []

    async def take(number: int) -> None:
        taken.append(await _taken(people, number))

    yield take
    for task in taken:
        await people.jobs.hand_back(task)


@asynccontextmanager
async def _hand_backs(people: Population, count: int) -> AsyncIterator[Call]:
    taken = [await _taken(people, number) for number in range(count)]
    yield lambda number: people.jobs.hand_back(taken[number])


async def _taken(people: Population, number: int) -> JobTask:
    """A task of a job, by a worker that has none."""
    task = await people.jobs.take_task(f"spare-{number}", 0)
    if task is None:
        raise StoreDown("there are no more tasks to take")
    return task


@asynccontextmanager
async def _submits(people: Population, count: int) -> AsyncIterator[Call]:
    jobs = [people.new_job() for _ in range(count)]
    yield lambda number: people.jobs.submit(jobs[number])
    for job in jobs:
        await people.jobs.cancel(job.id)
        await people.jobs.remove(job.id)


@asynccontextmanager
async def _claims(people: Population, count: int) -> AsyncIterator[Call]:
    group = next(_number)
    created = [await waiting_feed(people, f"waiting-{group}-{number}") for number in range(count)]
    claimed: list[ClaimedFeed | None] = []

    async def claim(number: int) -> None:
        claimed.append(await people.feed_store.claim(worker_name(number % people.size.workers)))

    yield claim
    for feed in created:
        await people.feed_store.remove(feed.id)
    if None in claimed:
        raise StoreDown("a feed was not claimed")


OPERATIONS: Sequence[Operation] = (
    Operation("live renew", _plain(lambda people, n: people.live.renew(people.sessions[n])), 1.0),
    Operation("live report", _plain(_report), 1.0),
    Operation("live beat", _plain(lambda people, n: people.live.beat(people.record(n))), 1.0),
    Operation("live reap", _plain(lambda people, n: people.live.reap()), 2.0),
    Operation("live offer", _offers, at_once=16),
    Operation("job renew", _plain(lambda people, n: people.jobs.renew(people.tasks[n], 1)), 0.5),
    Operation("job take", _takes),
    Operation("job hand_back", _hand_backs),
    Operation("job submit", _submits),
    Operation("job reap", _plain(lambda people, n: people.jobs.reap_jobs()), 2.0),
    Operation("feed renew", _plain(lambda people, n: people.feed_store.renew(people.feeds[n])), 0.5),
    Operation("feed claim", _claims),
    Operation("feed reap", _plain(lambda people, n: people.feed_store.reap())),
    Operation("job totals", _plain(lambda people, n: people.jobs.totals())),
)
"""Those of one worker: `live renew` and `live report` of its sessions, `feed renew` of its feeds, `job renew` of its
task. `live offer` is everything from an offer to the end of its session. `job totals` is for metrics."""
