"""Programs that end with the one that started them, even if that one is killed with SIGKILL.

`tied(argv)` is a command that does this and then becomes `argv` (same process id, no process in between). On Linux the
kernel sends SIGKILL when the parent is gone (PR_SET_PDEATHSIG); elsewhere a small forked process looks twice a second.
Run as a file with `python -I -S`, so that it starts in some 20 ms: imports nothing but the standard library.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.5


def tied(argv: Sequence[str]) -> list[str]:
    """`argv` as a command for a child of this process that must not outlive it.

    Start it from the main thread: to Linux a parent is a thread, and a child of one that ends is killed.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def die_with_kernel(parent: int) -> None:
    """From now on this process, and what it becomes by exec, is killed when `parent` is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def die_with_watcher(parent: int) -> None:
    """As `die_with_kernel`, where the kernel has no such service: another process looks and kills."""
    watched = os.getpid()
    if os.fork() == 0:
        _watch(parent, watched)


def _watch(parent: int, watched: int) -> None:
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))  # whoever reads the watched one's output waits for its end, not ours
    while os.getppid() == watched:
        if not _alive(parent):
            os.kill(watched, signal.SIGKILL)
        time.sleep(_LOOK_S)
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
