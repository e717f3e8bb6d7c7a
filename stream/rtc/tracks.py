"""What one viewer is sent: tracks that hand packets, encoded already, to aiortc's senders.

Each viewer has a short ring of its own. One that cannot keep up loses pictures and begins again at a keyframe; the
others do not notice. Lives on the event loop.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

Packet = Any  # av.Packet[…]: of video or of sound, with its time
_KEYFRAME_EVERY_S = 0.4
_PICTURES = 64
_SOUNDS = 50  # one second of Opus


class _Ring(MediaStreamTrack):
    """A track that others put packets into."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.started = False
        self._capacity = capacity
        self._packets: deque[Packet] = deque()
        self._changed = asyncio.Event()

    async def recv(self) -> Packet:
        """The next packet for the sender. Raises MediaStreamError when stopped."""
        self.started = True
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._changed.clear()
            await self._changed.wait()
        return self._packets.popleft()

    def stop(self) -> None:
        super().stop()
        self._packets.clear()
        self._changed.set()

    def _append(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._changed.set()


class VideoTrack(_Ring):
    """The pictures of one viewer.

    codec: "H264" or "VP8", known when the answer is. estimate_bps: what the viewer said it can take, None before it
    did. dropped: pictures it lost. ask: called when this viewer needs a keyframe.
    """

    kind = "video"

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__(_PICTURES)
        self.codec = ""
        self.estimate_bps: int | None = None
        self.dropped = 0
        self._ask = ask
        self._begun, self._broken = False, True

    async def recv(self) -> Packet:
        first, self.started = not self.started, True
        if first:
            self._ask()
        return await super().recv()

    def put(self, packet: Packet, key: bool) -> None:
        """One picture for this viewer; kept, or dropped and counted. Before the sender has begun it is neither."""
        if not self.started:
            return
        if len(self._packets) >= self._capacity:
            self.dropped += len(self._packets)
            self._packets.clear()
            self._broken = True
        if self._broken and not key:
            self.dropped += self._begun
            self._ask()
            return
        self._begun, self._broken = True, False
        self._append(packet)


class SoundTrack(_Ring):
    """The sound of one viewer; the oldest is given up where it does not keep up."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__(_SOUNDS)

    def put(self, packet: Packet) -> None:
        if self.started:
            if len(self._packets) >= self._capacity:
                self._packets.popleft()
            self._append(packet)


class DelayLine:
    """Lets packets go a given time after they came, in order: sound would else run ahead of the picture."""

    def __init__(self, release: Callable[[Packet], None]) -> None:
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._last_s = 0.0
        self._held: deque[tuple[asyncio.TimerHandle, Packet]] = deque()

    def put(self, packet: Packet, arrived_s: float, delay_s: float) -> None:
        due_s = self._last_s = max(arrived_s + delay_s, self._last_s)
        timer = self._loop.call_later(max(0.0, due_s - time.monotonic()), self._first)
        self._held.append((timer, packet))

    def _first(self) -> None:
        """The one that has waited longest, whichever timer it was: equal times have no order."""
        self._release(self._held.popleft()[1])

    def cancel(self) -> None:
        for timer, _ in self._held:
            timer.cancel()
        self._held.clear()


class Wanted:
    """What the event loop asks of the thread that encodes: which codecs, at what rates, and where a keyframe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._estimates_bps: dict[str, list[int]] = {}
        self._keyframes: set[str] = set()
        self._taken_s: dict[str, float] = {}

    def set(self, estimates_bps: dict[str, list[int]]) -> None:
        with self._lock:
            self._estimates_bps = estimates_bps

    def get(self) -> dict[str, list[int]]:
        """Codecs that somebody watches, with what those who said so can take, in bits a second."""
        with self._lock:
            return self._estimates_bps

    def keyframe(self, codec: str) -> None:
        with self._lock:
            self._keyframes.add(codec)

    def take_keyframe(self, codec: str) -> bool:
        """Shall the next picture be one? Requests that come close together share one."""
        now_s = time.monotonic()
        with self._lock:
            if codec not in self._keyframes or now_s - self._taken_s.get(codec, 0.0) < _KEYFRAME_EVERY_S:
                return False
            self._keyframes.remove(codec)
            self._taken_s[codec] = now_s
            return True
