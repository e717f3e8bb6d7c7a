"""A Redis Cluster on loopback: real servers that a test may freeze, kill and reshard."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from stream.records.redis_keys import RedisKeys
from stream.serve.die_with_parent import tied
from stream.serve.redis_server import find_server
from tests.servers import free_port
from tests.waiting import until

SLOTS = 16_384
CLUSTER_KEYS = RedisKeys("{mattebox}:")
"""The keys in a cluster whose address names no prefix."""
SLOT = key_slot(CLUSTER_KEYS.prefix.encode())


class Cluster:
    """Three masters, each with a third of the slots. password: of all nodes."""

    def __init__(self, program: str, folder: Path, password: str = "", node_timeout_ms: int = 15_000) -> None:
        self._program, self._folder, self._password = program, folder, password
        self._timeout_ms = node_timeout_ms
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self._bus: dict[int, int] = {}
        masters = [self._start() for _ in range(3)]
        for number, port in enumerate(masters):
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            self.command(port, "CLUSTER", "ADDSLOTSRANGE", first, last)
            self.command(port, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        self._meet(masters[1:], masters[0])

    @property
    def url(self) -> str:
        login = f":{self._password}@" if self._password else ""
        return f"redis+cluster://{login}{','.join(f'127.0.0.1:{port}' for port in self.nodes)}"

    def client(self, port: int) -> "redis.Redis":
        return redis.Redis(port=port, password=self._password or None, decode_responses=True)

    def command(self, port: int, *words: str | int) -> Any:
        with self.client(port) as client:
            return client.execute_command(*words)

    def id(self, port: int) -> str:
        return str(self.command(port, "CLUSTER", "MYID"))

    def owner(self) -> int:
        """The port of the living node that serves the slot of all keys."""
        return until(lambda: next((port for port in self.living() if self._serves(port)), 0), "a node serves the slot")

    def living(self) -> list[int]:
        return [port for port, process in self.nodes.items() if process.poll() is None]

    def _knows(self, port: int, replica: int) -> bool:
        """Only a node that does votes for the replica in a failover."""
        return any(replica in node for _, _, *others in self.command(port, "CLUSTER", "SLOTS") for node in others)

    def _serves(self, port: int) -> bool:
        """Whether the node itself says so."""
        lines = [line.split() for line in str(self.command(port, "CLUSTER", "NODES")).splitlines()]
        own = next(words for words in lines if "myself" in words[2])
        ranges = [words.split("-") for words in own[8:] if not words.startswith("[")]
        return "master" in own[2] and any(int(ends[0]) <= SLOT <= int(ends[-1]) for ends in ranges)

    def add_replica(self, master: int) -> int:
        """Returns its port, once it replicates. Call it in the main thread, because of `tied`."""
        port = self._start()
        self._meet([port], master)
        self.command(port, "CLUSTER", "REPLICATE", self.id(master))
        until(lambda: self.command(port, "INFO", "replication")["master_link_status"] == "up", "it replicates")
        until(lambda: all(self._knows(node, port) for node in self.living()), "all know that it is a replica")
        return port

    def promote(self, replica: int) -> None:
        """Make a replica the master, while the master is well. Returns when all nodes know it."""
        self.command(replica, "CLUSTER", "FAILOVER")
        until(lambda: all(self._believes(port) == replica for port in self.living()), "it is promoted")

    def _believes(self, port: int) -> int:
        """The port of the master of the slot of all keys, in the opinion of the node on `port`; 0: none."""
        for first, last, master, *_ in self.command(port, "CLUSTER", "SLOTS"):
            if first <= SLOT <= last:
                return int(master[1])
        return 0

    def move_slot(self, target: int) -> Iterator[str]:
        """Move the slot of all keys from its master to another one, as redis-cli does. Yields what has been done."""
        source = self.owner()
        self.command(target, "CLUSTER", "SETSLOT", SLOT, "IMPORTING", self.id(source))
        self.command(source, "CLUSTER", "SETSLOT", SLOT, "MIGRATING", self.id(target))
        yield "announced"
        while keys := self.command(source, "CLUSTER", "GETKEYSINSLOT", SLOT, 3):
            self.command(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *keys)
            yield "some keys moved"
        for port in (target, source, *self.living()):
            self.command(port, "CLUSTER", "SETSLOT", SLOT, "NODE", self.id(target))
        yield "moved"

    def kill(self, port: int) -> None:
        self.nodes[port].kill()
        self.nodes[port].wait()

    def freeze(self, port: int) -> None:
        """Let a node hang: its connections stay open, but it answers no call."""
        self.nodes[port].send_signal(signal.SIGSTOP)

    def thaw(self, port: int) -> None:
        self.nodes[port].send_signal(signal.SIGCONT)

    def close(self) -> None:
        for process in self.nodes.values():
            process.kill()
            process.wait()

    def _start(self) -> int:
        port, bus = free_port(), free_port()
        folder = self._folder / str(port)
        folder.mkdir()
        argv = [self._program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        argv += ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--repl-diskless-sync-delay", "0"]
        argv += ["--cluster-node-timeout", str(self._timeout_ms), "--cluster-require-full-coverage", "no"]
        if self._password:
            argv += ["--requirepass", self._password, "--masterauth", self._password]
        self.nodes[port] = subprocess.Popen(tied(argv), cwd=folder, stdout=subprocess.DEVNULL)
        self._bus[port] = bus
        until(lambda: self._answers(port), "the node starts", pause_s=0.02)
        return port

    def _answers(self, port: int) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.command(port, "PING"))
        return False

    def _meet(self, ports: list[int], known: int) -> None:
        for port in ports:
            self.command(port, "CLUSTER", "MEET", "127.0.0.1", known, self._bus[known])
        until(lambda: all(self._sees_all(port) for port in self.nodes), "the nodes know each other", pause_s=0.05)

    def _sees_all(self, port: int) -> bool:
        info = str(self.command(port, "CLUSTER", "INFO"))
        return "cluster_state:ok" in info and f"cluster_known_nodes:{len(self.nodes)}\r" in info


def start_cluster(kind: str, password: str = "", node_timeout_ms: int = 15_000) -> Iterator[Cluster]:
    """`kind`: as for `start_server`. node_timeout_ms: after which a silent node counts as failed."""
    program = find_server() if kind == "valkey" else shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on PATH")
    folder = Path(tempfile.mkdtemp(prefix="mbx"))
    cluster = Cluster(program, folder, password, node_timeout_ms)
    yield cluster
    cluster.close()
    shutil.rmtree(folder)
