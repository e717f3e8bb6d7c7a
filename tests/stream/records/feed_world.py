"""Workers that run feeds of a real store by a clock of the test, and feeds that kill them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from stream.records import redis_keys, scripts
from stream.records.feed_store import FeedStore
from stream.records.feeds import ClaimedFeed, Feed, FeedReport
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from tests.stream.records.feeds import created

Latency = Callable[[], float]
"""How long a feed runs, in seconds, before it kills its worker; drawn at each start."""
STEP_S = 0.5  # of a worker: a renewal, and time for two claims
_START_S = 1.0  # until the successor of a dead worker takes feeds
_PATIENCE_S = 3600.0
_CLOCK = "test-clock"


class Clock:
    """The time that all scripts read, instead of that of Redis."""

    def __init__(self, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._raw, self.now_s = raw, 1e9
        read = scripts.script

        def script(name: str) -> str:
            text = read(name)
            assert "redis.call('TIME')" in text
            return text.replace("redis.call('TIME')", f"redis.call('LRANGE', '{_CLOCK}', 0, 1)")

        monkeypatch.setattr(scripts, "script", script)
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self._raw.delete(_CLOCK, f"{redis_keys.PREFIX}feeds-grace")  # this one expires by the time of Redis
        self._raw.rpush(_CLOCK, int(self.now_s), int(self.now_s % 1 * 1e6))


@dataclass
class _Worker:
    id: str
    starts_s: float
    held: dict[str, ClaimedFeed] = field(default_factory=dict)
    dies_s: dict[str, float] = field(default_factory=dict)  # by id of the feed that kills it


class World:
    """workers: how many run at a time; a dead one has a successor. room: feeds per worker. lose_claims: workers do not
    receive the replies to their claims.

    deaths: of workers so far. pauses_s: by name, how long each feed did not run, each time, since the first death.
    """

    def __init__(self, live: LiveStore, clock: Clock, workers: int, room: int = 8) -> None:
        self.store, self._beats = FeedStore(live.link), live
        self.clock, self.room, self.lose_claims = clock, room, False
        self._killers: dict[str, Latency] = {}
        self._workers = [_Worker(f"w{n}", clock.now_s) for n in range(workers)]
        self._ids: dict[str, str] = {}
        self._steps = 0
        self.deaths = 0
        self.pauses_s: dict[str, list[float]] = {}
        self._paused: set[str] = set()

    async def add(self, *names: str) -> None:
        for name in names:
            self._ids[name] = (await created(self.store, name)).id
            self.pauses_s[name] = []

    def make_killer(self, name: str, latency: Latency) -> None:
        """From now on."""
        self._killers[name] = latency
        for worker in self._workers:
            for claimed in worker.held.values():
                self._arm(worker, claimed)

    def kill(self, number: int = 0) -> None:
        """Kill a worker, which is no feed's fault."""
        self.deaths += 1
        successor = f"w{len(self._workers) + self.deaths}"
        self._workers[number] = _Worker(successor, self.clock.now_s + _START_S)

    async def feed(self, name: str) -> Feed:
        found = await self.store.feed(self._ids[name])
        assert found is not None
        return found

    async def states(self) -> dict[str, str]:
        return {name: str((await self.feed(name)).state) for name in self._ids}

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            await self.step()

    async def until_failed(self, *names: str) -> float:
        """Run until these feeds have failed and all others run; the others must not fail. Returns the time it took."""
        since_s = self.clock.now_s
        expected = {name: "failed" if name in names else "running" for name in self._ids}
        while (states := await self.states()) != expected:
            assert self.clock.now_s - since_s < _PATIENCE_S, states
            assert all(state != "failed" or name in names for name, state in states.items()), f"innocent: {states}"
            await self.run(4 * STEP_S)
        return self.clock.now_s - since_s

    async def step(self) -> None:
        self.clock.advance(STEP_S)
        self._steps += 1
        await self.store.reap()
        for number, worker in enumerate(self._workers):
            if any(self.clock.now_s >= dies_s for dies_s in worker.dies_s.values()):
                self.kill(number)
            elif self.clock.now_s >= worker.starts_s:
                await self._work(worker)
        if self.deaths:
            self._count_pauses({claimed.feed.name for worker in self._workers for claimed in worker.held.values()})

    def _count_pauses(self, running: set[str]) -> None:
        paused = self._ids.keys() - running
        for name in paused:
            if name not in self._paused:
                self.pauses_s[name].append(0.0)
            self.pauses_s[name][-1] += STEP_S
        self._paused = paused

    async def _work(self, worker: _Worker) -> None:
        for id in (await self.store.renew(worker.held.values()))[0]:
            worker.held.pop(id)
            worker.dies_s.pop(id, None)
        if self._steps % 2 == 0:
            await self._beats.beat(Worker(id=worker.id))
        if self._steps % 4 == 0:
            for claimed in worker.held.values():
                await self.store.report(claimed.feed, FeedReport())
        for _ in range(2):
            await self._claim(worker)

    async def _claim(self, worker: _Worker) -> None:
        claimed = await self.store.claim(worker.id) if len(worker.held) < self.room else None
        if claimed is not None and not self.lose_claims:
            worker.held[claimed.feed.id] = claimed
            self._arm(worker, claimed)

    def _arm(self, worker: _Worker, claimed: ClaimedFeed) -> None:
        if (latency := self._killers.get(claimed.feed.name)) is not None:
            worker.dies_s[claimed.feed.id] = self.clock.now_s + latency()
