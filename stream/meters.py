"""What live video measured in the last second. For any thread."""

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass, field

_WINDOW_S = 1.0
_SMOOTH = 0.1


@dataclass(frozen=True)
class OutputMeters:
    """Of the last second. latency_ms: median from a frame's arrival to its packet leaving. dropped: by cause, ever.

    encode_ms: mean of a frame, in all codecs. round_trip_ms: to the viewers and back, median; 0 where unknown.
    """

    fps: float = 0.0
    latency_ms: float = 0.0
    bitrate_bps: int = 0
    width: int = 0
    height: int = 0
    viewers: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    encode_ms: float = 0.0
    round_trip_ms: float = 0.0


class Recent:
    """How many of the last second, and of all time."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._times_s: deque[float] = deque()

    def tick(self) -> None:
        with self._lock:
            self.count += 1
            self._times_s.append(time.monotonic())
            self._forget()

    def per_second(self) -> float:
        with self._lock:
            self._forget()
            return len(self._times_s) / _WINDOW_S

    def _forget(self) -> None:
        since_s = time.monotonic() - _WINDOW_S
        while self._times_s and self._times_s[0] < since_s:
            self._times_s.popleft()


class Stopwatch:
    """Times the rounds of one stage. Used as a context in the stage's thread, read in any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent_s, self._rounds = 0.0, 0

    def __enter__(self) -> None:
        self._begun_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._spent_s += time.perf_counter() - self._begun_s
            self._rounds += 1

    def take_ms(self) -> float:
        """Mean of the rounds since this was last asked; 0 where there were none."""
        with self._lock:
            spent_s, rounds = self._spent_s, self._rounds
            self._spent_s, self._rounds = 0.0, 0
        return round(1000 * spent_s / rounds, 2) if rounds else 0.0


class OutputMeter:
    """Counts pictures that are written and packets that leave.

    delay_s: how long a picture takes at present, smoothed; 0 before the first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came = Recent()
        self._left: deque[tuple[float, float, int]] = deque()
        self._size = (0, 0)
        self.delay_s = 0.0

    def came(self, width: int, height: int) -> None:
        self._came.tick()
        self._size = (width, height)

    def left(self, arrived_s: float, size_bytes: int) -> None:
        """arrived_s: 0 where it is not known."""
        now_s = time.monotonic()
        latency_s = now_s - arrived_s if arrived_s else 0.0
        with self._lock:
            self._left.append((now_s, latency_s, size_bytes))
            self.delay_s += (latency_s - self.delay_s) * (_SMOOTH if self.delay_s else 1.0)
            self._forget()

    def read(self, viewers: int, dropped: dict[str, int]) -> OutputMeters:
        with self._lock:
            self._forget()
            latencies = [latency_s for _, latency_s, _ in self._left]
            bits = 8 * sum(size for *_, size in self._left)
        latency_ms = 1000 * statistics.median(latencies) if latencies else 0.0
        fps = self._came.per_second()
        return OutputMeters(fps, latency_ms, round(bits / _WINDOW_S), *self._size, viewers, dropped)

    def _forget(self) -> None:
        since_s = time.monotonic() - _WINDOW_S
        while self._left and self._left[0][0] < since_s:
            self._left.popleft()
