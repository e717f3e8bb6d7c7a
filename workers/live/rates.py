"""Rates of counters that only grow, for the meters of live videos."""

import time


class Rates:
    """Converts counts to rates per second, between one call and the next."""

    def __init__(self) -> None:
        self._then: tuple[float, tuple[int, ...]] = (time.monotonic(), ())

    def __call__(self, *counts: int) -> list[float]:
        (then_s, before), now_s = self._then, time.monotonic()
        self._then = (now_s, counts)
        span_s = max(now_s - then_s, 1e-3)
        return [round((n - b) / span_s, 1) for n, b in zip(counts, before or (0,) * len(counts), strict=True)]
