"""A lock that processes of one machine share. Blocks: call it in a thread."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream import private


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file at `path`, which is created with its folder, and stays. Raises OSError."""
    private.make_folder(path.parent)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
