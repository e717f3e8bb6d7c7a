"""A video file as a live source: it plays at its own pace, once or in a loop, with its sound.

If decoding is slower than the file's pace, playback pauses and continues, as in a player; no frame is decoded in vain.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Self

from stream.address import Address
from stream.picture.canvas import fitted
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.pump import Item, Warnings
from stream.settings import Settings
from stream.slot import LiveSlot
from stream.sources.base import SourceOptions, SourceState
from stream.sources.file import FileSource

CLOCK = Fraction(1, 90_000)
_LATE_S = 0.5  # behind its pace by more than this, the clock is set to the current time


class PlayedSource:
    """Frames and packets of sound of the video file at `path`, each when its time has come.

    size, duration_s, loop, on_state: as in `SourceOptions`. Of several tracks of sound, only the first is played. In a
    loop, times go on without a gap; a pass is as long as the longer of picture and sound.
    Raises what `FileSource` raises, also during iteration.
    """

    live = True
    takes = frozenset({"size", "duration_s", "loop"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(address.path, settings, options.size, options.duration_s, options.loop, options.on_state)

    def __init__(
        self,
        path: Path,
        settings: Settings,
        size: tuple[int, int] = (0, 0),
        duration_s: float | None = None,
        loop: bool = False,
        on_state: Callable[[SourceState], object] | None = None,
    ) -> None:
        self.warnings: Warnings = []
        self.slot: LiveSlot[Item] = LiveSlot(lambda item: isinstance(item, Frame))
        self.dropped: Counter[str] = Counter()
        self.state = SourceState()
        self._path, self._settings, self._duration_s, self._loop = path, settings, duration_s, loop
        self._on_state = on_state or (lambda state: None)
        self._ending = threading.Event()
        self._first = self._current = self._opened(size)
        self._size = self._first.info.width, self._first.info.height
        self._sound = self._first.info.sound[:1]
        self._timeline = _Timeline()
        self._waiting: deque[Sound] = deque()
        self._began_s: float | None = None

    def _opened(self, size: tuple[int, int]) -> FileSource:
        """The file, scaled down to the limit of live video if it is larger."""
        source = FileSource(self._path, self._settings, size=size)
        original = source.info.width, source.info.height
        limited = fitted(original, (0, 0), self._settings.live_pixels)
        if limited == original:
            return source
        source.close()
        limit = f"the limit of {self._settings.live_pixels:,} pixels (MATTEBOX_LIVE_PIXELS)"
        sizes = f"{original[0]}x{original[1]} to {limited[0]}x{limited[1]}"
        self.warnings.append(("scaled_down", f"scaled down from {sizes}: over {limit}"))
        return FileSource(self._path, self._settings, size=limited)

    @property
    def info(self) -> VideoInfo:
        known = self._first.info
        return replace(known, time_base=CLOCK, duration_s=None, frames=None, sound=self._sound, extras=None)

    def __iter__(self) -> Iterator[Item]:
        for item in self._shifted():
            if not isinstance(item, Frame):
                self._waiting.append(item)
                continue
            if self._duration_s is not None and item.time_s >= self._duration_s:
                break
            yield from self._sound_until(item.time_s)
            if self._ending.is_set():
                return
            yield replace(item, arrived_s=time.monotonic())
            self._set_live()
        yield from self._sound_until(self._timeline.end_s)

    def _sound_until(self, time_s: float) -> Iterator[Sound]:
        """Wait until a time on the source's clock; packets of sound on the way, each at its own time."""
        while not self._ending.is_set():
            first = self._waiting[0] if self._waiting else None
            due_s = time_s if first is None else min(time_s, _time_s(first))
            self._wait_until(due_s)
            if first is None or _time_s(first) > time_s:
                return
            yield self._waiting.popleft()

    def _wait_until(self, time_s: float) -> None:
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s - time_s
        self._ending.wait(max(0.0, self._began_s + time_s - now_s))

    def _shifted(self) -> Iterator[Item]:
        """The items of all passes, on one clock."""
        while True:
            for item in self._current:
                if isinstance(item, Frame):
                    self._catch_up(item)
                    yield self._timeline.frame(item, self._first.info.rate)
                elif self._sound and item.stream.index == self._sound[0].index:
                    item.stream = self._sound[0]  # that of the first pass: it is the one in `info`
                    if (placed := self._timeline.sound(item)) is not None:
                        yield placed
            if self._current is self._first:
                self.warnings += self._first.warnings
            if not self._loop or self._ending.is_set():
                return
            self._again()

    def _again(self) -> None:
        self._timeline.next_pass()
        if self._current is not self._first:
            self._current.close()
        self._current = FileSource(self._path, self._settings, size=self._size)

    def _catch_up(self, frame: Frame) -> None:
        """Shift the clock if this frame comes much too late, so that times agree with the time that has passed."""
        if self._began_s is None:
            return
        late_s = time.monotonic() - self._began_s - frame.time_s - float(self._timeline.shift_s)
        if late_s > _LATE_S:
            self._timeline.shift_s += Fraction(late_s).limit_denominator(90_000)

    def _set_live(self) -> None:
        if self.state.name != "live":
            self.state = SourceState("live")
            self._on_state(self.state)

    def end(self) -> None:
        """Stop producing frames; those already delivered are still processed. Safe in a signal handler."""
        self._ending.set()

    def close(self) -> None:
        """Call it when iteration has ended. Idempotent."""
        self.end()
        for source in {self._first, self._current}:
            source.close()


class _Timeline:
    """The times of all passes on one clock: strictly increasing, packets of sound do not overlap.

    shift_s: added to the times of the current pass.
    """

    def __init__(self) -> None:
        self.shift_s = Fraction(0)
        self._last = -1  # ticks of CLOCK
        self._picture_end_s = self._sound_end_s = Fraction(0)

    @property
    def end_s(self) -> float:
        return float(max(self._picture_end_s, self._sound_end_s))

    def next_pass(self) -> None:
        self.shift_s = max(self._picture_end_s, self._sound_end_s)

    def frame(self, frame: Frame, rate: Fraction) -> Frame:
        time_s = frame.pts * frame.time_base + self.shift_s
        self._last = max(round(time_s / CLOCK), self._last + 1)
        self._picture_end_s = self._last * CLOCK + 1 / rate
        return replace(frame, pts=self._last, time_base=CLOCK)

    def sound(self, packet: Sound) -> Sound | None:
        """None for a packet that would mostly overlap the one before it: the start of many files is before their first
        frame."""
        clock = packet.time_base or Fraction(1, 48_000)
        pts, length = (packet.pts or 0) + round(self.shift_s / clock), packet.duration or 0
        end = round(self._sound_end_s / clock)
        if self._sound_end_s and pts < end - length / 2:
            return None
        packet.pts = packet.dts = max(pts, end) if self._sound_end_s else pts
        self._sound_end_s = (packet.pts + length) * clock
        return packet


def _time_s(packet: Sound) -> float:
    return float((packet.pts or 0) * (packet.time_base or 0))
