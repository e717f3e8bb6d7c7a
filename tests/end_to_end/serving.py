"""`mattebox serve` as a user starts it: a separate process with its own data folder, and its child processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.media import ROOT
from tests.servers import free_port

_START_S = 60.0


class Served:
    """A running server.

    program: the Python module to run. python: the interpreter. source: the working directory, and so the code it runs.
    """

    def __init__(
        self,
        folder: Path,
        env: dict[str, str],
        *words: str,
        program: str = "mattebox",
        python: str = sys.executable,
        source: str | Path = ROOT,
    ) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "serve.log"
        own = {"MATTEBOX_DATA_DIR": str(folder / "data"), "MATTEBOX_HW_ENCODE": "0", "REDIS_URL": ""}
        argv = [python, "-m", program, "serve", "--port", str(self.port), *words]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=source, env=os.environ | own | env, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> None:
        until_s = time.monotonic() + _START_S
        while not self.is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until_s, f"not ready: {self.log.read_text()}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz?for=live", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def programs(self, name: str) -> list[int]:
        """Process ids of "redis", "worker" or "web", oldest first: the active worker comes before its spare."""
        marks = {
            "redis": ("redis.sock", "stream.serve.redis_server"),
            "worker": ("worker --for live",),
            "web": (" web --host",),
        }
        found = [pid for pid in descendants(self.process.pid) if any(m in _command(pid) for m in marks[name])]
        return sorted(found, key=_started)

    def busy_worker(self) -> int:
        """The process id of the worker that has the newest session."""
        newest = httpx.get(f"{self.url}/api/sessions", timeout=5).json()["sessions"][0]
        return int(newest["worker"].split("-")[-2])  # HOST-PID-RANDOM

    def idle_spare(self) -> int | None:
        """The process id of the spare worker, once it is loaded: then it has logged its capacity."""
        loaded = self.log.read_text().count("room for")
        workers = self.programs("worker")
        return workers[-1] if len(workers) == 2 and loaded > self._taken_over() + 1 else None

    def _taken_over(self) -> int:
        return self.log.read_text().count("WARNING stream.serve.supervise: worker ")

    def end(self, number: signal.Signals = signal.SIGINT, limit_s: float = 15.0) -> tuple[int, float]:
        """End it and return its exit code and the seconds it took. None of its processes may be left."""
        family, began_s = descendants(self.process.pid), time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(limit_s)
        finally:
            self.kill()
        took_s = time.monotonic() - began_s
        left = [f"{pid}: {_command(pid)}" for pid in family if alive(pid)]
        assert not left, f"orphans: {left}"
        return code, took_s

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(
    folder: Path,
    *words: str,
    program: str = "mattebox",
    python: str = sys.executable,
    source: str | Path = ROOT,
    **env: str,
) -> Iterator[Served]:
    """A server that is ready, and is ended afterwards. env: settings without MATTEBOX_. The rest is as in `Served`."""
    settings = {f"MATTEBOX_{name.upper()}": value for name, value in env.items()}
    served = Served(folder, settings, *words, program=program, python=python, source=source)
    try:
        served.wait_ready()
        yield served
    finally:
        if served.process.poll() is None:
            code, _ = served.end()
            assert code in (0, 130), served.log.read_text()
    assert "Traceback" not in served.log.read_text(), served.log.read_text()


def descendants(pid: int) -> list[int]:
    """The process ids of all descendants of a process, from Linux's /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_mib(pid: int) -> float:
    """Resident memory that is not shared with other processes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat, from the state on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[19]) if stat else 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
