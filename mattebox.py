"""Where `mattebox` begins. Imports little: Ctrl-C may come before the command line (`commands/app.py`) is loaded."""

import atexit
import contextlib
import os
import signal
import sys

from stream.signals import endings


def main() -> None:
    """Entry point: run a command and exit with its code."""
    for number in endings():
        signal.signal(number, _leave)
    _survive_closed_streams()
    interrupted: list[int] = []
    # What is registered first runs last. Python would end as killed where the signal came at an unlucky moment.
    atexit.register(lambda: interrupted and os._exit(interrupted[0]))
    from commands import app

    code = app.run()
    if code == app.INTERRUPTED:
        interrupted.append(code)
    with contextlib.suppress(OSError):  # whoever read it has gone
        sys.stdout.flush()
    sys.exit(code)


def _leave(*_: object) -> None:
    """Nothing has begun yet that would have to be ended."""
    with contextlib.suppress(OSError):
        if "--json" in sys.argv:
            os.write(1, b'{"event": "error", "code": "interrupted", "message": "interrupted"}\n')
        os.write(2, b"error: interrupted\n")
    os._exit(130)


def _survive_closed_streams() -> None:
    """Started without standard output or error (`2>&-`), the work is done all the same."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    main()
