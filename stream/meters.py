"""Measurements of live video over the last second. Thread-safe."""

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass, field

_WINDOW_S = 1.0
_SMOOTHING = 0.1  # weight of a new value in the moving average


@dataclass(frozen=True)
class OutputMeters:
    """One output, over the last second.

    fps: frames written. latency_ms: median from a frame's arrival to its packet being sent. width, height: pixels.
    dropped: frames by cause, since the start. encode_ms: mean time per frame, all codecs together. round_trip_ms:
    median network round trip to the viewers; 0 where unknown.
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
    """Counts events: in total, and per second over the last second."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._times_s: deque[float] = deque()

    def tick(self) -> None:
        with self._lock:
            self.count += 1
            self._times_s.append(time.monotonic())
            self._drop_old()

    def per_second(self) -> float:
        with self._lock:
            self._drop_old()
            return len(self._times_s) / _WINDOW_S

    def _drop_old(self) -> None:
        since_s = time.monotonic() - _WINDOW_S
        while self._times_s and self._times_s[0] < since_s:
            self._times_s.popleft()


class Stopwatch:
    """Measures the mean time of one stage. Used as a context manager in the stage's thread, read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent_s, self._runs = 0.0, 0

    def __enter__(self) -> None:
        self._start_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._spent_s += time.perf_counter() - self._start_s
            self._runs += 1

    def take_ms(self) -> float:
        """Mean time per run in milliseconds since the last call; 0 where there were no runs. Resets the measurement."""
        with self._lock:
            spent_s, runs = self._spent_s, self._runs
            self._spent_s, self._runs = 0.0, 0
        return round(1000 * spent_s / runs, 2) if runs else 0.0


class OutputMeter:
    """Counts frames written to an output and packets sent from it.

    size: width and height of the newest frame; 0 before the first.
    delay_s: latency from a frame's arrival to its packet being sent, as a moving average; 0 before the first packet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written = Recent()
        self._sent: deque[tuple[float, float, int]] = deque()
        self.size = (0, 0)
        self.delay_s = 0.0

    def frame_written(self, width: int, height: int) -> None:
        self._written.tick()
        self.size = (width, height)

    def packet_sent(self, arrived_s: float, size_bytes: int) -> None:
        """arrived_s: when the packet's frame arrived, by `time.monotonic`; 0 where unknown."""
        now_s = time.monotonic()
        latency_s = now_s - arrived_s if arrived_s else 0.0
        with self._lock:
            self._sent.append((now_s, latency_s, size_bytes))
            self.delay_s += (latency_s - self.delay_s) * (_SMOOTHING if self.delay_s else 1.0)
            self._drop_old()

    def read(self, viewers: int, dropped: dict[str, int]) -> OutputMeters:
        with self._lock:
            self._drop_old()
            latencies = [latency_s for _, latency_s, _ in self._sent]
            bits = 8 * sum(size for *_, size in self._sent)
        latency_ms = 1000 * statistics.median(latencies) if latencies else 0.0
        fps = self._written.per_second()
        return OutputMeters(fps, latency_ms, round(bits / _WINDOW_S), *self.size, viewers, dropped)

    def _drop_old(self) -> None:
        since_s = time.monotonic() - _WINDOW_S
        while self._sent and self._sent[0][0] < since_s:
            self._sent.popleft()
