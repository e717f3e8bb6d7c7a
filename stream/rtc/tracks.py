"""Tracks of one viewer, which pass encoded packets to aiortc's senders.

Each viewer has its own short queue. A viewer that cannot keep up loses frames and resumes at a keyframe; the others
are not affected. Used on the event loop.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

Packet = Any
"""An av.Packet of video or audio, with its time. opaque: when its frame or sound arrived, by `time.monotonic`."""

_KEYFRAME_EVERY_S = 0.4
_VIDEO_CAPACITY = 64  # packets
_SOUND_CAPACITY = 50  # packets: one second of Opus


@dataclass(frozen=True)
class Variant:
    """What one encoder makes, for all viewers that get it.

    codec: "H264" or "VP8". stacked: colour above alpha, instead of the published view. max_blocks: the largest picture
    in macroblocks, to which larger ones are scaled down; 0: no limit.
    """

    codec: str
    stacked: bool = False
    max_blocks: int = 0


class _QueueTrack(MediaStreamTrack):
    """A track that sends the packets put into it.

    age_s: the age of the packet sent last, counted from its arrival at this server; for sender reports.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.started = False
        self.age_s = 0.0
        self._capacity = capacity
        self._packets: deque[Packet] = deque()
        self._changed = asyncio.Event()

    async def recv(self) -> Packet:
        """The next packet for aiortc's sender. Raises MediaStreamError when stopped."""
        self.started = True
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._changed.clear()
            await self._changed.wait()
        packet = self._packets.popleft()
        self.age_s = time.monotonic() - packet.opaque if packet.opaque else 0.0
        return packet

    def stop(self) -> None:
        super().stop()
        self._packets.clear()
        self._changed.set()

    def _append(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._changed.set()


class VideoTrack(_QueueTrack):
    """The video of one viewer.

    stacked: whether it shows colour above alpha. variant: what it sends, None until the answer is made. estimate_bps:
    the viewer's bandwidth estimate, None before the first. dropped: frames it lost. request_keyframe: called when this
    viewer needs a keyframe.
    """

    kind = "video"

    def __init__(self, request_keyframe: Callable[[], None], stacked: bool = False) -> None:
        super().__init__(_VIDEO_CAPACITY)
        self.stacked = stacked
        self.variant: Variant | None = None
        self.estimate_bps: int | None = None
        self.dropped = 0
        self._request_keyframe = request_keyframe
        self._begun, self._broken = False, True

    async def recv(self) -> Packet:
        first, self.started = not self.started, True
        if first:
            self._request_keyframe()
        return await super().recv()

    def put(self, packet: Packet, key: bool) -> None:
        """Queue one packet, or drop and count it. Ignored before the sender has started."""
        if not self.started:
            return
        if len(self._packets) >= self._capacity:
            self.dropped += len(self._packets)
            self._packets.clear()
            self._broken = True
        if self._broken and not key:
            self.dropped += self._begun
            self._request_keyframe()
            return
        self._begun, self._broken = True, False
        self._append(packet)


class SoundTrack(_QueueTrack):
    """The audio of one viewer; the oldest packets are dropped where it does not keep up."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__(_SOUND_CAPACITY)

    def put(self, packet: Packet) -> None:
        if self.started:
            if len(self._packets) >= self._capacity:
                self._packets.popleft()
            self._append(packet)


class EncodeRequests:
    """What the event loop requests from the encoding thread: variants, bandwidth estimates, keyframes.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._estimates_bps: Mapping[Variant, list[int]] = {}
        self._keyframes: set[Variant] = set()
        self._taken_s: dict[Variant, float] = {}

    def set(self, estimates_bps: Mapping[Variant, list[int]]) -> None:
        with self._lock:
            self._estimates_bps = estimates_bps

    def get(self) -> Mapping[Variant, list[int]]:
        """Variants in use, each with its viewers' bandwidth estimates in bits per second."""
        with self._lock:
            return self._estimates_bps

    def keyframe(self, variant: Variant) -> None:
        with self._lock:
            self._keyframes.add(variant)

    def take_keyframe(self, variant: Variant) -> bool:
        """Whether the next frame is to be a keyframe. Requests in quick succession share one."""
        now_s = time.monotonic()
        with self._lock:
            if variant not in self._keyframes or now_s - self._taken_s.get(variant, 0.0) < _KEYFRAME_EVERY_S:
                return False
            self._keyframes.remove(variant)
            self._taken_s[variant] = now_s
            return True
