"""Real Redis-compatible servers for tests, which can be frozen, killed and restarted; and async tests."""

import asyncio
import functools
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ParamSpec

import pytest
import redis

from stream.records.redis_keys import RedisKeys
from stream.serve.die_with_parent import tied
from stream.serve.redis_server import find_server
from tests.waiting import until

KEYS = RedisKeys()
"""The keys in a server whose address names no prefix."""
P = ParamSpec("P")


def asynctest(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in its own event loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One server with an append-only file, on a unix socket (the embedded Valkey) or a loopback port (plain Redis)."""

    def __init__(self, program: str, folder: Path, over_tcp: bool, *options: str) -> None:
        self._folder = folder
        port = free_port() if over_tcp else 0
        self.url = f"redis://127.0.0.1:{port}" if over_tcp else f"unix://{folder}/s"
        # by default, a write may wait 2 s for a slow disk, and be lost if the server is killed meanwhile
        file = ("--save", "", "--appendonly", "yes", "--appendfsync", "no")
        self._argv = [program, "--port", str(port), "--unixsocket", "s", *file, *options]
        self.start()

    def start(self) -> None:
        self.launch()
        with self.client() as client:
            until(lambda: self._answers(client), "the server starts", pause_s=0.01)

    def _answers(self, client: "redis.Redis") -> bool:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False

    def launch(self, *options: str) -> None:
        """Start it without waiting until it answers."""
        self.process = subprocess.Popen(tied([*self._argv, *options]), cwd=self._folder, stdout=subprocess.DEVNULL)

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, decode_responses=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def start_server(kind: str, *options: str, over_tcp: bool | None = None) -> Iterator[RedisServer]:
    """`kind`: "valkey" (what `serve` embeds) or "redis" (redis-server on PATH; skipped where there is none).

    options: of the server's command line. over_tcp: on a loopback port; None: only "redis" is.
    """
    program = find_server() if kind == "valkey" else shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on PATH")
    folder = Path(tempfile.mkdtemp(prefix="mbx"))  # short, because socket paths are limited
    server = RedisServer(program, folder, kind == "redis" if over_tcp is None else over_tcp, *options)
    yield server
    server.kill()
    shutil.rmtree(folder)
