"""Timestamps: move streams to a common start and make times increase; parse and format durations."""

import re
import time
from fractions import Fraction

from stream.errors import UsageError

_JUMP_S = Fraction(1, 2)  # a larger step back is the start of a concatenated recording, not a frame out of order
_DRIFT = 2e-4  # seconds per second; clocks of devices differ by less
_SLIDES = 3  # steps
_LEAPS_KEPT = 64
_LATE_S = Fraction(2)  # streams of broadcasts are interleaved this roughly
_OUT_OF_ORDER_S = Fraction(1, 10)
_RATES = (Fraction(1, 60), Fraction(240))


class Splices:
    """The time shift of each recording in a file, in seconds: each concatenated recording restarts its clock.

    Shared by a file's streams, so that video and audio of a recording shift together and stay in sync.
    leap_s: a time that is this far ahead of all streams, or 2 s behind the latest, begins a new recording too; None:
    it ends a pause, or is that of a stream that is stored late.
    leaps: (time, length) of the first such steps, in seconds. leapt_s: length of all.
    """

    def __init__(self, origin_s: Fraction, leap_s: Fraction | None = None) -> None:
        self._shifts_s = [-origin_s]
        self._leap_s = leap_s
        self._begun_s: Fraction | None = None
        self._reached_s: Fraction | None = None
        self.leaps: list[tuple[float, float]] = []
        self.leapt_s = 0.0

    def recent(self) -> list[Fraction]:
        """Shifts of the current recording and the one before it: streams are not interleaved to the frame."""
        return self._shifts_s[-2:]

    def add(self, shift_s: Fraction) -> None:
        self._shifts_s.append(shift_s)

    def reach(self, time_s: Fraction) -> None:
        """Call with the time of each frame and packet."""
        if self._leap_s is not None and (self._reached_s is None or time_s > self._reached_s):
            self._reached_s = time_s
            self._begun_s = time_s if self._begun_s is None else self._begun_s

    def leaps_to(self, time_s: Fraction, step_s: Fraction) -> bool:
        """Whether a time begins a new recording. step_s: between frames of its stream, which may be a slide show."""
        if self._leap_s is None or self._reached_s is None:
            return False
        return time_s - self._reached_s > max(self._leap_s, _SLIDES * step_s)

    def falls_behind(self, time_s: Fraction) -> bool:
        """Whether a time is so much earlier than the latest one of all streams that it begins a new recording. Not
        where streams have only just begun, because they may begin at different times."""
        if self._reached_s is None or self._begun_s is None:
            return False
        return time_s < self._reached_s - _LATE_S and self._begun_s < self._reached_s - _LATE_S

    def add_leap(self, time_s: Fraction, to_s: Fraction, shift_s: Fraction) -> None:
        """Begin a recording at time_s that would begin at to_s by its own clock."""
        if len(self.leaps) < _LEAPS_KEPT:
            self.leaps.append((float(time_s), float(to_s - time_s)))
        self.leapt_s += float(to_s - time_s)
        self.add(shift_s)

    @property
    def end_s(self) -> Fraction:
        """The latest time of all streams; 0 before the first."""
        return self._reached_s or Fraction(0)


