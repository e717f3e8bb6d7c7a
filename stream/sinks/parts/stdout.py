"""Standard output as an output: it carries the result alone. Nothing appears under a name."""

import functools
import os
from pathlib import Path

from stream.errors import UsageError


@functools.cache
def reserve() -> int:
    """Keep standard output for the result. Returns its new file descriptor; everything else that is printed goes to
    standard error from now on.

    Raises UsageError if it is a terminal.
    """
    if os.isatty(1):
        raise UsageError("standard output is a terminal; write to a file or a pipe: mattebox file IN -o - ... > OUT")
    result = os.dup(1)
    os.dup2(2, 1)
    return result


class Stdout:
    """Has the interface of `Partial`. Nothing can be published or discarded: the reader has what was written."""

    final = Path("standard output")

    def __init__(self) -> None:
        """Raises UsageError if it is a terminal."""
        self.fd = reserve()
        self.path = Path(f"/dev/fd/{self.fd}")
        self.url = f"pipe:{self.fd}"

    def publish(self) -> None:
        """Nothing to rename."""

    def discard(self) -> None:
        """Nothing to remove."""
