"""A camera or server that speaks RTSP, as a source that never ends by itself: it is asked again whenever it is lost.

Three threads: one reads and decodes (`connection`), one watches it and connects again, and the pump's own takes the
newest picture. What is not taken in time is replaced in `slot`, which `pump` reads from.

While there is no picture, slates come instead, at the stream's rate: even grey frames marked as such, of which only the
background leaves. Sound is not asked for. The size is that of the first picture, or what was asked for; pictures of
another shape stand in the middle, and what is beside them counts as background.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Self

from stream.address import Address
from stream.errors import InputError, NoVideoStream
from stream.log import OncePerSecond
from stream.meters import Recent, Stopwatch
from stream.picture.canvas import Canvas, fitted, grey
from stream.picture.frames import Frame, VideoInfo
from stream.picture.ingest import Shape
from stream.picture.timing import ArrivalClock
from stream.pump import Item, Warnings
from stream.settings import Settings
from stream.slot import Slot
from stream.sources.base import SourceOptions, SourceState
from stream.sources.connection import Connection, Picture

CLOCK = Fraction(1, 90_000)
UNSEEN = (1280, 720)  # the size of a slate that is shown before any picture came

_LOOK_S = 0.05  # how often the threads look whether something else has ended
_GRACE_S = 0.5  # a connection that works ends within a picture's time; one that hangs is left behind
_MOST_STUCK = 8  # threads that hang in FFmpeg; more are not started


class RtspSource:
    """Pictures from an rtsp:// or rtsps:// address, from the first look at `info` until `end` or `close` is called.

    size, duration_s, on_state: as in `SourceOptions`; size (0, 0) is that of the first picture. Without `on_state` the
    states are logged, at most once a second. Raises UsageError for an address without a host, and from iteration
    NoVideoStream when it has ended without a single picture.

    state, slot, dropped: as in `LiveSource`. slates: how many were handed on. rate: pictures that came.
    """

    live = True
    takes = frozenset({"size", "duration_s"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(address, settings, options.size, options.duration_s, options.on_state)

    def __init__(
        self,
        address: Address,
        settings: Settings,
        size: tuple[int, int] = (0, 0),
        duration_s: float | None = None,
        on_state: Callable[[SourceState], object] | None = None,
    ) -> None:
        address.check_host()
        self.address = address
        self.warnings: Warnings = []
        self.slot: Slot[Item] = Slot()
        self.dropped: Counter[str] = Counter()
        self.rate = Recent()
        self.converting = Stopwatch()
        self.state = SourceState()
        self.slates = 0
        self._settings, self._size, self._duration_s = settings, size, duration_s
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._on_state = on_state or (lambda state: self._log.warning("%s: %s", self.address, state))
        self._said = True
        self._inbox: Slot[Picture] = Slot()
        self._clock = ArrivalClock(CLOCK)
        self._ending = threading.Event()
        self._opening = threading.Lock()
        self._canvas: Canvas | None = None
        self._first: Picture | None = None
        self._seen_s = self._slated_s = 0.0
        self._watching = threading.Thread(target=self._keep_connected, name="rtsp watch", daemon=True)

    # the picture's side: the pump's thread

    @property
    def info(self) -> VideoInfo:
        """Connects, and waits for the first picture, but not where none is to be expected soon."""
        with self._opening:
            if self._canvas is None:
                if self._watching.ident is None:
                    self._watching.start()
                self._first = self._await_first()
                seen = _upright(self._first) if self._first is not None else UNSEEN
                self._interval = 1 / (self._first.rate if self._first is not None else Fraction(30))
                self._canvas = Canvas(self._fitted(seen), self._settings)
        return VideoInfo(*self._canvas.size, CLOCK, 1 / self._interval)

    def _fitted(self, seen: tuple[int, int]) -> tuple[int, int]:
        most_pixels = self._settings.live_pixels
        size, wanted = fitted(seen, self._size, most_pixels), fitted(seen, self._size, self._settings.max_pixels)
        if size != wanted:
            (width, height), limit = wanted, f"the limit of {most_pixels:,} pixels (MATTEBOX_LIVE_PIXELS)"
            scaled = f"scaled down from {width}x{height} to {size[0]}x{size[1]}: over {limit}"
            self.warnings.append(("scaled_down", scaled))
        return size

    def _await_first(self) -> Picture | None:
        until_s = time.monotonic() + self._settings.rtsp_timeout_s
        while time.monotonic() < until_s and self.state.name != "reconnecting" and not self._ending.is_set():
            if (picture := self._inbox.take(_LOOK_S)) is not None:
                return picture
        return None

    def __iter__(self) -> Iterator[Frame]:
        assert self.info
        for frame in self._frames():
            if self._duration_s is not None and frame.time_s >= self._duration_s:
                break
            yield frame
        self._conclude()

    def _frames(self) -> Iterator[Frame]:
        """Pictures as they come, slates where they do not."""
        picture, self._first = self._first, None
        while not self._ending.is_set():
            if picture is not None:
                yield from self._converted(picture)
            elif self._slate_due_s() <= time.monotonic():
                yield self._slate()
            picture = self._inbox.take(min(_LOOK_S, max(0.0, self._slate_due_s() - time.monotonic())))

    def _converted(self, picture: Picture) -> list[Frame]:
        assert self._canvas is not None
        decoded = picture.decoded
        decoded.pts, decoded.time_base = self._clock.place(picture.time_s, picture.arrived_s), CLOCK
        try:
            with self.converting:
                frames = [replace(one, arrived_s=picture.arrived_s) for one in self._canvas(decoded, picture.sar)]
        except InputError as exc:
            self.dropped["unusable"] += 1
            self._log.warning("%s: %s", self.address, exc)
            return []
        self._interval, self._seen_s, self._slated_s = 1 / picture.rate, time.monotonic(), 0.0
        return frames

    def _slate_due_s(self) -> float:
        """When the next slate is to go out if no picture comes before."""
        if self._slated_s:
            return self._slated_s + float(self._interval)
        lost = self.state.name != "live"
        return 0.0 if lost else self._seen_s + max(self._settings.slate_after_s, 3 * float(self._interval))

    def _slate(self) -> Frame:
        assert self._canvas is not None
        now_s, due_s = time.monotonic(), self._slate_due_s()
        self._slated_s = due_s if now_s - due_s < 1.0 else now_s
        self.slates += 1
        return Frame(grey(self._canvas.size), self._clock.place(None, now_s), CLOCK, arrived_s=now_s, slate=True)

    def _conclude(self) -> None:
        if not self._seen_s:
            raise NoVideoStream(f"not one picture came from {self.address}: {self.state.reason or self.state}")
        if self.slates:
            away_s = self.slates * float(self._interval)
            self.warnings.append(("source_away", f"the source was away for {away_s:.1f} s: the background was shown"))

    def end(self) -> None:
        """No more frames; those handed on are still worked on. Safe in a signal handler."""
        self._ending.set()

    def close(self) -> None:
        """From any thread, as often as one likes; never waits for long."""
        self.end()
        self._inbox.close()
        if self._watching.is_alive() and threading.current_thread() is not self._watching:
            self._watching.join(_GRACE_S + 2 * _LOOK_S)

    # the connection's side

    def _keep_connected(self) -> None:
        stuck: list[Connection] = []
        while not self._ending.is_set():
            stuck = [one for one in stuck if not one.ended.is_set()]
            if len(stuck) < _MOST_STUCK:
                stuck.append(self._connect())
            if not self._ending.is_set():
                self._tell(SourceState("reconnecting", stuck[-1].overdue or stuck[-1].reason))
            self._ending.wait(self._settings.rtsp_retry_s)

    def _connect(self) -> Connection:
        """One connection from its beginning to its end, or until it is given up."""
        self._clock.restart()
        connection = Connection(self.address, _protocol(self._settings), self._settings, self._take)
        connection.start()
        while not connection.ended.wait(_LOOK_S):
            if self._ending.is_set() or connection.overdue:
                connection.abandon()
                connection.ended.wait(_GRACE_S if self._ending.is_set() else 0)
                break
        return connection

    def _take(self, picture: Picture) -> None:
        self.rate.tick()
        if not self._inbox.put(picture):
            return
        if self._inbox.dropped:
            self.dropped["convert"] = self._inbox.dropped
        self._tell(SourceState("live"))

    def _tell(self, state: SourceState) -> None:
        """Each state once; again if it was held back."""
        if state != self.state or not self._said:
            self.state = state
            self._said = self._on_state(state) is not False


def _protocol(settings: Settings) -> dict[str, str]:
    """FFmpeg's options for RTSP."""
    return {
        "rtsp_transport": settings.rtsp_transport,
        "timeout": str(round(settings.rtsp_timeout_s * 1e6)),  # microseconds
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtsps,rtp,tcp,udp,tls",
    }


def _upright(picture: Picture) -> tuple[int, int]:
    return Shape.of(picture.decoded, picture.sar or Fraction(1)).upright_size()
