"""The rule for existing outputs, the same for every command that writes files.

With `--overwrite` they are replaced. Otherwise a person at a terminal is asked, and a script gets an error, before any
work is done.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stream.errors import UsageError

if TYPE_CHECKING:
    from stream.address import Address


def check_outputs(outputs: "Sequence[Address | Path]", overwrite: bool) -> None:
    """Check that a video's outputs do not exist, or may be replaced. Raises UsageError, typer.Abort."""
    from stream.sinks import existing

    check_existing([found for output in outputs if (found := existing(output))], overwrite)


def check_file(path: Path, overwrite: bool) -> None:
    """Like `check_outputs`, for a single file of any format."""
    check_existing([path] if path.exists() else [], overwrite)


def check_saved(path: Path | None, overwrite: bool) -> None:
    """As `check_file`, for the results of a benchmark, before its minutes of work. path: None if they are not saved."""
    if path is not None:
        check_file(path, overwrite)


def check_not_input(source: Path, output: Path) -> None:
    """Raise UsageError if both are the same file."""
    if source.exists() and output.exists() and source.samefile(output):
        raise UsageError("the output would overwrite the input; choose another name")


def check_existing(existing: Sequence[Path], overwrite: bool) -> None:
    """Check that these files and folders may be replaced. Raises UsageError, typer.Abort."""
    if overwrite or not existing:
        return
    names = _names(existing)
    if not _at_a_terminal():
        raise UsageError(f"{names}; choose another name, or replace with --overwrite (-y)")
    if not typer.confirm(f"{names}. Replace?", err=True):
        raise UsageError("nothing was replaced; choose another name")


def keeps_existing(existing: Sequence[Path], overwrite: bool) -> bool:
    """Whether existing outputs are kept when there are many: not with `--overwrite`; a person at a terminal is asked; a
    script keeps them."""
    if overwrite or not existing:
        return False
    return not (_at_a_terminal() and typer.confirm(f"{_names(existing)}. Replace?", err=True))


def _at_a_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())


def _names(existing: Sequence[Path]) -> str:
    first = existing[0]
    sentence = f"{first} exists and is not empty" if first.is_dir() else f"{first} already exists"
    return sentence if len(existing) == 1 else f"{len(existing)} outputs already exist, such as {first}"
