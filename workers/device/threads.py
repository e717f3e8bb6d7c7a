"""One number of threads for every pool of the process: on defaults they fight, and each loses half its speed."""

import contextlib
import os
import sys
import threading

import cv2

from stream.settings import Settings


def apply(settings: Settings) -> None:
    """Call once, when a process starts to work. onnxruntime has its threads by session: `workers/engines/rvm.py`."""
    cv2.setNumThreads(1)  # its calls take well under a millisecond here: waking other cores costs more


def yield_to_others() -> None:
    """Put the calling thread behind the process's others, where the system can do that (Linux).

    For work around a network: it then fills the gaps that the network's threads leave instead of splitting a core with
    them. Measured on two cores with rvm: 97 % of their time used, 94 % without.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        with contextlib.suppress(OSError):  # a container may forbid it: then they share
            os.setpriority(os.PRIO_PROCESS, me, min(19, os.getpriority(os.PRIO_PROCESS, me) + 10))
