"""Connections to the node of a Redis Cluster that has all keys: the master of their hash slot.

All keys have the same hash tag, so one node has them, and a cluster is used like one server with failover. A node that
no longer serves the slot replies MOVED; then the master is looked up again.

redis-py's RedisCluster is not used, because it follows ASK redirections: while a slot is being moved to another node,
a script would run on that one and see only the keys that were moved already. Here ASK is an outage until the slot has
been moved.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, MovedError, ResponseError
from redis.exceptions import ConnectionError as RedisGone

from stream.records.redis_address import RedisAddress
from stream.records.redis_errors import reason
from stream.records.redis_poll import POLL_S, poll

Node = tuple[str, int]
"""Host and port."""


def cluster_pool(address: RedisAddress, options: Mapping[str, Any]) -> ConnectionPool:
    """options: of each connection, as in `redis_link`. Raises ValueError or TypeError for unknown ones.

    It is the client's pool for Sentinel, which asks an object for the master before each connection.
    """
    shared = dict(options)
    del shared["host"]
    master = SlotMaster(address, shared)
    over_tls = options.get("connection_class") is not None
    own = shared | {"connection_class": _SlotSSLConnection if over_tls else _SlotConnection}
    return SentinelConnectionPool(address.prefix, master, **own)  # type: ignore[no-untyped-call]


def shard(slots: Sequence[Any], slot: int, asked: Node) -> tuple[Node, ...]:
    """The master of a slot and its replicas; empty if no node serves it. slots: as in CLUSTER SLOTS.

    asked: the node that replied. A node without a host in the reply has the same one.
    """
    for first, last, *nodes in slots:
        if first <= slot <= last:
            return tuple((asked[0] if host in (None, "", "?") else host, int(port)) for host, port, *_ in nodes)
    return ()


class SlotMaster:
    """The master of the hash slot that has all keys, by a vote of several nodes."""

    def __init__(self, address: RedisAddress, options: Mapping[str, Any]) -> None:
        """options: of connections, without host and port."""
        self._slot = key_slot(address.prefix.encode())
        self._options = dict(options) | {"socket_connect_timeout": POLL_S}
        self._configured = tuple((host.strip("[]"), port) for host, port in address.hosts)
        self._shard: tuple[Node, ...] = ()
        self._master: Node | None = None
        self._search: asyncio.Task[Node | str] | None = None
        self._clients: dict[Node, aioredis.Redis] = {}

    async def discover_master(self, service_name: str) -> Node:
        """Its host and port. Raises MasterNotFoundError. Simultaneous calls share one search."""
        if self._master is not None:
            return self._master
        if self._search is None or self._search.done():
            self._search = asyncio.ensure_future(self._find())
        found = await asyncio.shield(self._search)
        if isinstance(found, str):
            raise MasterNotFoundError(found)
        return found

    def forget(self, node: Node) -> None:
        """Look the master up again, if this node still counts as the master."""
        if self._master == node:
            self._master = None

    async def aclose(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.wait([self._search])
        await self._close_all_but(())

    async def _find(self) -> Node | str:
        """The master, or else why it is unknown. Asks the configured nodes and those that last had the slot, which are
        the first to know of a failover."""
        nodes = dict.fromkeys((*self._configured, *self._shard))
        await self._close_all_but(nodes)
        votes: Counter[tuple[Node, ...]] = Counter()

        def enough(answers: list[tuple[Node, ...]]) -> bool:
            votes[answers[-1][:1]] += 1
            return max(votes.values()) > len(nodes) // 2

        answers, errors = await poll([self._ask(node) for node in nodes], enough)
        if not answers:
            return f"no node of the cluster answers: {errors}"
        chosen = votes.most_common(1)[0][0]
        if not chosen:
            return "CLUSTERDOWN no node serves the hash slot"
        self._shard = next(answer for answer in reversed(answers) if answer[:1] == chosen)
        self._master = chosen[0]
        return chosen[0]

    async def _ask(self, node: Node) -> tuple[Node, ...]:
        if node not in self._clients:
            pool = ConnectionPool(host=node[0], port=node[1], **self._options)
            self._clients[node] = aioredis.Redis.from_pool(pool)
        reply: Any = self._clients[node].execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        return shard(await reply, self._slot, node)

    async def _close_all_but(self, nodes: Iterable[Node]) -> None:
        for node in self._clients.keys() - set(nodes):
            await self._clients.pop(node).aclose()


class _SlotConnection(SentinelManagedConnection):
    """A connection to the master of the slot. When it breaks, the master is looked up again."""

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        """Connect, if it is not connected. The client's own class looks the master up in `connect` only, which is not
        called when a call is repeated."""
        if not self.is_connected:
            self.host, self.port = await self.connection_pool.get_master_address()
        try:
            await super().connect_check_health(*args, **kwargs)
        except BaseException:
            self._forget_master()
            raise

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except (MovedError, ClusterDownError) as exc:
            self._forget_master()
            await self.disconnect()
            raise RedisGone(reason(exc)) from exc  # the client connects again and repeats the call
        except ResponseError:
            raise
        except BaseException:
            self._forget_master()
            raise

    def _forget_master(self) -> None:
        self.connection_pool.sentinel_manager.forget((self.host, self.port))


class _SlotSSLConnection(_SlotConnection, SentinelManagedSSLConnection):
    pass
