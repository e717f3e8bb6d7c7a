"""One number of threads for every pool of the process: on defaults they fight, and each loses half its speed."""

import sys

import cv2

from stream.settings import Settings


def apply(settings: Settings) -> None:
    """Call once, when a process starts to work. onnxruntime has its threads by session: `workers/engines/rvm.py`."""
    cv2.setNumThreads(1)  # its calls take well under a millisecond here: waking other cores costs more
    if (torch := sys.modules.get("torch")) is not None:  # never imported for this alone: it takes seconds
        torch.set_num_threads(settings.cores())
