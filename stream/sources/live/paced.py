"""Delivers packets at their pace that a source sends ahead of time, such as whole segments of a playlist."""

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

_STEPS_S = (-1.0, 3.0)  # between packets of a stream; any other step is a jump of the source's clock
_AHEAD_S = 1.0  # read ahead in every stream; a live playlist that is read to its end would block
_MAX_AHEAD_S = 15.0  # in any stream: in fragments of MP4 the sound follows the pictures of several seconds
_MAX_PACKETS = 5000
_POLL_S = 0.05


class Paced:
    """Iterates over `packets` in the order of their times, at their pace; late ones are not delayed.

    packets: read in a thread of its own; its errors are raised after the last packet. streams: number of streams.
    stopped: set from any thread, ends the iteration; then `packets` is still waited for.
    """

    def __init__(self, packets: Iterable[Any], streams: int, stopped: threading.Event) -> None:
        self._packets, self._streams, self._stopped = packets, streams, stopped
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Any]] = []
        self._times_s: dict[int, float] = {}  # of each stream's latest packet, by the source's clock
        self._due_s: dict[int, float] = {}  # the same by `time.monotonic`
        self._shift_s: float | None = None
        self._latest_s = 0.0
        self._count = 0
        self._done = self._left = False
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        reader = threading.Thread(target=self._read, name="read ahead", daemon=True)
        reader.start()
        try:
            while (packet := self._next()) is not None:
                yield packet
        finally:
            self._left = True
            reader.join()
        if self._error is not None and not self._stopped.is_set():
            raise self._error

    def _next(self) -> Any:
        """Wait for the next packet and its time; None at the end."""
        with self._changed:
            while not self._stopped.is_set():
                wait_s = _POLL_S
                if self._waiting:
                    wait_s = self._waiting[0][0] - time.monotonic()
                    if wait_s <= 0:
                        return heapq.heappop(self._waiting)[2]
                elif self._done:
                    return None
                self._changed.wait(min(wait_s, _POLL_S))
        return None

    def _read(self) -> None:
        try:
            for packet in self._packets:
                with self._changed:
                    self._add(packet)
                while self._is_ahead() and not self._is_over():
                    time.sleep(_POLL_S / 5)
                if self._is_over():
                    break
        except BaseException as exc:  # noqa: BLE001 - raised in the thread that iterates
            self._error = exc
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._left or self._stopped.is_set()

    def _add(self, packet: Any) -> None:
        due_s = self._latest_s
        if packet.dts is not None and packet.time_base is not None:
            due_s = self.due_s(packet.stream.index, float(Fraction(packet.dts) * packet.time_base), time.monotonic())
        self._count += 1
        heapq.heappush(self._waiting, (due_s, self._count, packet))
        self._changed.notify_all()

    def due_s(self, stream: int, time_s: float, now_s: float) -> float:
        """When to deliver a packet that has just been read, by `time.monotonic`. time_s: by the source's clock."""
        step_s = time_s - self._times_s.get(stream, time_s)
        if self._shift_s is None or not _STEPS_S[0] <= step_s <= _STEPS_S[1]:
            self._shift_s = max(now_s, self._latest_s) - time_s
        self._times_s[stream] = time_s
        due_s, latest_s = time_s + self._shift_s, max(now_s, self._latest_s)
        if due_s > latest_s + _MAX_AHEAD_S:  # still on the clock from before a jump of another stream
            return latest_s
        self._due_s[stream], self._latest_s = due_s, max(self._latest_s, due_s)
        return due_s

    def _is_ahead(self) -> bool:
        """Whether enough was read for now."""
        now_s = time.monotonic()
        least_s = min(self._due_s.values(), default=now_s) if len(self._due_s) == self._streams else now_s
        many = len(self._waiting) >= _MAX_PACKETS
        return many or least_s - now_s > _AHEAD_S or self._latest_s - now_s > _MAX_AHEAD_S
