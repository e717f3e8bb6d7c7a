"""A process's connection to Redis: commands, scripts and timeouts.

Only this module and its parts import the Redis client: `redis_sentinel.py`, `redis_cluster.py`, `redis_poll.py` and
`redis_errors.py`.

Needs Redis 7 or Valkey 8, or newer. A call takes at most its own timeout plus a second: when Redis is unreachable or
refuses the call for a reason that may pass, it raises StoreDown, and the next call tries again. Connections are bounded
(`turns.py`): calls beyond that wait here, which does not count as a delay of Redis. Knows nothing about the records:
`stream/records/live_store.py` has those of live video, `stream/records/job_store.py` those of file jobs.
"""

import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import redis.asyncio as aioredis
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError, ResponseError

from stream.errors import StoreDown, UsageError
from stream.records import redis_address, scripts
from stream.records.lifetimes import WAITING
from stream.records.redis_address import RedisAddress
from stream.records.redis_cluster import cluster_pool
from stream.records.redis_errors import is_outage, reason
from stream.records.redis_keys import RedisKeys
from stream.records.redis_sentinel import sentinel_pool
from stream.records.turns import Turns, reply_timeout

__all__ = ["REPLY_TIMEOUT_S", "SLICE_S", "RedisLink", "ResponseError", "is_outage", "reason"]

T = TypeVar("T")

SLICE_S = 1.0  # longest blocking wait in Redis; a server that stops is detected after SLICE_S + REPLY_TIMEOUT_S
REPLY_TIMEOUT_S = 1.0  # timeout of any reply
_CALLS = 32  # calls at a time: Redis answers one after the other, so more would only wait there instead of here
_WAITS = WAITING  # blocking calls at a time: one for each offer that may wait


class RedisLink:
    """One object per process, for its event loop. address: the URL without user, password and options. place: the
    parsed URL, with them. keys: the names of all keys."""

    def __init__(self, url: str) -> None:
        """url: as in `redis_address`. Connects on first use. Raises UsageError."""
        self.place = redis_address.parse(url)
        self.address = self.place.shown
        self.keys = RedisKeys(self.place.prefix)
        try:
            self._redis = aioredis.Redis.from_pool(_pool(self.place))
        except ValueError as exc:
            raise UsageError(f"REDIS_URL={self.address!r}: {str(exc).splitlines()[0]}") from None
        except TypeError as exc:  # "… unexpected keyword argument 'x'"
            option = str(exc).rpartition(" ")[2]
            raise UsageError(f"REDIS_URL={self.address!r}: unknown option {option}") from None
        self._scripts: dict[str, Any] = {}
        self._calls, self._waits = Turns(_CALLS), Turns(_WAITS)

    async def ping(self) -> bool:
        """Whether Redis answers and accepts writes. Does not raise StoreDown."""
        try:
            await self.ask("SET", self.keys.ping, "", "PX", 1000)
        except StoreDown:
            return False
        return True

    async def close(self) -> None:
        pool = self._redis.connection_pool
        await self._redis.aclose()
        if isinstance(pool, SentinelConnectionPool):
            await pool.sentinel_manager.aclose()

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
        return await self.call(self._scripts[name](keys=[self.keys.prefix], args=values))

    async def ask(self, *arguments: str | float, wait_s: float = 0.0) -> Any:
        """Run a Redis command. wait_s: how long it may block."""
        reply: Any = self._redis.execute_command(*arguments)  # type: ignore[no-untyped-call]
        return await self.call(reply, wait_s)

    async def call(self, command: Coroutine[Any, Any, T], wait_s: float = 0.0) -> T:
        """Run a command and await its reply, for `wait_s + REPLY_TIMEOUT_S` at most. Raises StoreDown.

        Blocking calls have connections of their own, so that they never keep others waiting.
        """
        try:
            with self._outages():
                async with (self._waits if wait_s else self._calls).turn(), reply_timeout(wait_s + REPLY_TIMEOUT_S):
                    return await command
        finally:
            command.close()  # it never ran if this call had no turn

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncIterator["Subscription"]:
        """Within it, what is published on the channel is received, on a connection of its own. Raises StoreDown."""
        with self._outages():
            async with self._waits.turn(), self._redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                yield await Subscription.confirmed(pubsub)

    @contextmanager
    def _outages(self) -> Iterator[None]:
        """Turns the client's errors about an outage into StoreDown."""
        try:
            yield
        except (RedisError, OSError) as exc:
            if is_outage(exc):
                raise StoreDown(f"Redis at {self.address}: {reason(exc)}") from exc
            raise


class Subscription:
    """The messages of a channel. `RedisLink.subscribed` makes it."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub, self._checking = pubsub, False

    @classmethod
    async def confirmed(cls, pubsub: Any) -> "Subscription":
        """Waits for the server's confirmation; from then on no message is missed."""
        if await pubsub.get_message(timeout=REPLY_TIMEOUT_S) is None:
            raise TimeoutError("no reply in time")
        return cls(pubsub)

    async def next(self, wait_s: float) -> str | None:
        """The next message; None if there is none in time. Raises TimeoutError if the server no longer responds."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            found = await self._pubsub.get_message(timeout=left_s)
            if found is None:
                continue
            self._checking = False
            if found["type"] == "message":
                return str(found["data"])
        if self._checking:
            raise TimeoutError("no reply in time")
        self._checking = True
        await self._pubsub.ping()
        return None


def _pool(address: RedisAddress) -> ConnectionPool:
    """The pool of connections to a server, to the current master of a group with Sentinel, or to a cluster.

    Raises ValueError or TypeError for options that the client does not know.
    """
    options: dict[str, Any] = {
        **parse_url(address.url),
        "decode_responses": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 1, (RedisGone,)),  # the pooled connection may have been cut by a restart
        "socket_connect_timeout": REPLY_TIMEOUT_S,
        "socket_timeout": None,  # see `call`; redis-py's own swallows cancellations on Python 3.11 (wait_for)
    }
    if address.sentinels:
        pool = sentinel_pool(address, options)
    elif address.cluster:
        pool = cluster_pool(address, options)
    else:
        pool = ConnectionPool(**options)
    pool.make_connection()  # type: ignore[no-untyped-call]  # checks the options; does not connect
    return pool
