"""A master, a replica and three sentinels on loopback, as real servers that a test may kill."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import redis

from stream.serve.die_with_parent import tied
from stream.serve.redis_server import find_server
from tests.servers import free_port
from tests.waiting import until

Condition = Callable[[], bool]
MASTER = "mattes"
_DOWN_AFTER_MS = 800
_SENTINEL = """
bind 127.0.0.1
port {port}
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} {down_ms}
sentinel failover-timeout {name} 4000
"""


class Group:
    """servers: processes by port, the first one is the first master. login: passwords of the servers and sentinels."""

    def __init__(self, folder: Path, password: str = "", sentinel_password: str = "") -> None:
        self._folder, self._program = folder, find_server()
        self._password, self._sentinel_password = password, sentinel_password
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.sentinels: dict[int, subprocess.Popen[bytes]] = {}
        master, replica = free_port(), free_port()
        self._serve(master)
        self._serve(replica, "--replicaof", "127.0.0.1", str(master))
        for _ in range(3):
            self._watch(free_port(), master)
        self._until(lambda: all(self._sees_all(port) for port in self.sentinels))

    def url(self, database: int = 0) -> str:
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        query = f"?sentinel_password={quote(self._sentinel_password, safe='')}" if self._sentinel_password else ""
        return f"redis+sentinel://{login}{hosts}/{MASTER}/{database}{query}"

    def master(self) -> int:
        """The port of the master that the sentinels agree on."""
        found: set[int] = set()

        def agree() -> bool:
            found.clear()
            for port in self.sentinels:
                with self._client(port) as sentinel:
                    state = sentinel.sentinel_master(MASTER)
                    found.add(0 if state["is_sdown"] or state["is_odown"] else int(state["port"]))
            return len(found) == 1 and 0 not in found

        self._until(agree)
        return found.pop()

    def replicas(self) -> list[int]:
        """The ports of the replicas that follow the master, once there is one."""
        found: list[int] = []

        def follow() -> bool:
            with self.client(self.master()) as master:
                info = master.info("replication")
            found[:] = [int(info[f"slave{n}"]["port"]) for n in range(int(info["connected_slaves"]))]
            return bool(found)

        self._until(follow)
        return found

    def fail_over(self) -> None:
        """Make the replica the master, while the master is well.

        A sentinel that has not read the replica's state recently refuses (NOGOODSLAVE), so the command is repeated.
        """

        def accepted() -> bool:
            with self._client(next(iter(self.sentinels))) as sentinel:
                return bool(sentinel.execute_command("SENTINEL", "FAILOVER", MASTER))

        self._until(accepted)

    def master_other_than(self, port: int) -> int:
        found = [port]

        def changed() -> bool:
            found[0] = self.master()
            return found[0] != port

        self._until(changed)
        return found[0]

    def kill(self, port: int) -> None:
        self.servers[port].kill()
        self.servers[port].wait()

    def freeze(self, port: int) -> None:
        """Let a server hang: its connections stay open, but it answers no call."""
        self.servers[port].send_signal(signal.SIGSTOP)

    def thaw(self, port: int) -> None:
        self.servers[port].send_signal(signal.SIGCONT)

    def revive(self, port: int) -> None:
        """Start a killed server again. The sentinels make it a replica."""
        self._serve(port)

    def client(self, port: int) -> "redis.Redis":
        return redis.Redis(port=port, password=self._password or None, decode_responses=True)

    def close(self) -> None:
        for process in (*self.sentinels.values(), *self.servers.values()):
            process.kill()
            process.wait()

    def _serve(self, port: int, *options: str) -> None:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        argv = [self._program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        argv += ["--repl-diskless-sync-delay", "0", "--repl-timeout", "5", *options]
        if self._password:
            argv += ["--requirepass", self._password, "--masterauth", self._password]
        self.servers[port] = subprocess.Popen(tied(argv), cwd=folder, stdout=subprocess.DEVNULL)

    def _watch(self, port: int, master: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        text = _SENTINEL.format(port=port, folder=folder, name=MASTER, master=master, down_ms=_DOWN_AFTER_MS)
        if self._password:
            text += f'sentinel auth-pass {MASTER} "{self._password}"\n'
        if self._sentinel_password:
            text += f'requirepass "{self._sentinel_password}"\n'
        (folder / "sentinel.conf").write_text(text)
        argv = tied([self._program, str(folder / "sentinel.conf"), "--sentinel"])
        self.sentinels[port] = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)

    def _client(self, port: int) -> "redis.Redis":
        return redis.Redis(port=port, password=self._sentinel_password or None)

    def _sees_all(self, port: int) -> bool:
        with self._client(port) as sentinel:
            state = sentinel.sentinel_master(MASTER)
        return int(state["num-slaves"]) == 1 and int(state["num-other-sentinels"]) == 2

    @staticmethod
    def _until(condition: Condition) -> None:
        def agreed() -> bool:
            with contextlib.suppress(redis.RedisError):
                return condition()
            return False

        until(agreed, "the sentinels agree", pause_s=0.05)


@contextlib.contextmanager
def sentinel_group(password: str = "", sentinel_password: str = "") -> Iterator[Group]:
    folder = Path(tempfile.mkdtemp(prefix="mbx"))
    group = Group(folder, password, sentinel_password)
    try:
        yield group
    finally:
        group.close()
        shutil.rmtree(folder)
