"""One process's way to Redis: connection, scripts, and patience. The only file that imports its client.

Needs Redis 7 or Valkey 8, or newer. No call waits longer than asked for and a second more: when Redis is away it raises
StoreDown, and the next call tries anew. Knows nothing about what the records are: `stream/records/live_store.py` has
those of live video, `stream/records/job_store.py` those of files.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisSlow

from stream.errors import StoreDown, UsageError
from stream.records import keys

__all__ = ["PATIENCE_S", "SLICE_S", "RedisLink", "ResponseError"]

T = TypeVar("T")

SLICE_S = 1.0  # longest wait inside Redis: a server that stopped meanwhile is noticed after this and PATIENCE_S
PATIENCE_S = 1.0  # for any reply
_AWAY = ("LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "OOM")  # replies of a server that takes no writes just now


class RedisLink:
    """One object a process, for its event loop. where: the address, without its password."""

    def __init__(self, url: str) -> None:
        """`url`: redis://, rediss:// or unix://. Connects on first use. Raises UsageError if it is none of these."""
        self.where = _without_password(url)
        retry = Retry(NoBackoff(), 1, (RedisGone,))  # once: the connection may be one that a restart has cut
        try:
            self._redis = aioredis.Redis.from_url(
                url,
                decode_responses=True,
                protocol=2,
                retry=retry,
                socket_connect_timeout=PATIENCE_S,
                socket_timeout=None,  # `call` has the clock; theirs swallows cancellations on Python 3.11 (wait_for)
            )
        except ValueError as exc:
            raise UsageError(f"REDIS_URL={self.where!r}: {str(exc).splitlines()[0]}") from None
        self._scripts: dict[str, Any] = {}

    async def ping(self) -> bool:
        """Does Redis answer? Does not raise StoreDown."""
        try:
            await self.ask("PING")
        except StoreDown:
            return False
        return True

    async def close(self) -> None:
        await self._redis.aclose()

    async def now_s(self) -> float:
        """Seconds since 1970, by Redis's clock."""
        seconds, micros = await self.ask("TIME")
        return float(seconds) + float(micros) / 1e6

    def pipeline(self, transaction: bool = True) -> Any:
        """Commands to be collected; `call` what its `execute` gives."""
        return self._redis.pipeline(transaction=transaction)

    async def run(self, name: str, *values: str | float) -> Any:
        """The script `lua/<name>.lua`."""
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script(keys.script(name))
        return await self.call(self._scripts[name](args=values))

    async def ask(self, *words: str | float, wait_s: float = 0.0) -> Any:
        """A command of Redis; `wait_s`: how long it may block by its own words."""
        reply: Any = self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        return await self.call(reply, wait_s)

    async def call(self, command: Awaitable[T], wait_s: float = 0.0) -> T:
        """The reply, if it comes `PATIENCE_S` after `wait_s` at the latest; else StoreDown."""
        try:
            async with asyncio.timeout(wait_s + PATIENCE_S):
                return await command
        except (RedisGone, RedisSlow, OutOfMemoryError, ReadOnlyError, OSError) as exc:
            raise StoreDown(f"Redis at {self.where}: {_first_line(exc)}") from exc
        except RedisError as exc:
            if str(exc).startswith(_AWAY):
                raise StoreDown(f"Redis at {self.where}: {_first_line(exc)}") from exc
            raise


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _first_line(exc: BaseException) -> str:
    return (str(exc) or "no reply in time").splitlines()[0]
