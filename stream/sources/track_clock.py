"""The clock of one stream of a file, on the file's corrected clock."""

from fractions import Fraction

import av

from stream.picture.timing import Splices, Timeline


class TrackClock:
    """The clock of one stream. now_s: time of the last frame or packet, relative to the requested start."""

    def __init__(self, time_base: Fraction | None, rate: Fraction, splices: Splices) -> None:
        self._time_base = time_base or Fraction(1, 90_000)
        self.now_s = float("-inf")
        self._timeline = Timeline(self._time_base, round(1 / (rate * self._time_base)), splices)

    @property
    def begun(self) -> bool:
        return self.now_s > float("-inf")

    def locate(self, pts: int | None) -> int:
        """The time of a packet in ticks; the packet may overlap the one before."""
        located = self._timeline.locate(pts)
        self.now_s = float(located * self._time_base)
        return located

    def announce(self, pts: int | None) -> None:
        """The time of a frame that is not decoded yet."""
        self._timeline.announce(pts)

    def place_or_drop(self, pts: int | None) -> int | None:
        """The time of a frame in ticks, later than the one before; None if that time has been shown already."""
        placed = self._timeline.place_or_drop(pts)
        if placed is not None:
            self.now_s = float(placed * self._time_base)
        return placed


def sound_clock(stream: av.AudioStream, splices: Splices) -> TrackClock:
    """The clock of a sound track."""
    return TrackClock(stream.time_base, Fraction(stream.rate or 48_000, 1024), splices)
