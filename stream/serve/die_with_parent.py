"""Child processes that end with their parent, even if the parent is killed with SIGKILL.

`tied(argv)` is a command that arranges this and then becomes `argv` by exec (same process id, no process in between).
On Linux the kernel sends SIGKILL when the parent ends (PR_SET_PDEATHSIG); elsewhere a small forked process checks
twice a second. Run as a file with `python -I -S`, so that it starts in about 20 ms: only uses the standard library.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_CHECK_INTERVAL_S = 0.5


def tied(argv: Sequence[str]) -> list[str]:
    """`argv` as a command for a child process that must not outlive this one.

    Start it from the main thread: on Linux the parent is a thread, and the child is killed when that thread ends.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def die_with_kernel(parent: int) -> None:
    """Have the kernel kill this process, also after exec, when the process `parent` (a pid) ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)


def die_with_watcher(parent: int) -> None:
    """As `die_with_kernel`, for kernels without PR_SET_PDEATHSIG: a forked process watches and kills."""
    watched = os.getpid()
    if os.fork() == 0:
        _watch(parent, watched)


def _watch(parent: int, watched: int) -> None:
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))  # else readers of the watched process's output would wait for us
    while os.getppid() == watched:
        if not _alive(parent):
            os.kill(watched, signal.SIGKILL)
        time.sleep(_CHECK_INTERVAL_S)
    os._exit(0)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    (die_with_kernel if sys.platform == "linux" else die_with_watcher)(parent)
    try:
        os.execvp(argv[0], argv)
    except OSError as exc:
        sys.exit(f"error: {argv[0]}: {exc.strerror}")


if __name__ == "__main__":
    main()
