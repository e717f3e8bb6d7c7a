"""A camera or server on the network as a live source. It never ends by itself: it reconnects whenever the connection is
lost. `protocols` lists the schemes.

Three threads: one reads and decodes (`connection`), one monitors the connection and reconnects, and the pump's thread
converts the newest picture. A frame that is not taken in time is replaced in `slot`, which `pump` reads from.

While there are no pictures, the source produces slates at the stream's rate: uniform grey frames marked as slates, for
which only the background is shown. The size is that of the first picture, or the requested one; pictures with another
aspect ratio are centred, and the area beside them counts as background.

Whether there is sound, and in which format, is decided when `info` is first read; `sound` keeps it continuous.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
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
from stream.registry import find
from stream.settings import Settings
from stream.slot import LiveSlot
from stream.sources.base import SourceOptions, SourceState
from stream.sources.live.connection import Connection, Picture, SoundPacket
from stream.sources.live.connections import Connect, Connections
from stream.sources.live.format import DEFAULT, LiveFormat
from stream.sources.live.protocols import PROTOCOLS
from stream.sources.live.sound import LiveSound

CLOCK = Fraction(1, 90_000)
DEFAULT_SIZE = (1280, 720)  # of slates, when no picture has been received yet

_POLL_S = 0.05  # between checks of whether another part has ended
_SOUND_S = 1.0  # wait for the first sound after the first picture
_MAX_EARLY = 500  # packets of sound that are kept until a picture shows how the clocks differ


class NetworkSource:
    """Frames and sound from an address, from the first read of `info` until `end` or `close` is called.

    options: size, duration_s, on_state, insecure and token are used; size (0, 0) is that of the first picture. Without
    `on_state` the states are logged, at most once a second. connect: makes the connections; None: by the registry of
    protocols. Raises UsageError for an incomplete address; iteration raises NoVideoStream if it ends without a single
    picture.

    state, slot, dropped: as in `LiveSource`. slates: number of slates produced. rate: of received pictures.
    """

    live = True
    takes = frozenset({"size", "duration_s"})

    @classmethod
    def from_address(cls, address: Address, options: SourceOptions, settings: Settings) -> Self:
        return cls(address, settings, options)

    def __init__(
        self,
        address: Address,
        settings: Settings,
        options: SourceOptions | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.address, self._settings, self._options = address, settings, options or SourceOptions()
        connecting = connect or _connecting(address, settings, self._options)
        self.warnings: Warnings = []
        self.slot: LiveSlot[Item] = LiveSlot(lambda item: isinstance(item, Frame))
        self.dropped: Counter[str] = Counter()
        self.rate = Recent()
        self.converting = Stopwatch()
        self.slates = 0
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._inbox: LiveSlot[Picture | SoundPacket] = LiveSlot(lambda item: isinstance(item, Picture))
        self._clock = ArrivalClock(CLOCK)
        self._ending = threading.Event()
        self._opening = threading.Lock()
        self._canvas: Canvas | None = None
        self._sound: LiveSound | None = None
        self._current = 0  # number of the connection whose pictures are on the clock
        self._waiting: deque[Picture | SoundPacket] = deque()
        self._early: deque[SoundPacket] = deque(maxlen=_MAX_EARLY)
        self._last_picture_s = self._last_slate_s = 0.0
        on_state = self._options.on_state or (lambda state: self._log.warning("%s: %s", self.address, state))
        self._connections = Connections(
            self._ending,
            lambda number: connecting(self._receive, number),
            on_state,
            settings,
        )

    @property
    def state(self) -> SourceState:
        return self._connections.state

    # Frames: in the pump's thread.

    @property
    def info(self) -> VideoInfo:
        """Connects and waits for the first picture, until the connection fails or the time limit has passed."""
        with self._opening:
            if self._canvas is None:
                self._connections.start()
                first = self._await_first()
                original = _upright(first) if first is not None else DEFAULT_SIZE
                self._interval = 1 / (first.rate if first is not None else Fraction(30))
                self._sound = self._chosen_sound()
                self._canvas = Canvas(self._fitted(original), self._settings)
        sound = () if self._sound is None else (self._sound.stream,)
        return VideoInfo(*self._canvas.size, CLOCK, 1 / self._interval, sound=sound)

    def _fitted(self, original: tuple[int, int]) -> tuple[int, int]:
        """The output size for pictures of this size; warns if the limit of live video reduces it."""
        wanted, live_pixels, max_pixels = self._options.size, self._settings.live_pixels, self._settings.max_pixels
        size, unlimited = fitted(original, wanted, live_pixels), fitted(original, wanted, max_pixels)
        if size != unlimited:
            (width, height), limit = unlimited, f"the limit of {live_pixels:,} pixels (MATTEBOX_LIVE_PIXELS)"
            scaled = f"scaled down from {width}x{height} to {size[0]}x{size[1]}: over {limit}"
            self.warnings.append(("scaled_down", scaled))
        return size

    def _await_first(self) -> Picture | None:
        """The first picture. What arrives meanwhile, and the sound that tells its format, is kept in `_waiting`."""
        first: Picture | None = None
        deadline_s = time.monotonic() + self._settings.rtsp_timeout_s
        while time.monotonic() < deadline_s and self.state.name != "reconnecting" and not self._ending.is_set():
            if (item := self._inbox.take(_POLL_S)) is None:
                continue
            if isinstance(item, Picture):  # only the newest is shown
                self._waiting = deque(waiting for waiting in self._waiting if isinstance(waiting, SoundPacket))
            self._waiting.append(item)
            if isinstance(item, Picture) and first is None:
                first, deadline_s = item, time.monotonic() + _SOUND_S
            if first is not None and (self._heard() or not self._connections.has_sound):
                break
        return first

    def _heard(self) -> SoundPacket | None:
        return next((item for item in self._waiting if isinstance(item, SoundPacket)), None)

    def _chosen_sound(self) -> LiveSound | None:
        """The sound in the format of what was heard first; none if the source was reached and has none."""
        if heard := self._heard():
            return LiveSound(LiveFormat.of(heard.packet) or DEFAULT)
        return None if self._connections.has_sound is False else LiveSound(DEFAULT)

    def __iter__(self) -> Iterator[Item]:
        assert self.info
        for item in self._items():
            if self._options.duration_s is not None and _time_s(item) >= self._options.duration_s:
                if isinstance(item, Frame):
                    break
                continue
            yield item
        self._conclude()

    def _items(self) -> Iterator[Item]:
        """Pictures and sound as they arrive, slates and silence while there are none."""
        while not self._ending.is_set():
            item = self._waiting.popleft() if self._waiting else self._inbox.take(self._wait_s())
            if isinstance(item, Picture):
                yield from self._picture(item)
            elif isinstance(item, SoundPacket):
                yield from self._hear(item)
            if self._slate_due_s() <= time.monotonic() and not self._waiting:
                yield self._slate()
            yield from self._silence()

    def _wait_s(self) -> float:
        return min(_POLL_S, max(0.0, self._slate_due_s() - time.monotonic()))

    def _enter(self, connection: int) -> None:
        """Note which connection an item comes from; a new one has another clock."""
        if connection != self._current:
            self._current = connection
            self._clock.restart()
            self._early.clear()
            if self._sound is not None:
                self._sound.restart()

    def _picture(self, picture: Picture) -> Iterator[Item]:
        self._enter(picture.connection)
        yield from self._converted(picture)
        early = list(self._early)
        self._early.clear()
        for packet in early:
            yield from self._hear(packet)

    def _hear(self, item: SoundPacket) -> Iterator[Item]:
        """Sound on the pictures' clock. Before the first picture it has no place there and waits."""
        self._enter(item.connection)
        if self._sound is None:
            return
        time_s = self._clock.locate(item.time_s)
        if time_s is None:
            self._early.append(item)
            return
        yield from self._sound.add(item.packet, time_s, self._clock.elapsed_s(time.monotonic()))

    def _silence(self) -> Iterator[Item]:
        if self._sound is not None:
            away = self.state.name != "live" or self._connections.has_sound is False
            yield from self._sound.fill(self._clock.elapsed_s(time.monotonic()), away)

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
        """Safe to call from any thread and more than once. Waits about half a second at most; for a session on a server
        that has to be ended, two seconds."""
        self.end()
        self._inbox.close()
        self._connections.close()

    # In the thread of the connection.

    def _receive(self, item: Picture | SoundPacket) -> None:
        if not self._inbox.put(item) or not isinstance(item, Picture):
            return
        self.rate.tick()
        if self._inbox.dropped:
            self.dropped["convert"] = self._inbox.dropped
        self._connections.report(SourceState("live"))


def _connecting(address: Address, settings: Settings, options: SourceOptions) -> Connect:
    """Connections by the registry of protocols. Raises UsageError for an address that cannot be opened, also if no
    certificate can be verified."""
    protocol = PROTOCOLS[address.scheme].through(options.proxy)
    protocol.check(address)
    if protocol.connecting:
        connecting: Connect = find(protocol.connecting)(address, protocol, settings, options)
        return connecting
    protocol.all_options(settings, options.insecure)
    return lambda deliver, number: Connection(
        address, protocol, settings, deliver, options.insecure, number, options.size
    )


def _time_s(item: Item) -> float:
    return item.time_s if isinstance(item, Frame) else float((item.pts or 0) * (item.time_base or 0))


def _upright(picture: Picture) -> tuple[int, int]:
    """Width and height after rotation, with square pixels."""
    return Shape.of(picture.decoded, picture.sar or Fraction(1)).upright_size()
