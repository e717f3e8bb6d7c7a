"""Thread counts and priorities: thread pools with default counts compete, and each loses half its speed."""

import contextlib
import os
import sys
import threading

import cv2

from stream.settings import Settings


def apply(settings: Settings) -> None:
    """Call once, when a process starts. Those of networks are set by their runtimes: see `workers/runtimes/`."""
    cv2.setNumThreads(1)  # its calls take well under a millisecond: waking other cores costs more


def yield_to_others() -> None:
    """Lower the priority of the calling thread, on systems with priorities per thread (Linux).

    For work around a network: it then fills the gaps that the network's threads leave instead of sharing a core with
    them. Measured on two cores with rvm: 97 % of their time used, 94 % without.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a container may forbid it: then priorities stay equal
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + 10))
