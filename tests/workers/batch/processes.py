"""The processes of a batch and of its Ray, found by a variable of their environment; on Linux."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.waiting import until

_LISTEN = "0A"
_LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def with_variable(text: str) -> list[int]:
    """The ids of processes that were started with NAME=VALUE, other than this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def wait_for_end(text: str) -> None:
    """Wait until the processes with this variable have ended."""
    until(lambda: not with_variable(text), f"the processes with {text} end")


def listening(pids: list[int]) -> dict[str, bool]:
    """The sockets at which these processes listen, and whether each is on loopback."""
    sockets = {inode for pid in pids for inode in _sockets(pid)}
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in sockets:
                found[fields[1]] = fields[1].partition(":")[0] in _LOOPBACK
    return found


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)):
                    yield match[1]
