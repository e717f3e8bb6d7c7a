"""The sound of one live video: Opus packets, unchanged, that leave with the delay of the picture.

Nothing is decoded: the receivers' jitter buffers stretch the sound where the delay changes, so it changes in small
steps. Memory is bounded: no packet is held longer than `MAX_DELAY_S`. Used on the event loop. Knows nothing about
connections.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from fractions import Fraction

import av

from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.tracks import Packet

MAX_DELAY_S = 10.0
_RATE = 48_000  # ticks per second
_MAX_HELD = 1000  # packets: 20 s of the usual ones; only a hostile client sends more
_LARGE_S = 0.25  # a change this large also shows in the picture, which freezes or skips ahead
_SLEW = (0.05, 0.2)  # seconds per second: 1 to 4 ms in a packet of 20 ms, which receivers stretch or compress smoothly
_STRAY_S = 0.5  # timestamps and arrivals differ by less, for any network and clock
_FORGET = 0.999  # per packet: clocks drift apart by seconds in a day
_GRID = 5760  # ticks: 120 ms, a multiple of every possible duration of an Opus packet


class FollowedDelay:
    """A delay of sound in seconds. It follows the picture's in small steps, and at once where the difference is large.

    Players skip over a large change as over lost packets, and the picture stops or skips ahead at the same time.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0
        self._changed_s: float | None = None

    def follow(self, target_s: float, now_s: float) -> float:
        """The delay for now. target_s: the picture's delay, smoothed."""
        change_s = min(target_s, MAX_DELAY_S) - self.delay_s
        if self._changed_s is not None and abs(change_s) < _LARGE_S:
            limit_s = min(max(abs(change_s), _SLEW[0]), _SLEW[1]) * (now_s - self._changed_s)
            change_s = min(max(change_s, -limit_s), limit_s)
        self.delay_s += change_s
        self._changed_s = now_s
        return self.delay_s


class ContinuousTime:
    """Timestamps that follow the clock, whatever those of the client do.

    A browser's timestamps stop while its microphone is off, and players would treat the next sound as very late. They
    may also restart at another value, or arrive in a burst after the network stalled, which would be played late.
    """

    def __init__(self) -> None:
        self._shift = 0
        self._ahead_s = 0.0  # of the clock
        self._last: Encoded | None = None

    def __call__(self, sound: Encoded) -> int:
        """The pts to send `sound` with, in ticks of 48 kHz: moved by multiples of `_GRID`, so that none overlap."""
        last, self._last = self._last or sound, sound
        step_s = (sound.pts - last.pts) / _RATE - (sound.arrived_s - last.arrived_s)
        self._ahead_s = self._ahead_s * _FORGET + step_s
        if abs(self._ahead_s) > _STRAY_S:
            moved = round(self._ahead_s * _RATE / _GRID) * _GRID
            self._shift -= moved
            self._ahead_s -= moved / _RATE
        return sound.pts + self._shift


class SoundDelay:
    """Holds each packet for as long as the picture takes, and releases them in the order of their timestamps.

    release: called with each packet, whose `opaque` is the time of its arrival. target_s: the picture's delay; None
    before the first picture: until then nothing is released. dropped: packets over the limit, late, or received twice.
    """

    def __init__(self, release: Callable[[Packet], None], target_s: Callable[[], float | None]) -> None:
        self.dropped = 0
        self._release, self._target_s = release, target_s
        self._loop = asyncio.get_running_loop()
        self._delay, self._time = FollowedDelay(), ContinuousTime()
        self._held: list[tuple[int, float, bytes]] = []  # pts, arrival, data
        self._released = -(2**63)  # pts
        self._timer: asyncio.TimerHandle | None = None

    def put(self, sound: Encoded) -> None:
        pts = self._time(sound)
        place = bisect_left(self._held, pts, key=lambda held: held[0])
        if pts <= self._released or (place < len(self._held) and self._held[place][0] == pts):
            self.dropped += 1
            return
        self._held.insert(place, (pts, sound.arrived_s, sound.data))
        if len(self._held) > _MAX_HELD:
            del self._held[0]
            self.dropped += 1
        self._release_due()

    def _release_due(self) -> None:
        now_s, target_s = self._loop.time(), self._target_s()  # the loop's clock is `time.monotonic`
        delay_s = MAX_DELAY_S if target_s is None else self._delay.follow(target_s, now_s)
        while self._held and self._held[0][1] + delay_s <= now_s:
            pts, arrived_s, data = self._held.pop(0)
            self._released = pts
            if target_s is not None and now_s - arrived_s - delay_s < _LARGE_S:
                self._release(_packet(pts, arrived_s, data))
            else:
                self.dropped += 1
        self._wake(self._held[0][1] + delay_s - now_s if self._held else None)

    def _wake(self, in_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if in_s is None else self._loop.call_later(in_s, self._release_due)


def _packet(pts: int, arrived_s: float, data: bytes) -> Packet:
    packet: Packet = av.Packet(data)
    packet.pts, packet.time_base, packet.opaque = pts, Fraction(1, _RATE), arrived_s
    return packet
