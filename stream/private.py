"""Files and folders that only the user whom the server runs as may read: mode 0600 and 0700, whatever the umask is.

For everything that a server stores. Results of `mattebox file` follow the umask, as the user expects.
"""

import errno
import os
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from stream.errors import disk_error

_PROBE_BYTES = 65_536  # more than a full file system can still store beside its metadata


def make_folder(folder: Path) -> None:
    """Create the folder and its missing parents, all private; existing ones are left as they are. Raises OSError."""
    try:
        _make(folder)
    except FileNotFoundError:
        make_folder(folder.parent)
        _make(folder)  # once more only: there are file systems where no folders can be created


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def create(path: Path) -> BinaryIO:
    """Create a new private file, opened for writing. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def write(path: Path, text: str) -> None:
    """Write a new private file, in UTF-8. Raises OSError."""
    with create(path) as file:
        file.write(text.encode())


def check_folder(folder: Path) -> None:
    """Create the folder if necessary, and check that files can be written in it. Raises DiskError, naming the cause."""
    probe = folder / f".{token_hex(8)}.check"
    try:
        make_folder(folder)
        try:
            with create(probe) as file:
                file.write(bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as exc:
        raise disk_error(exc, folder) from exc
