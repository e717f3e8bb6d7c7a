"""Passwords that are read from a file, which keeps them out of the process list."""

from pathlib import Path
from typing import Annotated

import typer

from stream.errors import UsageError

_MAX_PASSWORD = 1024  # bytes

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File whose first line is the password of the user in SRC, or the passphrase of SRT; "
        "keeps it out of the process list.",
    ),
]


def with_password_of(source: str, password_file: Path | None) -> str:
    """The address with the password in the file, if there is one. Raises UsageError, which quotes neither."""
    from stream.address import with_password

    return source if password_file is None else with_password(source, first_line(password_file))


def first_line(path: Path) -> bytes:
    """The first line, without the line end. Raises UsageError if it is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_PASSWORD).rstrip(b"\r\n")
    except OSError as exc:
        raise UsageError(f"--password-file {path}: {exc.strerror}") from None
    if not line:
        raise UsageError(f"--password-file {path}: its first line is empty")
    return line
