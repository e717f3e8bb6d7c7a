"""How much longer pictures take to reach this server than sound, by the client's sender reports.

Browsers encode and pace pictures, so one arrives later than the sound of the same moment. Knows nothing about
connections.
"""

_LARGEST_S = 0.5  # a larger difference comes from the clocks, not from the network
_SMOOTHING = 0.05


class _Transit:
    """The time from capture, by the client's clock, to arrival, by ours: comparable only to that of another stream."""

    def __init__(self, clock_rate: int) -> None:
        self.seconds: float | None = None
        self._rate = clock_rate
        self._report: tuple[int, float] | None = None
        self._is_new = False

    def reported(self, pts: int, captured_s: float) -> None:
        self._report, self._is_new = (pts, captured_s), True

    def arrived(self, pts: int, arrived_s: float) -> None:
        if self._report is None:
            return
        reported_pts, captured_s = self._report
        seconds = arrived_s - captured_s - (pts - reported_pts) / self._rate
        if self.seconds is None or (self._is_new and abs(seconds - self.seconds) > _LARGEST_S):
            self.seconds = seconds
        elif abs(seconds - self.seconds) < _LARGEST_S:  # else timestamps have jumped: wait for the next report
            self.seconds += _SMOOTHING * (seconds - self.seconds)
        self._is_new = False


class CaptureClock:
    """video, audio: the client's streams. Each receives its sender reports and arrivals, in ticks of its RTP clock."""

    def __init__(self) -> None:
        self.video, self.audio = _Transit(90_000), _Transit(48_000)

    @property
    def skew_s(self) -> float:
        """Seconds that pictures take longer than sound; 0 while unknown. Negative where sound takes longer."""
        if self.video.seconds is None or self.audio.seconds is None:
            return 0.0
        skew_s = self.video.seconds - self.audio.seconds
        return skew_s if abs(skew_s) < _LARGEST_S else 0.0
