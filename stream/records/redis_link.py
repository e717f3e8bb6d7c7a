"""A process's connection to Redis: commands, scripts and timeouts. The only module that imports the Redis client.

Needs Redis 7 or Valkey 8, or newer. A call takes at most its own timeout plus a second: when Redis is unreachable it
raises StoreDown, and the next call tries again. Connections are bounded (`turns.py`): calls beyond that wait here, and
this wait is not held against Redis. Knows nothing about the records: `stream/records/live_store.py` has
those of live video, `stream/records/job_store.py` those of file jobs.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisSlow

from stream.errors import StoreDown, UsageError
from stream.records import scripts
from stream.records.lifetimes import WAITING
from stream.records.turns import Turns, patience

__all__ = ["PATIENCE_S", "SLICE_S", "RedisLink", "ResponseError"]

T = TypeVar("T")

SLICE_S = 1.0  # longest blocking wait in Redis; a server that stops is detected after SLICE_S + PATIENCE_S
PATIENCE_S = 1.0  # timeout of any reply
_CALLS = 32  # calls at a time: Redis answers one after the other, so more would only wait there instead of here
_WAITS = WAITING  # blocking calls at a time: one for each offer that may wait
_UNAVAILABLE = ("LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "OOM")  # error replies that count as an outage


class RedisLink:
    """One object per process, for its event loop. address: the URL without user, password and query."""

    def __init__(self, url: str) -> None:
        """url: redis://, rediss:// or unix://. Connects on first use. Raises UsageError for any other."""
        self.address = _without_password(url)
        retry = Retry(NoBackoff(), 1, (RedisGone,))  # one retry: the pooled connection may have been cut by a restart
        try:
            self._redis = aioredis.Redis.from_url(
                url,
                decode_responses=True,
                protocol=2,
                retry=retry,
                socket_connect_timeout=PATIENCE_S,
                socket_timeout=None,  # see `call`; redis-py's own swallows cancellations on Python 3.11 (wait_for)
            )
        except ValueError as exc:
            raise UsageError(f"REDIS_URL={self.address!r}: {str(exc).splitlines()[0]}") from None
        self._scripts: dict[str, Any] = {}
        self._calls, self._waits = Turns(_CALLS), Turns(_WAITS)

    async def ping(self) -> bool:
        """Whether Redis answers. Does not raise StoreDown."""
        try:
            await self.ask("PING")
        except StoreDown:
            return False
        return True

    async def close(self) -> None:
        await self._redis.aclose()

    async def now_s(self) -> float:
        """Seconds since 1970, by the clock of Redis."""
        seconds, micros = await self.ask("TIME")
        return float(seconds) + float(micros) / 1e6

    def pipeline(self, transaction: bool = True) -> Any:
        """A pipeline for several commands; pass its `execute()` to `call`."""
        return self._redis.pipeline(transaction=transaction)

    async def run(self, name: str, *values: str | float) -> Any:
        """Run the script `lua/<name>.lua`."""
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script(scripts.script(name))
        return await self.call(self._scripts[name](args=values))

    async def ask(self, *arguments: str | float, wait_s: float = 0.0) -> Any:
        """Run a Redis command. wait_s: how long it may block."""
        reply: Any = self._redis.execute_command(*arguments)  # type: ignore[no-untyped-call]
        return await self.call(reply, wait_s)

    async def call(self, command: Coroutine[Any, Any, T], wait_s: float = 0.0) -> T:
        """Run a command and await its reply, for `wait_s + PATIENCE_S` at most. Raises StoreDown.

        Blocking calls have connections of their own, so that they never keep others waiting.
        """
        try:
            async with (self._waits if wait_s else self._calls).turn(), patience(wait_s + PATIENCE_S):
                return await command
        except (RedisGone, RedisSlow, OutOfMemoryError, ReadOnlyError, OSError) as exc:
            raise StoreDown(f"Redis at {self.address}: {_first_line(exc)}") from exc
        except RedisError as exc:
            if str(exc).startswith(_UNAVAILABLE):
                raise StoreDown(f"Redis at {self.address}: {_first_line(exc)}") from exc
            raise
        finally:
            command.close()  # it never ran if this call had no turn


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _first_line(exc: BaseException) -> str:
    return (str(exc) or "no reply in time").splitlines()[0]
