"""Puts the sound of a connection on the clock of its pictures. Both streams count from 0 at their first packet.

Sender reports relate both streams to one clock of the sender. Until there are reports, or where they contradict the
arrivals, what arrives at the same time counts as being of the same moment.
"""

_PLAUSIBLE_S = 1.0  # largest difference between reports and arrivals
_SMOOTHING = 0.2
_JUMP_S = 0.1  # a larger change is no jitter


class _Start:
    """When a stream began: by the sender's clock (reported_s) and by ours (arrived_s), in seconds. None: unknown."""

    def __init__(self, clock_rate: int) -> None:
        self.reported_s: float | None = None
        self.arrived_s: float | None = None
        self._rate = clock_rate

    def reported(self, pts: int, captured_s: float) -> None:
        start_s = captured_s - pts / self._rate
        if self.reported_s is None or abs(start_s - self.reported_s) > _JUMP_S:
            self.reported_s = start_s
        else:
            self.reported_s += _SMOOTHING * (start_s - self.reported_s)

    def arrived(self, pts: int, arrived_s: float) -> None:
        start_s = arrived_s - pts / self._rate
        if self.arrived_s is None or start_s < self.arrived_s or start_s - self.arrived_s > _PLAUSIBLE_S:
            self.arrived_s = start_s


class CommonClock:
    """video, audio: the streams. Each receives its sender reports and arrivals, in ticks of its RTP clock."""

    def __init__(self) -> None:
        self.video, self.audio = _Start(90_000), _Start(48_000)

    def sound_s(self, pts: int) -> float | None:
        """The time of sound in seconds, where pictures have the time pts / 90,000. None before the first picture."""
        shift_s = _difference(self.audio.arrived_s, self.video.arrived_s)
        reported_s = _difference(self.audio.reported_s, self.video.reported_s)
        if shift_s is None:
            return None
        if reported_s is not None and abs(reported_s - shift_s) < _PLAUSIBLE_S:
            shift_s = reported_s
        return pts / 48_000 + shift_s


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
