"""Ways in which a real Redis or Valkey refuses calls for a while, and how each of them ends."""

import contextlib
import os
import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.servers import RedisServer, free_port
from tests.waiting import until

Change = Callable[[RedisServer], None]


@dataclass(frozen=True)
class Refusal:
    """reply: what the server's error begins with. begin, end: change the server; without `end` it cannot be undone."""

    reply: str
    begin: Change
    end: Change | None = None


def configured(name: str, value: str | int) -> Change:
    def change(server: RedisServer) -> None:
        with server.client() as raw:
            raw.config_set(name, value)

    return change


def commanded(*words: str) -> Change:
    def change(server: RedisServer) -> None:
        with server.client() as raw:
            raw.execute_command(*words)

    return change


def become_replica(server: RedisServer) -> None:
    """Of a master that does not exist."""
    with server.client() as raw:
        raw.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))


def lose_master(server: RedisServer) -> None:
    configured("replica-serve-stale-data", "no")(server)
    become_replica(server)


def fail_snapshot(server: RedisServer) -> None:
    """Kill the process that saves a snapshot."""
    with server.client() as raw:
        raw.config_set("save", "3600 1")
        raw.config_set("rdb-key-save-delay", 10_000_000)
        raw.set("k", "v")
        raw.bgsave()
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        for child in until(lambda: children.read_text().split()):
            os.kill(int(child), 9)
        until(lambda: raw.info("persistence")["rdb_last_bgsave_status"] == "err")


def save_snapshot(server: RedisServer) -> None:
    configured("save", "")(server)


def fill_disk(server: RedisServer) -> None:
    """Its append-only file cannot grow; to the server this looks like a full disk."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    with server.client() as raw:
        until(lambda: refused(raw, "MISCONF"))


def empty_disk(server: RedisServer) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with server.client() as raw:
        until(lambda: not refused(raw, "MISCONF"))


def run_endless_script(server: RedisServer) -> None:
    configured("busy-reply-threshold", 10)(server)

    def run() -> None:
        with server.client() as raw, contextlib.suppress(redis.RedisError):
            raw.eval("while true do end", 0)

    threading.Thread(target=run, daemon=True).start()
    with server.client() as raw:
        until(lambda: refused(raw, "BUSY"))


def kill_script(server: RedisServer) -> None:
    with server.client() as raw:
        raw.script_kill()
        until(lambda: not refused(raw, "BUSY"))


def load_slowly(server: RedisServer) -> None:
    """Restart with data that takes ten seconds to load."""
    with server.client() as raw:
        for number in range(500):
            raw.set(f"k{number}", os.urandom(1000))
        raw.bgrewriteaof()
        until(lambda: not raw.info("persistence")["aof_rewrite_in_progress"])
    server.kill()
    server.launch("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    with server.client() as raw:
        until(lambda: refused(raw, "LOADING"))


def change_password(server: RedisServer) -> None:
    """And close the connections that were made with the old one."""
    with server.client() as raw, contextlib.suppress(redis.ConnectionError):
        raw.config_set("requirepass", "changed")
        raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")


def refused(raw: "redis.Redis", code: str) -> bool:
    try:
        raw.set("filler", "v" * 500)
    except redis.RedisError as exc:
        return code in (getattr(exc, "status_code", ""), str(exc).split(" ")[0])
    return False


REFUSALS = {
    "memory full": Refusal("OOM", configured("maxmemory", 1), configured("maxmemory", 0)),
    "too few replicas": Refusal(
        "NOREPLICAS", configured("min-replicas-to-write", 1), configured("min-replicas-to-write", 0)
    ),
    "replica": Refusal("READONLY", become_replica, commanded("REPLICAOF", "NO", "ONE")),
    "replica without master": Refusal("READONLY|MASTERDOWN", lose_master, commanded("REPLICAOF", "NO", "ONE")),
    "snapshot failed": Refusal("MISCONF", fail_snapshot, save_snapshot),
    "disk full": Refusal("MISCONF", fill_disk, empty_disk),
    "endless script": Refusal("BUSY", run_endless_script, kill_script),
    "loading": Refusal("LOADING", load_slowly),
    "paused": Refusal(
        "no reply in time", commanded("CLIENT", "PAUSE", "60000", "WRITE"), commanded("CLIENT", "UNPAUSE")
    ),
    "password changed": Refusal("NOAUTH|Authentication required", change_password),
    "permissions changed": Refusal(
        "NOPERM|ACL failure|The user executing",
        commanded("ACL", "SETUSER", "default", "resetkeys", "~other:*"),
        commanded("ACL", "SETUSER", "default", "allkeys"),
    ),
}
