"""Entry point of `mattebox`. Imports little, so that Ctrl-C works while the command line (`commands/app.py`) loads."""

import atexit
import contextlib
import os
import signal
import sys

from stream.signals import endings


def main() -> None:
    """Run a command and exit with its code."""
    for number in endings():
        signal.signal(number, _exit_interrupted)
    _survive_closed_streams()
    interrupted: list[int] = []
    # Registered first, so it runs last: a signal during shutdown could otherwise make Python exit as killed.
    atexit.register(lambda: interrupted and os._exit(interrupted[0]))
    from commands import app

    code = app.run()
    if code == app.INTERRUPTED:
        interrupted.append(code)
    with contextlib.suppress(OSError):  # the reader has closed the pipe
        sys.stdout.flush()
    sys.exit(code)


def _exit_interrupted(*_: object) -> None:
    """Signal handler used while the command line is loading: exit at once, there is nothing to clean up yet."""
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
