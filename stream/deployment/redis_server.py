"""Redis: reachable, new enough, writable, fast, without eviction, with persistence; its sentinels."""

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from stream.errors import MatteboxError, StoreDown
from stream.finding import Finding
from stream.records import redis_address, redis_check
from stream.records.redis_link import RedisLink, ResponseError
from stream.settings import Settings

_PINGS = 20
_SLOW_MS = 20.0  # every change of a record is one call, and an offer needs about ten
_UNUSABLE_MS = 500.0  # half the timeout of a reply
_PERMISSION = "the user may not ask for it (INFO, CONFIG); check it as an administrator"


async def check(settings: Settings) -> list[Finding]:
    if not settings.redis_url:
        return [Finding("redis", None, "REDIS_URL is not set: `mattebox serve` starts a server of its own")]
    link = RedisLink(settings.redis_url)
    try:
        await redis_check.check(link)
        return [*await _server(link), *await _sentinels(link)]
    except StoreDown as exc:
        remedy = "start it, or correct REDIS_URL; check networks and firewalls between here and there"
        return [Finding("redis", False, str(exc), remedy), *await _sentinels(link)]
    except MatteboxError as exc:
        return [Finding("redis", False, str(exc), "correct REDIS_URL, or the set-up of that server")]
    finally:
        await link.close()


async def _server(link: RedisLink) -> list[Finding]:
    if not await link.ping():
        return [Finding("redis", False, f"{link.address} refuses writes", "look at its log: memory, disk, replicas")]
    took_ms = await _latency_ms(link)
    found = [_speed(link.address, took_ms)]
    try:
        info: Mapping[str, Any] = await link.ask("INFO")
    except (StoreDown, ResponseError):
        return [*found, Finding("redis settings", None, _PERMISSION)]
    return [*found, eviction(info), await _persistence(link, info)]


async def _latency_ms(link: RedisLink) -> float:
    """The median time of a call."""
    times_s = []
    for _ in range(_PINGS):
        began_s = time.perf_counter()
        await link.ask("PING")
        times_s.append(time.perf_counter() - began_s)
    return median(times_s) * 1000


def _speed(address: str, took_ms: float) -> Finding:
    detail = f"{address} answers and accepts writes; a call takes {took_ms:.1f} ms"
    if took_ms < _SLOW_MS:
        return Finding("redis", True, detail)
    remedy = f"below {_SLOW_MS:.0f} ms is needed: move it closer, or see what slows it down (SLOWLOG GET)"
    return Finding("redis", False if took_ms > _UNUSABLE_MS else None, detail, remedy)


def eviction(info: Mapping[str, Any]) -> Finding:
    """info: the reply to INFO."""
    policy, limit = info.get("maxmemory_policy", "noeviction"), int(info.get("maxmemory", 0))
    if policy == "noeviction":
        return Finding("redis eviction", True, "noeviction: no record is dropped when its memory is full")
    remedy = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration"
    detail = f"maxmemory-policy is {policy}: records would be dropped when its memory is full"
    return Finding("redis eviction", False if limit else None, detail, remedy)


async def _persistence(link: RedisLink, info: Mapping[str, Any]) -> Finding:
    name = "redis persistence"
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok":
            return Finding(name, False, "the append-only file cannot be written", "make room on its disk")
        return Finding(name, True, "append-only file")
    try:
        snapshots = await link.ask("CONFIG GET", "save")
    except (StoreDown, ResponseError):
        return Finding(name, None, f"no append-only file; snapshots are unknown: {_PERMISSION}")
    remedy = "appendonly yes in its configuration; now: CONFIG SET appendonly yes"
    if snapshots.get("save"):
        return Finding(name, None, "snapshots only: the jobs of the last minutes are lost in a crash", remedy)
    return Finding(name, False, "none: jobs and feeds are lost when it restarts", remedy)


async def _sentinels(link: RedisLink) -> list[Finding]:
    """One finding for all sentinels, if there are any."""
    urls = link.place.sentinels
    if not urls:
        return []
    problems = [problem for url in urls if (problem := await _sentinel_problem(url, link.place.master))]
    detail = f"{len(urls) - len(problems)} of {len(urls)} sentinels know the master {link.place.master}"
    if not problems:
        enough = len(urls) >= 3
        remedy = "" if enough else "use three or more: two cannot agree when one of them is lost"
        return [Finding("redis sentinel", True if enough else None, detail, remedy)]
    usable = len(urls) - len(problems) > len(urls) // 2
    return [Finding("redis sentinel", None if usable else False, f"{detail}: {problems[0]}", "start the others")]


async def _sentinel_problem(url: str, master: str) -> str:
    """What is wrong with a sentinel; "" if it knows the master."""
    link = RedisLink(url)
    try:
        await link.ask("SENTINEL MASTER", master)
    except (StoreDown, ResponseError) as exc:
        return f"{redis_address.parse(url).shown}: {exc}"
    finally:
        await link.close()
    return ""
