"""Entry point of `mattebox`. Imports little, so that Ctrl-C works while the command line (`commands/app.py`) loads."""

import atexit
import contextlib
import os
import signal
import sys

from stream import loading
from stream.signals import endings
from stream.supervised import is_supervised


def main() -> None:
    """Run a command and exit with its code."""
    for number in endings():
        signal.signal(number, _exit_interrupted)
    _survive_closed_streams()
    codes: list[int] = []
    atexit.register(_exit_with, codes)  # registered first, so it runs last
    quiet = is_supervised()
    loading.begin()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it searches all installed packages for plug-ins
    from commands import app

    try:
        code = app.run(quiet)
    except SystemExit as exc:
        if not isinstance(exc.code, int):
            raise
        code = exc.code
    codes.append(code)
    sys.exit(code)


def _exit_with(codes: list[int]) -> None:
    """Exit without the rest of Python's shutdown, which frees every object of every module: that takes 0.3 s of CPU
    time, a second on a busy machine, for each program of `serve`, and a signal meanwhile would show as a kill.

    codes: the exit code; empty if the command ended by an error of its own, which Python reports.
    """
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # the reader has closed the pipe
                stream.flush()
        os._exit(codes[0])


def _exit_interrupted(*_: object) -> None:
    """Signal handler used while the command line is loading: exit at once, there is nothing to clean up yet."""
    if not is_supervised():
        with contextlib.suppress(OSError):
            if "--json" in sys.argv:
                os.write(1, b'{"event": "error", "code": "interrupted", "message": "interrupted"}\n')
            os.write(2, b"error: interrupted\n")
    os._exit(130)


def _survive_closed_streams() -> None:
    """Work also when started without standard output or error (`2>&-`)."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - stays open until the process exits
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    main()
