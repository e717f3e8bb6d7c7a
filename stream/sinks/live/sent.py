"""How much an output sends, and how late."""

import statistics
import threading
import time
from collections import deque


class Sent:
    """Counts bytes, and measures the latency of frames, over the last second. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, int, float]] = deque()

    def add(self, size: int, arrived_s: float = 0.0) -> None:
        """size: in bytes. arrived_s: when the frame arrived, by `time.monotonic`; 0 where unknown."""
        with self._lock:
            now_s = time.monotonic()
            self._sent.append((now_s, size, now_s - arrived_s if arrived_s else 0.0))
            self._drop_old()

    def per_second_bps(self) -> int:
        with self._lock:
            self._drop_old()
            return 8 * sum(size for _, size, _ in self._sent)

    def latency_ms(self) -> float:
        """Median from a frame's arrival to its being sent; 0 where unknown."""
        with self._lock:
            self._drop_old()
            found = [latency_s for *_, latency_s in self._sent if latency_s]
        return round(1000 * statistics.median(found), 1) if found else 0.0

    def _drop_old(self) -> None:
        since_s = time.monotonic() - 1
        while self._sent and self._sent[0][0] < since_s:
            self._sent.popleft()
