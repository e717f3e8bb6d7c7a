"""The runtime OpenCV: networks with one input and one output, in float32 on the CPU.

Knows nothing about any network.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stream.errors import EngineError
from stream.settings import Settings
from workers.runtimes.base import Array, Precision


class OpenCv:
    """See `base.Runtime`. Reads files only. Threads are those of the process: see `workers/device/threads.py`."""

    def load(self, graph: Path | bytes, precision: Precision, settings: Settings) -> "NetNetwork":
        if isinstance(graph, bytes):
            raise TypeError("OpenCV loads networks from files")
        return NetNetwork(cv2.dnn.readNet(str(graph)))


class NetNetwork:
    """See `base.Network`. OpenCV does not tell the names of a network's ends: the only ones have any name."""

    inputs: tuple[str, ...] = ("input",)
    outputs: tuple[str, ...] = ("output",)

    def __init__(self, net: Any) -> None:
        self._net = net
        self._lock = threading.Lock()  # the net stores its input between setInput and forward

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        (picture,) = feeds.values()
        try:
            with self._lock:
                self._net.setInput(picture)
                return [np.array(self._net.forward())]  # copied: it returns its own memory
        except cv2.error as exc:
            raise EngineError(str(exc)) from exc

    def close(self) -> None:
        self._net = None
