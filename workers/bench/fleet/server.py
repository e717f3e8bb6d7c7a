"""A Redis server of the benchmark's own, and what its calls cost it: processor time, commands and memory."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.errors import ServerError
from stream.records.redis_link import RedisLink
from stream.serve.die_with_parent import tied
from stream.serve.redis_server import find_server

_START_S = 20.0
_STOP_S = 5.0
_COMMAND = "cmdstat_"
_OWN = {"info", "config|resetstat"}
"""Commands of the measurement itself."""


@dataclass(frozen=True)
class Usage:
    """Since the server's start. cpu_s: of all its threads. commands: those that scripts run included, scripts
    themselves not."""

    cpu_s: float
    commands: int

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_s + other.cpu_s, self.commands + other.commands)

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_s - earlier.cpu_s, self.commands - earlier.commands)


@contextmanager
def started() -> Iterator[str]:
    """Start a server on loopback that writes an append-only file, as an installation's does. Yields its URL.

    Prefers `redis-server` on PATH to the embedded Valkey. Raises ServerError if there is none, or it does not start.
    """
    program = shutil.which("redis-server") or find_server()
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder, (Path(folder) / "log").open("wb") as log:
        port = _free_port()
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
        argv = tied([program, "--port", str(port), "--dir", folder, *options])
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _wait(process, port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            process.kill()
            process.wait()


async def usage(link: RedisLink) -> Usage:
    """Raises StoreDown."""
    cpu, stats = await _info(link, "cpu"), await _info(link, "commandstats")
    commands = {name.removeprefix(_COMMAND): value for name, value in stats.items()}
    counted = (
        int(value.partition("calls=")[2].partition(",")[0])
        for name, value in commands.items()
        if name not in _OWN and not name.startswith("eval")
    )
    return Usage(float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]), sum(counted))


async def memory_bytes(link: RedisLink) -> int:
    """Memory that the server uses for its data. Raises StoreDown."""
    return int((await _info(link, "memory"))["used_memory"])


async def version(link: RedisLink) -> str:
    """Name and version of the server, such as "redis 8.0.2". Raises StoreDown."""
    info = await _info(link, "server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"


async def _info(link: RedisLink, section: str) -> dict[str, str]:
    found = await link.ask("INFO", section)
    if not isinstance(found, str):  # parsed by the client
        return {name: _text(value) for name, value in found.items()}
    pairs = (line.partition(":") for line in found.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _text(value: object) -> str:
    """A value of INFO as the server sent it: the client parses lists such as `calls=1,usec=2`."""
    return ",".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            probe.sendall(b"PING\r\n")
            if probe.recv(64).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    raise ServerError("the benchmark's Redis server does not start")
