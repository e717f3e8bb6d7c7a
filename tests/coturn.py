"""Debian's coturn on loopback: a real TURN server with time-limited credentials."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aioice import stun

from stream.serve.die_with_parent import tied
from tests.servers import free_port
from tests.waiting import until

TURNSERVER = shutil.which("turnserver")
SECRET = "a shared secret"


@dataclass(frozen=True)
class Turn:
    """A running server. It relays to loopback, which an operator's server must refuse."""

    port: int

    @property
    def settings(self) -> dict[str, str]:
        """Settings of Mattebox for this server, over UDP and over TCP, without MATTEBOX_."""
        url = f"turn:127.0.0.1:{self.port}"
        return {"ice_servers": f"{url},{url}?transport=tcp", "turn_secret": SECRET}


@contextmanager
def turn_server(folder: Path) -> Iterator[Turn]:
    """Serve TURN over UDP and TCP, with its files in `folder`."""
    assert TURNSERVER
    turn = Turn(free_port())
    address = ["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port", str(turn.port)]
    access = ["--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "test", "--allow-loopback-peers"]
    files = ["--pidfile", str(folder / "turn.pid"), "--userdb", str(folder / "turn.db"), "--log-file", "stdout"]
    line = [TURNSERVER, "-n", "--no-tls", "--no-dtls", "--no-cli", *address, *access, *files]
    with (folder / "turn.log").open("wb") as log:
        process = subprocess.Popen(tied(line), stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _answers(turn.port), "coturn answers", pause_s=0.05)
        assert process.poll() is None, (folder / "turn.log").read_text()
        yield turn
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    """Whether a STUN server answers there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.connect(("127.0.0.1", port))
            client.send(bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)))
            return bool(client.recv(2048))
        except OSError:
            return False
