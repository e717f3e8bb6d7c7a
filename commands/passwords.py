"""Passwords, tokens and addresses that are read from a file, which keeps them out of the process list."""

from pathlib import Path
from typing import Annotated

import typer

from stream.errors import UsageError

_MAX_LINE = 4096  # bytes
_FROM_FILE = "@"

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File whose first line is the password of the user in SRC, or the passphrase of SRT; "
        "keeps it out of the process list.",
    ),
]
TOKEN_FILE_HELP = "File whose first line is the token; keeps it out of the process list."
SourceToken = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", envvar="MATTEBOX_WHEP_TOKEN", help="Bearer token for a WHEP source; '' for none."),
]
SourceTokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help=TOKEN_FILE_HELP)]


def with_password_of(source: str, password_file: Path | None) -> str:
    """The address with the password in the file, if there is one. Raises UsageError, which quotes neither."""
    from stream.address import with_password

    return source if password_file is None else with_password(source, first_line(password_file, "--password-file "))


def token_of(token: str | None, token_file: Path | None, option: str) -> str | None:
    """The token, or that in the file. option: of the token; that of the file is the same with "-file".

    Raises UsageError, which quotes neither.
    """
    if token_file is None:
        return token
    if token:
        raise UsageError(f"give the token with {option}, in its environment variable or with {option}-file, not twice")
    return _text(token_file, f"{option}-file ")


def address_of(text: str) -> str:
    """The address that an argument names: itself, or for @FILE the first line of the file. Raises UsageError."""
    return _text(Path(text[1:]), _FROM_FILE) if text.startswith(_FROM_FILE) else text


def _text(path: Path, option: str) -> str:
    try:
        return first_line(path, option).decode().strip()
    except UnicodeDecodeError:
        raise UsageError(f"{option}{path}: its first line is not UTF-8") from None


def first_line(path: Path, option: str) -> bytes:
    """The first line, without the line end. option: what named the file, for errors. Raises UsageError if it is empty
    or cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_LINE).rstrip(b"\r\n")
    except OSError as exc:
        raise UsageError(f"{option}{path}: {exc.strerror}") from None
    if not line:
        raise UsageError(f"{option}{path}: its first line is empty")
    return line
