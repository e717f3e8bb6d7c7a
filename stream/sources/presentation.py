"""Chooses the times of decoded frames in files that store decoding times as presentation times."""


class PresentationTimes:
    """Some programs write MP4 files without the difference between the two times, although frames are reordered. The
    presentation times of their frames then step back. Decoding times always increase, in the order of presentation too.

    FFmpeg's programs choose by the same rule.
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faults = 0  # of presentation times, less those of decoding times

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """The time of the next frame in ticks; None if unknown. dts: of the packet that made the decoder return it."""
        if pts is not None:
            self._faults += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._faults -= self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        return pts if self._faults <= 0 or self._last_dts is None else dts
