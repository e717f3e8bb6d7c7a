"""When a virtual camera gets its pictures: at its own rate, and as soon as a new one arrives.

Programs that read a camera expect a constant rate. Frames arrive with jitter, late, or at another rate.
"""

from fractions import Fraction

_EARLY = 0.25  # of an interval: a new picture is shown so much before its time
_LATE = 0.5  # so much later the last picture is repeated, unless it was a repetition itself


class Pace:
    """Pictures of a new frame are due at a fixed rate on average; a picture may be shown a little earlier or later.

    At the source's own rate every frame is shown once, as soon as it arrives. All times are by `time.monotonic`.
    """

    def __init__(self, rate: Fraction, now_s: float) -> None:
        self._interval_s = float(1 / rate)
        self._due_s = now_s
        self._repeated = False

    @property
    def earliest_s(self) -> float:
        """When a new picture may be sent."""
        return self._due_s - _EARLY * self._interval_s

    @property
    def latest_s(self) -> float:
        """When the last picture is sent again if there is no new one."""
        return self._due_s + (0.0 if self._repeated else _LATE * self._interval_s)

    def sent(self, now_s: float, repeated: bool) -> None:
        """Call after each picture that was sent."""
        on_time = now_s - self._due_s < self._interval_s
        self._due_s = (self._due_s if on_time else now_s) + self._interval_s
        self._repeated = repeated
