"""Cost of each call at several sizes of the installation: latency, and Redis' processor time and commands.

Calls are made one after the other, offers several at once. The processor time is Redis' own, so it does not depend on
the speed of this client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stream.records import redis_keys
from stream.records.redis_link import RedisLink
from workers.bench.fleet import server
from workers.bench.fleet.operations import OPERATIONS, Call, Operation
from workers.bench.fleet.population import Population, Size, populate

_HOUR_S = 3600.0
_PAUSE_S = 0.5  # between rounds: a job's progress is updated once in this time
_LEASES = ("due", "leases", "feeds-leased")
_MIB = 2**20
_TOGETHER = 1000


@dataclass(frozen=True)
class Row:
    """A call at one size. sessions, tasks, feeds, owners: in the whole installation; `tasks` are those that wait.
    per_s: calls per second of this client. cpu_us: Redis' processor time per call. commands: that Redis runs per call.
    ratio: of cpu_us to that of the first size. cores: that Redis needs for the calls that all workers make together.
    memory_mib: of Redis, for everything."""

    operation: str
    workers: int
    sessions: int
    tasks: int
    owners: int
    feeds: int
    calls: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    commands: float
    ratio: float
    cores: float
    memory_mib: float


@dataclass(frozen=True)
class Cost:
    seconds: float
    latencies_ms: Sequence[float]
    usage: server.Usage


async def bench_fleet(sizes: Sequence[Size], calls: int, rounds: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """Measure all operations at each size, on a server of its own each. calls: in one round, fewer if there are fewer
    workers. Raises ServerError, StoreDown."""
    first: dict[str, float] = {}
    for size in sizes:
        with server.started() as url:
            link = RedisLink(url)
            try:
                say(f"{await server.version(link)}: {size.workers} workers")
                people = await populate(link, size)
                memory_mib = await server.memory_bytes(link) / _MIB
                for operation in OPERATIONS:
                    cost = await measured(people, operation, min(calls, size.workers), rounds)
                    yield _row(people, operation, cost, memory_mib, first)
            finally:
                await link.close()


async def measured(
    people: Population, operation: Operation, calls: int, rounds: int, pause_s: float = _PAUSE_S
) -> Cost:
    """Cost of `calls` calls in each round, without their preparation. Raises StoreDown."""
    await extend_leases(people.link)
    latencies_ms: list[float] = []
    seconds, total = 0.0, server.Usage(0.0, 0)
    for _ in range(rounds):
        async with operation.round(people, calls) as call:
            first = await server.usage(people.link)
            before, start_s = await server.usage(people.link), time.monotonic()
            latencies_ms += await _timed(call, calls, operation.at_once)
            seconds += time.monotonic() - start_s
            used = await server.usage(people.link) - before
            total += used - (before - first)  # without the cost of asking
        await asyncio.sleep(pause_s)
    return Cost(seconds, latencies_ms, total)


async def _timed(call: Call, count: int, at_once: int) -> list[float]:
    """Milliseconds that each call took."""
    numbers, found = iter(range(count)), []

    async def work() -> None:
        for number in numbers:
            start_s = time.monotonic()
            await call(number)
            found.append((time.monotonic() - start_s) * 1000)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return found


async def extend_leases(link: RedisLink) -> None:
    """Have no lease expire during the measurement, however slow this machine is. Raises StoreDown."""
    until_s = await link.now_s() + _HOUR_S
    for name in _LEASES:
        key = redis_keys.PREFIX + name
        members = await link.ask("ZRANGE", key, 0, -1)
        for start in range(0, len(members), _TOGETHER):
            pairs = (text for member in members[start : start + _TOGETHER] for text in (until_s, member))
            await link.ask("ZADD", key, *pairs)


def _row(people: Population, operation: Operation, cost: Cost, memory_mib: float, first: dict[str, float]) -> Row:
    size, calls = people.size, len(cost.latencies_ms)
    cpu_us = cost.usage.cpu_s / calls * 1e6
    p50_ms, p99_ms = np.percentile(cost.latencies_ms, (50, 99))
    calls_per_s = size.workers / operation.every_s if operation.every_s else 0.0
    return Row(
        operation=operation.name,
        workers=size.workers,
        sessions=size.workers * size.sessions,
        tasks=size.workers * size.tasks,
        owners=size.all_owners,
        feeds=size.workers * size.feeds,
        calls=calls,
        per_s=round(calls / cost.seconds, 1),
        p50_ms=round(float(p50_ms), 3),
        p99_ms=round(float(p99_ms), 3),
        cpu_us=round(cpu_us, 1),
        commands=round(cost.usage.commands / calls, 2),
        ratio=round(cpu_us / first.setdefault(operation.name, cpu_us or 1.0), 2),
        cores=round(calls_per_s * cpu_us / 1e6, 4),
        memory_mib=round(memory_mib, 1),
    )