class Timeline:
    """Puts the frames of one stream on the file's clock, each later than the one before.

    step: ticks between frames where the file has no timestamps, at least 1.

    A step back by more than half a second is always the start of another recording. Shorter ones depend on the method:

    * `place` moves the frame one tick after the one before.
    * `locate`, for audio packets, keeps the time, because only a packet's duration shows how much of it overlaps.
    * `place_or_drop`, for the frames of files, moves a frame that is out of order by up to two steps and 0.1 s to a
      quarter of a step after the one before. One that is further back overlaps an earlier recording: all frames are
      dropped until the overlap ends.
    """

    def __init__(self, time_base: Fraction, step: int, splices: Splices) -> None:
        self._time_base, self._step, self._splices = time_base, max(1, step), splices
        self._jump = round(_JUMP_S / time_base)
        self._out_of_order = min(2 * self._step, round(_OUT_OF_ORDER_S / time_base))
        self._last: int | None = None
        self._shift: int | None = None
        self._begin = 0
        self._overlapping = False

    def place(self, pts: int | None) -> int:
        """The corrected time of the next frame, in ticks. pts: None where unknown."""
        if self._last is None:
            self._last = self._first(pts)
        else:
            next_pts = self._last + self._step if pts is None else self._nearest(pts, self._last)
            self._last = max(next_pts, self._last + 1)
        self._splices.reach(self._last * self._time_base)
        return self._last

    def announce(self, pts: int | None) -> None:
        """The time of a frame that is still to be decoded, so that other streams know how far this one reaches."""
        if pts is not None and self._last is not None and self._shift is not None:
            end = pts + self._shift + min(self._step, self._jump)
            if self._last < end <= self._last + self._jump:
                self._splices.reach(end * self._time_base)

    def place_or_drop(self, pts: int | None) -> int | None:
        """As `place`, but None for a frame whose time has already been shown."""
        latest = self._last
        located = self.locate(pts)
        if latest is None or located > latest:
            self._overlapping = False
            return located
        self._overlapping |= latest - located > self._out_of_order
        if self._overlapping:
            return None
        self._last = latest + max(1, min(self._step, self._jump) // 4)
        return self._last

    def locate(self, pts: int | None) -> int:
        """As `place`, but the time may be earlier than that of the frame before, by up to half a second."""
        if self._last is None or pts is None:
            return self.place(pts)
        located = self._nearest(pts, self._last)
        self._last = max(self._last, located)
        self._splices.reach(self._last * self._time_base)
        return located

    def _first(self, pts: int | None) -> int:
        shift = round(self._splices.recent()[-1] / self._time_base)
        placed = 0 if pts is None else pts + shift
        if pts is not None:
            placed = self._in_file(pts, placed, round(self._splices.end_s / self._time_base))
            shift = placed - pts
        self._enter(shift, placed)
        return placed

    def _nearest(self, pts: int, last: int) -> int:
        following = last + min(self._step, self._jump)  # the frame rate is a mean: pauses make the step too long
        shifts = [round(shift_s / self._time_base) for shift_s in self._splices.recent()]
        choices = [pts + shift for shift in shifts]
        # If another stream has found a new recording, this one need not step back.
        forward = [ticks for ticks in choices if last < ticks <= last + self._jump]
        placed = min(forward or choices, key=lambda ticks: abs(ticks - following))
        if self._splices.falls_behind(following * self._time_base):
            following = round(self._splices.end_s / self._time_base)
        in_file = self._in_file(pts, placed, following)
        if in_file != placed:
            placed = in_file
        elif placed < last - self._jump or (placed <= self._begin and last - placed > self._out_of_order):
            self._splices.add((following - pts) * self._time_base)
            placed = following
        self._enter(placed - pts, placed)
        return placed

    def _enter(self, shift: int, placed: int) -> None:
        """Note where a recording begins: one that returns to there is a new one, however short the step back is."""
        if shift != self._shift:
            self._shift, self._begin = shift, placed

    def _in_file(self, pts: int, placed: int, following: int) -> int:
        """`following`, where a new recording begins there, if a time is far from those of all other streams."""
        time_s = placed * self._time_base
        following_s, shift_s = following * self._time_base, (following - pts) * self._time_base
        if self._splices.leaps_to(time_s, self._step * self._time_base):
            self._splices.add_leap(following_s, time_s, shift_s)
        elif placed - pts != self._shift and self._splices.falls_behind(time_s):
            self._splices.add(shift_s)
        else:
            return placed
        return following


class ArrivalClock:
    """Puts the frames of a live source on the clock of their arrival, in ticks of `time_base`; the first is at 0.

    The source's timestamps smooth out the jitter of arrival while the two agree; timestamps may jump, repeat, drift, be
    missing, or restart. Each frame is at least a millisecond later than the one before.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._step = max(1, round(Fraction(1, 1000) / time_base))
        self._origin_s: float | None = None
        self._shift_s: float | None = None
        self._placed_s = 0.0
        self._last = -self._step

    def place(self, time_s: float | None, arrived_s: float) -> int:
        """The frame's time in ticks. time_s: source's clock, None where unknown. arrived_s: by `time.monotonic`."""
        if self._origin_s is None:
            self._origin_s = arrived_s
        elapsed_s = arrived_s - self._origin_s
        shown_s = elapsed_s if time_s is None else time_s + self._smoothed_shift(elapsed_s - time_s, elapsed_s)
        self._last = max(round(shown_s / self._time_base), self._last + self._step)
        return self._last

    def locate(self, time_s: float) -> float | None:
        """The time on this clock, in seconds, of something else that the source sent, such as sound. time_s: by the
        source's clock. None before a frame has shown how the clocks differ."""
        return None if self._shift_s is None else time_s + self._shift_s

    def elapsed_s(self, now_s: float) -> float:
        """A time by `time.monotonic` as a time on this clock, in seconds; 0 before the first frame."""
        return 0.0 if self._origin_s is None else now_s - self._origin_s

    def restart(self) -> None:
        """Call when the source's clock restarts."""
        self._shift_s = None

    def _smoothed_shift(self, shift_s: float, elapsed_s: float) -> float:
        """Offset from the source's clock to ours, by the frame with the least delay; reset where clocks diverge. It
        follows a slower clock as fast as clocks drift."""
        if self._shift_s is not None and 0 <= shift_s - self._shift_s <= _JUMP_S:
            self._shift_s += min(shift_s - self._shift_s, _DRIFT * (elapsed_s - self._placed_s))
        else:
            self._shift_s = shift_s
        self._placed_s = elapsed_s
        return self._shift_s


def plausible_rate(*guesses: Fraction | None) -> Fraction:
    """The first guess between 1/60 and 240 frames per second; 30 where there is none.

    Encoders use it as a hint for rate control only; frames keep their own times.
    """
    low, high = _RATES
    return next((guess for guess in guesses if guess is not None and low <= guess <= high), Fraction(30))


_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)")


def parse_time(text: str) -> float:
    """Seconds from `90`, `1:30`, `0:01:30.5`. Raises UsageError."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a time; write seconds (90.5) or h:mm:ss (0:01:30.5)")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` under an hour."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class RateMeter:
    """Frames per second, recent and overall."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._start_s = self._mark_s = time.monotonic()
        self._mark_count = 0
        self._recent = 0.0
        self.count = 0

    def tick(self) -> None:
        self.count += 1
        now_s = time.monotonic()
        if now_s - self._mark_s >= self._window_s:
            self._recent = (self.count - self._mark_count) / (now_s - self._mark_s)
            self._mark_s, self._mark_count = now_s, self.count

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    @property
    def mean(self) -> float:
        return self.count / max(self.elapsed_s, 1e-9)

    @property
    def recent(self) -> float:
        """Rate over the last full window; the overall mean before the first."""
        return self._recent or self.mean
