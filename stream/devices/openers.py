"""Whether other programs have a device open, by the file descriptors in /proc. Linux only.

The descriptors of other users' programs are invisible, except to root.
"""

import os
from pathlib import Path

_PROC = Path("/proc")


def others_open(path: str) -> bool | None:
    """Whether a program other than this one has the file or device open; None where the system cannot tell."""
    if not (_PROC / "self/fd").is_dir():
        return None
    own, target = str(os.getpid()), os.path.realpath(path)
    return any(_has_open(entry, target) for entry in os.listdir(_PROC) if entry.isdigit() and entry != own)


def _has_open(process: str, target: str) -> bool:
    folder = f"{_PROC}/{process}/fd"
    try:
        return any(_target(f"{folder}/{number}") == target for number in os.listdir(folder))
    except OSError:  # it has ended, or belongs to another user
        return False


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
