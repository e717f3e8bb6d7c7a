"""A receiver of MPEG-TS over UDP on loopback: when packets came, and the pictures in them."""

import itertools
import socket
import threading
import time
from collections import deque
from io import BytesIO
from typing import Self

import av
import numpy as np
import numpy.typing as npt

_KEPT = 4000  # packets, about 5 MB


class UdpReceiver:
    """url: where to send to."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.url = f"udp://127.0.0.1:{self._socket.getsockname()[1]}"
        self._packets: deque[tuple[float, bytes]] = deque(maxlen=_KEPT)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while not self._ending.is_set():
            try:
                self._packets.append((time.monotonic(), self._socket.recv(65536)))
            except TimeoutError:
                continue

    def count(self) -> int:
        """Packets kept."""
        return len(self._packets)

    def clear(self) -> None:
        self._packets.clear()

    def pictures(self) -> list[npt.NDArray[np.uint8]]:
        """The pictures in the packets kept, RGB (H, W, 3); none before a keyframe came."""
        content = b"".join(data for _, data in list(self._packets))
        try:
            with av.open(BytesIO(content), "r", format="mpegts") as container:
                frames = list(container.decode(video=0))
        except (av.FFmpegError, IndexError):
            return []
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]

    def longest_pause_s(self, since_s: float) -> float:
        """The longest time between two packets since that time by `time.monotonic`, and until now."""
        times_s = [since_s, *(at_s for at_s, _ in list(self._packets) if at_s > since_s), time.monotonic()]
        return max(later_s - earlier_s for earlier_s, later_s in itertools.pairwise(times_s))
