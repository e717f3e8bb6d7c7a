"""Connections to the current master of a group that Redis Sentinel watches."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from stream.records.redis_address import RedisAddress
from stream.records.redis_poll import POLL_S, poll


def sentinel_pool(address: RedisAddress, options: Mapping[str, Any]) -> ConnectionPool:
    """options: of each connection to the master, as in `redis_link`. Raises ValueError or TypeError for unknown ones,
    also of the sentinels."""
    over_tls = options.get("connection_class") is not None
    own = dict(options) | {"connection_class": SentinelManagedSSLConnection if over_tls else SentinelManagedConnection}
    del own["host"]
    sentinels = _Sentinels(address.sentinels, {"protocol": 2, "retry": options["retry"]})
    return SentinelConnectionPool(address.master, sentinels, **own)  # type: ignore[no-untyped-call]


def current_master(states: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    """Host and port of the master in the newest configuration; None if all sentinels that have it say it is down.

    states: of one or more sentinels, as in SENTINEL MASTER. One sentinel alone may be wrong: just after a failover,
    before it is connected to the new master, it reports the master as down.
    """
    epoch = max(state["config-epoch"] for state in states)
    for state in states:
        down = state["is_sdown"] or state["is_odown"] or not state["is_master"]
        if state["config-epoch"] == epoch and not down:
            return state["ip"], state["port"]
    return None


class _Sentinels(Sentinel):
    """The sentinels of a group."""

    def __init__(self, urls: tuple[str, ...], options: dict[str, Any]) -> None:
        """urls: as in `RedisAddress.sentinels`. Raises ValueError or TypeError for unknown options."""
        super().__init__([])  # type: ignore[no-untyped-call]
        self.sentinels = [aioredis.Redis.from_url(url, socket_connect_timeout=POLL_S, **options) for url in urls]

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Host and port of the master, as the newest configuration of a majority that answers says.

        A sentinel that was cut off may still name the old master. Raises MasterNotFoundError.
        """
        questions = [self._state(sentinel, service_name) for sentinel in self.sentinels]
        states, errors = await poll(questions, lambda found: len(found) > len(questions) // 2)
        if not states:
            raise MasterNotFoundError(f"no sentinel knows the master {service_name!r}: {errors}")
        master = current_master(states)
        if master is None:
            raise MasterNotFoundError(f"the master {service_name!r} is down")
        return master

    @staticmethod
    async def _state(sentinel: "aioredis.Redis", master: str) -> dict[str, Any]:
        """The sentinel's state of the master, as in SENTINEL MASTER."""
        state: Any = await sentinel.sentinel_master(master)
        return dict(state)
