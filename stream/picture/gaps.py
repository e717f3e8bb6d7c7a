"""Finds frames that are missing in a video of constant frame rate, from the times of the frames that exist.

A video has a constant rate if at least 95 % of its intervals equal the most frequent one, within a tenth and the
rounding of its clock, if these cover at least half of its length, and if longer intervals are rare. An interval of at
least 2.5 frames is then a gap. All other videos have a variable rate, where a long interval is a long frame: phones in
low light, screen recordings that stand still, slide shows, telecine. A single missing frame is not counted, because
cameras drop single frames.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_REGULAR = 0.95  # share of the intervals
_COVERED = 0.5  # share of the time
_FEW, _RARE = 3, 0.025  # gaps: a number, or a share of the intervals
_UNTIMED = 0.05  # share of the frames
_LEAST = 24  # intervals needed to know the rate
_JITTER = 0.1  # of an interval
_GAP, _SINGLE = 2.5, 1.5  # shortest intervals with two and with one missing frame, in frames
_BUCKET = math.log(1.02)  # intervals are counted in classes of 2 %, so memory does not grow with the video
_REORDERED = 32  # frames that may be stored out of order: more than any codec allows
_JUMP_S = 0.5  # a larger step back is a recording that was joined to the one before
_JUMP_AROUND_S = 2.0  # the streams of a file are interleaved this roughly
_SHOWN = 3  # gaps listed in the warning
_KEPT = 64  # candidates for the list: the rate is only known at the end


@dataclass(frozen=True)
class Gap:
    """No frame begins between begin_s and end_s, the times of two frames."""

    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Missing:
    """What is missing in a video. frames: number of missing frames, computed from the rate. places: number of gaps, of
    which `gaps` has the first. total: number of frames, including the missing ones."""

    frames: int
    places: int
    gaps: tuple[Gap, ...]
    total: int

    def sentence(self, bad: int = 0) -> str:
        """A sentence for users. bad: number of frames that exist but could not be decoded."""
        listed = ", ".join(f"{_clock(gap.begin_s)}-{_clock(gap.end_s)}" for gap in self.gaps)
        more = ", …" if self.places > len(self.gaps) else ""
        places = "1 place" if self.places == 1 else f"{self.places} places"
        missing = f"{self.frames if bad else 'they'} are missing in {places} ({listed}{more})"
        others = ", the others show the last good frame" if bad else ""
        found = f"{self.frames + bad} of about {self.total} frames were damaged or lost"
        return f"{found}: {missing}{others}; sound and picture stay in sync"


class GapFinder:
    """Takes the times of a video's frames, in the order of storage, and finds gaps. Memory is constant.

    time_base: length of a tick in seconds. shift_s: added to the times of gaps, in seconds. far_s: longer intervals may
    turn out to be jumps of the clock.
    """

    def __init__(self, time_base: Fraction, shift_s: float = 0.0, far_s: float | Fraction = math.inf) -> None:
        self._tick_s, self._shift_s, self._far_s = float(time_base), shift_s, far_s
        self._far: list[tuple[float, int]] = []  # as `_long`
        self._waiting: list[int] = []
        self._last: int | None = None
        self._classes: dict[int, tuple[int, int]] = {}  # number and sum of the intervals of a class
        self._usual = 0  # the largest class
        self._long: list[tuple[float, int]] = []  # the first long intervals: begin in seconds, length in ticks
        self._frames = 0
        self._untimed = 0

    def take(self, ticks: int) -> None:
        """A frame. ticks: its time."""
        if self._waiting and self._is_restart(ticks):
            self._restart(ticks)
        heapq.heappush(self._waiting, ticks)
        if len(self._waiting) > _REORDERED:
            self._count(heapq.heappop(self._waiting))

    def take_untimed(self) -> None:
        """A frame without a time. If more than 5 % have none, nothing is reported as missing."""
        self._untimed += 1

    def missing(self, jumps_s: Sequence[float] = ()) -> Missing:
        """The result for all frames. Call it once, after the last frame. jumps_s: lengths of jumps of the clock."""
        while self._waiting:
            self._count(heapq.heappop(self._waiting))
        for begin_s, length in self._far:
            if all(abs(length * self._tick_s - jump_s) > _JUMP_AROUND_S for jump_s in jumps_s):
                self._add(begin_s, length)
        self._long.sort()
        step = self._step()
        if step is None or self._untimed > _UNTIMED * self._frames:
            return Missing(0, 0, (), self._frames)
        places, frames = self._wider(step, _GAP, math.inf)
        singles, single_frames = self._wider(step, _SINGLE, _GAP)
        if 0 < singles <= 2 * places:  # at the edges of gaps, where frames are stored out of order
            frames += single_frames
        gaps = [(begin_s, length) for begin_s, length in self._long if length >= _GAP * step][:_SHOWN]
        shown = tuple(Gap(begin_s, begin_s + length * self._tick_s) for begin_s, length in gaps)
        return Missing(frames, places, shown, self._frames + frames)

    def _wider(self, step: float, least: float, below: float) -> tuple[int, int]:
        """Number of the intervals between two lengths in steps, and of the frames missing in them."""
        found = [(n, total) for n, total in self._classes.values() if least <= total / n / step < below]
        return sum(n for n, _ in found), sum(round(total / step) - n for n, total in found)

    def _is_restart(self, ticks: int) -> bool:
        """Whether the clock jumped back. A frame that is only stored out of order is later than all counted ones."""
        earliest = self._waiting[0] if self._last is None else self._last
        return ticks <= earliest and (max(self._waiting) - ticks) * self._tick_s > _JUMP_S

    def _restart(self, ticks: int) -> None:
        """A joined recording begins: its first frame follows the last one of the recording before."""
        while self._waiting:
            self._count(heapq.heappop(self._waiting))
        if self._last is not None:
            self._shift_s += (self._last - ticks) * self._tick_s
        self._last = None

    def _count(self, ticks: int) -> None:
        self._frames += 1
        if self._last is not None and ticks > self._last:
            begin_s, length = self._shift_s + self._last * self._tick_s, ticks - self._last
            if length * self._tick_s > self._far_s and len(self._far) < _KEPT:
                self._far.append((begin_s, length))
            else:
                self._add(begin_s, length)
        self._last = ticks

    def _add(self, begin_s: float, length: int) -> None:
        bucket = round(math.log(length) / _BUCKET)
        number, total = self._classes.get(bucket, (0, 0))
        self._classes[bucket] = number + 1, total + length
        usual, usual_total = self._classes.get(self._usual, (0, 0))
        if number + 1 > usual:
            self._usual, usual, usual_total = bucket, *self._classes[bucket]
        if len(self._long) < _KEPT and length >= _GAP * usual_total / usual:
            self._long.append((begin_s, length))

    def _step(self) -> float | None:
        """The mean interval in ticks; None if the rate is variable or unknown."""
        if not self._classes:
            return None
        number, total = self._classes[self._usual]
        usual = total / number
        tolerance = max(1.0, _JITTER * usual) * 1.01
        regular = [(n, t) for n, t in self._classes.values() if abs(t / n - usual) <= tolerance]
        count, covered = (sum(values) for values in zip(*regular, strict=True))
        intervals = sum(n for n, _ in self._classes.values())
        length = sum(t for _, t in self._classes.values())
        gaps = sum(n for n, t in self._classes.values() if t / n >= _GAP * usual)
        known = count >= _LEAST and count >= _REGULAR * intervals and covered >= _COVERED * length
        return covered / count if known and gaps <= max(_FEW, _RARE * intervals) else None


def _clock(seconds: float) -> str:
    """`1:02:03.4`, or `2:03.4` under an hour."""
    tenths = max(0, round(seconds * 10))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{text}" if hours else text
