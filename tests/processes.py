"""The processes that a test has started."""

from contextlib import suppress
from pathlib import Path

import pytest


def children(pid: int, word: str) -> list[int]:
    """The ids of child processes whose command line contains the word. Skips the test where there is no /proc."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        pytest.skip("needs /proc")
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread has ended
        for task in tasks.iterdir():
            found += [int(text) for text in (task / "children").read_text().split()]
    return [child for child in found if word in _command(child)]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
