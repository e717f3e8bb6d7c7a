"""The sound of a live source as one continuous track: in one format, without overlaps, and silent where there is none.

Knows nothing about connections. Times are in seconds on the clock of the source's frames.
"""

from collections.abc import Iterator
from typing import cast

import av

from stream.picture.frames import Sound
from stream.sources.live.format import LiveFormat, Template, payload
from stream.sources.live.sound_converter import SoundConverter

_LAG_S = 0.2  # silence is written so long after its time while the source is away
_LIVE_LAG_S = 0.5  # and while its sound may only be late, longer than it has been late before
_MAX_LATE_S = 5.0
_MAX_EARLY_S = 2.0  # earlier only where the clock of one stream has jumped, and not yet that of the other


class LiveSound:
    """Places packets on the track and fills holes in it with silence.

    stream: as in `VideoInfo.sound`; all packets are of this stream, in samples from 0, with increasing times. filled_s:
    length of all silence that was added.
    """

    def __init__(self, chosen: LiveFormat) -> None:
        self.format = chosen
        self._template = Template(chosen)
        self.stream = self._template.stream
        self.filled_s = 0.0
        self._next = 0
        self.restart()

    def restart(self) -> None:
        """Call when a connection begins or ends."""
        self._converter: SoundConverter | None = None
        self._late_s: float | None = None

    def add(self, packet: Sound, time_s: float, now_s: float) -> Iterator[Sound]:
        """The packets to pass on for one of a connection that begins at `time_s` and has arrived at `now_s`. Sound
        before the end of what was passed on is dropped, and so is sound far in the future."""
        if time_s - now_s > _MAX_EARLY_S:
            return
        self._late_s = min(max(self._late_s or 0.0, now_s - time_s), _MAX_LATE_S)
        if LiveFormat.of(packet) == self.format:
            yield from self._placed(payload(packet), time_s)
            return
        self._converter = self._converter or SoundConverter(self.format)
        for data, begins_s in self._converter(packet, time_s):
            yield from self._placed(data, begins_s)

    def fill(self, now_s: float, away: bool) -> Iterator[Sound]:
        """Silence up to shortly before `now_s`, where no sound has been passed on. away: none is to be expected."""
        if away:
            self.restart()
        lag_s = _LAG_S if away else (self._late_s or 0.0) + _LIVE_LAG_S
        yield from self._silence_until(round((now_s - lag_s) * self.format.rate))

    def _placed(self, data: bytes, time_s: float) -> Iterator[Sound]:
        """The packet, after silence where there is a hole before it. A difference of up to half a packet is jitter."""
        samples = self.format.samples(data)
        start = round(time_s * self.format.rate)
        ahead = start - self._next
        if not samples or ahead < -(samples // 2):
            return
        if ahead > samples // 2:
            yield from self._silence_until(start)
            self._next = max(self._next, start)
        yield self._packet(data, samples)

    def _silence_until(self, end: int) -> Iterator[Sound]:
        samples = self.format.default_samples
        while self._next + samples <= end:
            self.filled_s += samples / self.format.rate
            yield self._packet(self._template.silence, samples)

    def _packet(self, data: bytes, samples: int) -> Sound:
        packet = cast(Sound, av.Packet(data))
        packet.stream, packet.time_base = self.stream, self.format.time_base
        packet.pts = packet.dts = self._next
        packet.duration, packet.is_keyframe = samples, True
        self._next += samples
        return packet
