"""An RTSP camera or server as a live source. It never ends by itself: it reconnects whenever the connection is lost.

Three threads: one reads and decodes (`connection`), one monitors the connection and reconnects, and the pump's thread
converts the newest picture. A frame that is not taken in time is replaced in `slot`, which `pump` reads from.

While there are no pictures, the source produces slates at the stream's rate: uniform grey frames marked as slates, for
which only the background is shown. Audio is not requested. The size is that of the first picture, or the requested one;
pictures with another aspect ratio are centred, and the area beside them counts as background.
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
DEFAULT_SIZE = (1280, 720)  # of slates, when no picture has been received yet

_POLL_S = 0.05  # between the threads' checks of whether another part has ended
_GRACE_S = 0.5  # a working connection ends within the time of a picture; one that hangs is abandoned
_MAX_STUCK = 8  # threads that hang in FFmpeg; beyond that no more are started


class RtspSource:
    """Frames from an rtsp:// or rtsps:// address, from the first read of `info` until `end` or `close` is called.

    size, duration_s, on_state: as in `SourceOptions`; size (0, 0) is that of the first picture. Without `on_state` the
    states are logged, at most once a second. Raises UsageError for an address without a host; iteration raises
    NoVideoStream if it ends without a single picture.

    state, slot, dropped: as in `LiveSource`. slates: number of slates produced. rate: of received pictures.
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
        self._reported = True
        self._inbox: Slot[Picture] = Slot()
        self._clock = ArrivalClock(CLOCK)
        self._ending = threading.Event()
        self._opening = threading.Lock()
        self._canvas: Canvas | None = None
        self._first: Picture | None = None
        self._last_picture_s = self._last_slate_s = 0.0
        self._monitor = threading.Thread(target=self._keep_connected, name="rtsp monitor", daemon=True)

    # Frames: in the pump's thread.

    @property
    def info(self) -> VideoInfo:
        """Connects and waits for the first picture, until the connection fails or the time limit has passed."""
        with self._opening:
            if self._canvas is None:
                if self._monitor.ident is None:
                    self._monitor.start()
                self._first = self._await_first()
                original = _upright(self._first) if self._first is not None else DEFAULT_SIZE
                self._interval = 1 / (self._first.rate if self._first is not None else Fraction(30))
                self._canvas = Canvas(self._fitted(original), self._settings)
        return VideoInfo(*self._canvas.size, CLOCK, 1 / self._interval)

    def _fitted(self, original: tuple[int, int]) -> tuple[int, int]:
        """The output size for pictures of this size; warns if the limit of live video reduces it."""
        live_pixels, max_pixels = self._settings.live_pixels, self._settings.max_pixels
        size, unlimited = fitted(original, self._size, live_pixels), fitted(original, self._size, max_pixels)
        if size != unlimited:
            (width, height), limit = unlimited, f"the limit of {live_pixels:,} pixels (MATTEBOX_LIVE_PIXELS)"
            scaled = f"scaled down from {width}x{height} to {size[0]}x{size[1]}: over {limit}"
            self.warnings.append(("scaled_down", scaled))
        return size

    def _await_first(self) -> Picture | None:
        deadline_s = time.monotonic() + self._settings.rtsp_timeout_s
        while time.monotonic() < deadline_s and self.state.name != "reconnecting" and not self._ending.is_set():
            if (picture := self._inbox.take(_POLL_S)) is not None:
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
        """Pictures as they arrive, slates while there are none."""
        picture, self._first = self._first, None
        while not self._ending.is_set():
            if picture is not None:
                yield from self._converted(picture)
            elif self._slate_due_s() <= time.monotonic():
                yield self._slate()
            picture = self._inbox.take(min(_POLL_S, max(0.0, self._slate_due_s() - time.monotonic())))

    def _converted(self, picture: Picture) -> list[Frame]:
        assert self._canvas is not None
        decoded = picture.decoded
        decoded.pts, decoded.time_base = self._clock.place(picture.time_s, picture.arrived_s), CLOCK
        try:
            with self.converting:
                frames = [replace(frame, arrived_s=picture.arrived_s) for frame in self._canvas(decoded, picture.sar)]
        except InputError as exc:
            self.dropped["unusable"] += 1
            self._log.warning("%s: %s", self.address, exc)
            return []
        self._interval, self._last_picture_s, self._last_slate_s = 1 / picture.rate, time.monotonic(), 0.0
        return frames

    def _slate_due_s(self) -> float:
        """When to send the next slate if no picture arrives before, by `time.monotonic`."""
        if self._last_slate_s:
            return self._last_slate_s + float(self._interval)
        lost = self.state.name != "live"
        return 0.0 if lost else self._last_picture_s + max(self._settings.slate_after_s, 3 * float(self._interval))

    def _slate(self) -> Frame:
        assert self._canvas is not None
        now_s, due_s = time.monotonic(), self._slate_due_s()
        self._last_slate_s = due_s if now_s - due_s < 1.0 else now_s
        self.slates += 1
        return Frame(grey(self._canvas.size), self._clock.place(None, now_s), CLOCK, arrived_s=now_s, slate=True)

    def _conclude(self) -> None:
        if not self._last_picture_s:
            raise NoVideoStream(f"no picture was received from {self.address}: {self.state.reason or self.state}")
        if self.slates:
            lost_s = self.slates * float(self._interval)
            text = f"the source was unavailable for {lost_s:.1f} s; the background was shown"
            self.warnings.append(("source_away", text))

    def end(self) -> None:
        """Stop producing frames; those already delivered are still processed. Safe in a signal handler."""
        self._ending.set()

    def close(self) -> None:
        """Safe to call from any thread and more than once. Waits about half a second at most."""
        self.end()
        self._inbox.close()
        if self._monitor.is_alive() and threading.current_thread() is not self._monitor:
            self._monitor.join(_GRACE_S + 2 * _POLL_S)

    # The connection: in the monitor's thread, and `_receive` in that of the connection.

    def _keep_connected(self) -> None:
        stuck: list[Connection] = []
        while not self._ending.is_set():
            try:
                self._connect_again(stuck)
            except Exception as exc:  # noqa: BLE001 - of `on_state`, for example; the source must go on reconnecting
                self._log.warning("%s: %r", self.address, exc)
            self._ending.wait(self._settings.rtsp_retry_s)

    def _connect_again(self, stuck: list[Connection]) -> None:
        """Make one connection, and report its end. stuck: connections that did not end; updated."""
        stuck[:] = [connection for connection in stuck if not connection.ended.is_set()]
        if len(stuck) < _MAX_STUCK:
            stuck.append(self._connect())
        if not self._ending.is_set():
            self._set_state(SourceState("reconnecting", stuck[-1].overdue or stuck[-1].reason))

    def _connect(self) -> Connection:
        """Make one connection, and wait until it ends or is abandoned."""
        self._clock.restart()
        connection = Connection(self.address, _protocol(self._settings), self._settings, self._receive)
        connection.start()
        while not connection.ended.wait(_POLL_S):
            if self._ending.is_set() or connection.overdue:
                connection.abandon()
                connection.ended.wait(_GRACE_S if self._ending.is_set() else 0)
                break
        return connection

    def _receive(self, picture: Picture) -> None:
        self.rate.tick()
        if not self._inbox.put(picture):
            return
        if self._inbox.dropped:
            self.dropped["convert"] = self._inbox.dropped
        self._set_state(SourceState("live"))

    def _set_state(self, state: SourceState) -> None:
        """Report each state once; again if the report was refused."""
        if state != self.state or not self._reported:
            self.state, self._reported = state, False
            self._reported = self._on_state(state) is not False


def _protocol(settings: Settings) -> dict[str, str]:
    """FFmpeg's options for RTSP."""
    return {
        "rtsp_transport": settings.rtsp_transport,
        "timeout": str(round(settings.rtsp_timeout_s * 1e6)),  # microseconds
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtsps,rtp,tcp,udp,tls",
    }


def _upright(picture: Picture) -> tuple[int, int]:
    """Width and height after rotation, with square pixels."""
    return Shape.of(picture.decoded, picture.sar or Fraction(1)).upright_size()
