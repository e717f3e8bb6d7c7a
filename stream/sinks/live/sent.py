"""How much an output sends."""

import threading
import time
from collections import deque


class Sent:
    """Counts bytes over the last second. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: deque[tuple[float, int]] = deque()

    def add(self, size: int) -> None:
        with self._lock:
            self._sizes.append((time.monotonic(), size))
            self._drop_old()

    def per_second_bps(self) -> int:
        with self._lock:
            self._drop_old()
            return 8 * sum(size for _, size in self._sizes)

    def _drop_old(self) -> None:
        since_s = time.monotonic() - 1
        while self._sizes and self._sizes[0][0] < since_s:
            self._sizes.popleft()
