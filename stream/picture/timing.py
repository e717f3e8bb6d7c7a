"""Times: bring a stream's own to a common start and make them run forwards; read and write durations."""

import re
import time
from fractions import Fraction

from stream.errors import UsageError

_JUMP_S = Fraction(1, 2)  # a step back larger than this is a new recording spliced on, not a frame out of order
_RATES = (Fraction(1, 60), Fraction(240))


class Splices:
    """How far each recording of a file was moved, in seconds: joined recordings start their clocks anew.

    Shared by a file's streams, so that picture and sound of a recording move together and stay in step.
    """

    def __init__(self, origin_s: Fraction) -> None:
        self._shifts_s = [-origin_s]

    def recent(self) -> list[Fraction]:
        """Of the recording now playing, and the one before it: streams are not interleaved to the frame."""
        return self._shifts_s[-2:]

    def add(self, shift_s: Fraction) -> None:
        self._shifts_s.append(shift_s)


class Timeline:
    """Places the frames of one stream on the file's clock, each later than the one before.

    step: ticks from one frame to the next where the file does not say, at least 1.
    """

    def __init__(self, time_base: Fraction, step: int, splices: Splices) -> None:
        self._time_base, self._step, self._splices = time_base, max(1, step), splices
        self._jump = round(_JUMP_S / time_base)
        self._last: int | None = None

    def place(self, pts: int | None) -> int:
        """The repaired time of the next frame, in ticks. `pts` None: not known."""
        if self._last is None:
            self._last = 0 if pts is None else pts + round(self._splices.recent()[-1] / self._time_base)
            return self._last
        wanted = self._last + self._step if pts is None else self._nearest(pts, self._last)
        self._last = max(wanted, self._last + 1)
        return self._last

    def _nearest(self, pts: int, last: int) -> int:
        following = last + min(self._step, self._jump)  # rates are means: a pause makes steps look long
        shifts = [round(shift_s / self._time_base) for shift_s in self._splices.recent()]
        placed = min((pts + shift for shift in shifts), key=lambda ticks: abs(ticks - following))
        if placed >= last - self._jump:
            return placed
        self._splices.add((following - pts) * self._time_base)
        return following


class ArrivalClock:
    """Places the pictures of a live source on the clock of their arrival, in ticks of `time_base`; the first is at 0.

    The source's own times smooth those of arrival, as long as they agree with them: they may jump, repeat, drift, be
    missing, or begin anew. Each picture is at least a millisecond later than the one before.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._step = max(1, round(Fraction(1, 1000) / time_base))
        self._origin_s: float | None = None
        self._shift_s: float | None = None
        self._last = -self._step

    def place(self, time_s: float | None, arrived_s: float) -> int:
        """time_s: by the source's clock, None where it is not known. arrived_s: by `time.monotonic`."""
        if self._origin_s is None:
            self._origin_s = arrived_s
        came_s = arrived_s - self._origin_s
        shown_s = came_s if time_s is None else time_s + self._agreed(came_s - time_s)
        self._last = max(round(shown_s / self._time_base), self._last + self._step)
        return self._last

    def restart(self) -> None:
        """The source's clock begins anew."""
        self._shift_s = None

    def _agreed(self, shift_s: float) -> float:
        """From the source's clock to ours, as the picture with the least delay had it; anew where they part ways."""
        if self._shift_s is None or not 0 <= shift_s - self._shift_s <= _JUMP_S:
            self._shift_s = shift_s
        return self._shift_s


def plausible_rate(*guesses: Fraction | None) -> Fraction:
    """The first guess that a camera could have made, in frames a second; 30 if there is none.

    Encoders take it as a hint for their rate control; frames keep their own times.
    """
    low, high = _RATES
    return next((guess for guess in guesses if guess is not None and low <= guess <= high), Fraction(30))


_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)")


def parse_time(text: str) -> float:
    """Seconds from `90`, `1:30`, `0:01:30.5`. Raises UsageError."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no time; write seconds (90.5) or h:mm:ss (0:01:30.5)")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` under an hour."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class RateMeter:
    """Frames a second, of late and over all."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._start_s = self._mark_s = time.monotonic()
        self._marked = 0
        self._recent = 0.0
        self.count = 0

    def tick(self) -> None:
        self.count += 1
        now_s = time.monotonic()
        if now_s - self._mark_s >= self._window_s:
            self._recent = (self.count - self._marked) / (now_s - self._mark_s)
            self._mark_s, self._marked = now_s, self.count

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    @property
    def mean(self) -> float:
        return self.count / max(self.elapsed_s, 1e-9)

    @property
    def recent(self) -> float:
        """Over the last full window; over all time until there is one."""
        return self._recent or self.mean
