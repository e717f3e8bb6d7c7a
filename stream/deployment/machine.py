"""This machine or container: cores and memory with their limits, the user, and the folders that must be writable."""

import os
import shutil
import tempfile
from pathlib import Path

from stream import cores
from stream.finding import Finding
from stream.settings import Settings

_MEMORY = Path("/sys/fs/cgroup/memory.max")  # of this container, in version 2 of cgroups
_LEAST = 2 * 2**30  # bytes: a worker of `rvm` and the video of one job
_CACHE_LOW = 2**30  # bytes


def check(settings: Settings, memory_file: Path = _MEMORY) -> list[Finding]:
    folders = {"data folder": settings.data_dir, "cache folder": settings.cache_dir, "temporary folder": None}
    return [
        _cores(settings),
        _memory(memory_file),
        _user(),
        *(folder(name, path or Path(tempfile.gettempdir())) for name, path in folders.items()),
    ]


def _cores(settings: Settings) -> Finding:
    available, used = cores.available(), settings.cores()
    detail = f"{used} used, of {available} that this process may use and {os.cpu_count()} of the machine"
    if used > available:
        return Finding("cores", None, detail, "remove MATTEBOX_THREADS, or raise the container's quota")
    return Finding("cores", True, detail)


def _memory(limit_file: Path) -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = min(total, int(limit_file.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        limit = total
    detail = f"{limit / 2**30:.1f} GiB" + (f" of the machine's {total / 2**30:.1f}" if limit < total else "")
    if limit >= _LEAST:
        return Finding("memory", True, detail)
    return Finding("memory", None, detail, f"give a worker at least {_LEAST / 2**30:.0f} GiB; web needs less")


def _user() -> Finding:
    if not hasattr(os, "geteuid"):
        return Finding("user", None, "unknown on this system")
    user = os.geteuid()
    if user:
        return Finding("user", True, f"runs as user {user}")
    return Finding("user", None, "runs as root", "run it as another user: the images use 10001")


def folder(name: str, path: Path) -> Finding:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0")
        free = shutil.disk_usage(path).free
    except OSError as exc:
        remedy = "mount a volume there, owned by the user of this process"
        return Finding(name, False, f"{path}: {exc.strerror}", remedy)
    detail = f"{path}, {free / 2**30:.1f} GiB free"
    return Finding(name, True if free > _CACHE_LOW else None, detail, "" if free > _CACHE_LOW else "make room")
