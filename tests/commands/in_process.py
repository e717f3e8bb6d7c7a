"""`mattebox` in this process: for tests that need its exit code and messages, but not a process of its own."""

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest

from commands import app
from stream.settings import settings
from stream.signals import endings
from tests.media import ROOT


def mattebox_here(*arguments: object, env: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Like `tests.media.mattebox`, but takes milliseconds. env: additional environment variables."""
    words = ["mattebox", *map(str, arguments)]
    out, errors = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(ROOT), _process_restored():
        patch.setattr(sys, "argv", words)
        for name, value in (env or {}).items():
            patch.setenv(name, str(value))
        with redirect_stdout(out), redirect_stderr(errors):
            try:
                code = app.run()
            except SystemExit as exc:  # as `mattebox.main` does
                code = exc.code if isinstance(exc.code, int) else 1
    return subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())


@contextmanager
def _process_restored() -> Iterator[None]:
    """Restores what a command changes in its process: signal handlers, the log, and the settings it has read."""
    signals = {number: signal.getsignal(number) for number in endings()}
    log = logging.getLogger()
    handlers, level = list(log.handlers), log.level
    settings.cache_clear()
    try:
        yield
    finally:
        settings.cache_clear()
        log.handlers[:] = handlers
        log.setLevel(level)
        for number, handler in signals.items():
            signal.signal(number, handler)
