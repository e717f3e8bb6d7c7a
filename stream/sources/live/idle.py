"""A live source that is open only while somebody watches; otherwise its camera is off and the background is shown.

Who watches is polled in a thread of its own, because asking may take longer than a frame.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from stream.errors import MatteboxError
from stream.picture.canvas import grey
from stream.picture.frames import Frame, VideoInfo
from stream.pump import Item, Warnings
from stream.slot import LiveSlot
from stream.sources.base import LiveSource, SourceState

CLOCK = Fraction(1, 90_000)
_POLL_S = 0.5
_LINGER_S = 3.0  # programs close and reopen a camera when they change its settings
_SLATE_S = 0.5


class IdleSource:
    """The frames of a source while `watched`, slates while not; no sound.

    opened: opens the source; called with the size of its pictures, (0, 0) at first. It is opened once at the start, to
    learn its size. watched: whether somebody watches; None counts as yes. on_state: called with "idle" and "live"
    states, in the thread that reads.
    """

    live = True

    def __init__(
        self,
        opened: Callable[[tuple[int, int]], LiveSource],
        watched: Callable[[], bool | None],
        on_state: Callable[[SourceState], object],
    ) -> None:
        self._open, self._watched, self._on_state = opened, watched, on_state
        self._source: LiveSource | None = opened((0, 0))
        self.warnings: Warnings = []
        self.slot: LiveSlot[Item] = LiveSlot(lambda item: isinstance(item, Frame))
        self.dropped: Counter[str] = Counter()
        self.state = SourceState()
        self._info: VideoInfo | None = None
        self._origin_s = 0.0
        self._last = -1
        self._ending, self._changed, self._active = threading.Event(), threading.Event(), True
        self._poller = threading.Thread(target=self._poll, name="viewers of the camera", daemon=True)

    @property
    def info(self) -> VideoInfo:
        if self._info is None:
            assert self._source is not None
            self._info = replace(self._source.info, time_base=CLOCK, sound=(), duration_s=None, frames=None)
        return self._info

    def __iter__(self) -> Iterator[Item]:
        self._origin_s = time.monotonic()
        self._active = self._asked()
        self._poller.start()
        while not self._ending.is_set():
            yield from self._frames() if self._active else self._slates()

    def _frames(self) -> Iterator[Item]:
        if self._source is None:
            try:
                self._source = self._open((self.info.width, self.info.height))
            except MatteboxError as exc:  # such as a camera that was unplugged meanwhile
                self._set(SourceState("reconnecting", str(exc)))
                yield self._slate()
                self._ending.wait(_SLATE_S)
                return
        began_s = time.monotonic() - self._origin_s
        for item in self._source:
            if self._source.state.name != "connecting":
                self._set(self._source.state)
            if isinstance(item, Frame):
                yield self._placed(item, began_s + item.time_s)
            if not self._active or self._ending.is_set():
                break
        else:
            self.end()
        self._close_source()

    def _slates(self) -> Iterator[Frame]:
        self._close_source()
        self._set(SourceState("idle", "nobody watches the camera"))
        while not self._active and not self._ending.is_set():
            yield self._slate()
            self._changed.wait(_SLATE_S)
            self._changed.clear()

    def _slate(self) -> Frame:
        now_s, pixels = time.monotonic(), grey((self.info.width, self.info.height))
        return self._placed(Frame(pixels, 0, CLOCK, arrived_s=now_s, slate=True), now_s - self._origin_s)

    def _placed(self, frame: Frame, time_s: float) -> Frame:
        self._last = max(round(time_s / CLOCK), self._last + 1)
        return replace(frame, pts=self._last, time_base=CLOCK)

    def _asked(self) -> bool:
        return self._watched() is not False

    def _poll(self) -> None:
        seen_s = time.monotonic() if self._active else float("-inf")
        while not self._ending.wait(_POLL_S):
            if self._asked():
                seen_s = time.monotonic()
            active = time.monotonic() - seen_s < _LINGER_S
            if active != self._active:
                self._active = active
                self._changed.set()

    def _set(self, state: SourceState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self.warnings += [warning for warning in self._source.warnings if warning not in self.warnings]
            self.dropped += self._source.dropped
            self._source = None

    def end(self) -> None:
        """Stop producing frames; those already delivered are still processed. Safe in a signal handler."""
        self._ending.set()
        self._changed.set()
        if (source := self._source) is not None:
            source.end()

    def close(self) -> None:
        """Call it when iteration has ended. Idempotent."""
        self.end()
        self._close_source()
        if self._poller.ident is not None:
            self._poller.join()
