"""Repairs single damaged times in containers without an index, from the times around them.

Without this, a damaged time looks like the start of a joined recording, and all later times would move. In an intact
stream decoding times always increase. A short run of packets is damaged if both of its ends are jumps, and the packets
around it follow each other as usual. A new recording or a jump of the clock has only one such end.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from stream.sources.extent import WRAP

_JUMP_S, _JUMP_STEPS = Fraction(1, 10), Fraction(5, 2)  # smaller differences from the usual step are none
_LONGEST_RUN = 24  # packets: those of one PES packet of sound have all the same damage
_STEADY = 8  # packets in step: a run that ends with these, but does not return to before it, is a new recording
_MOST_HELD = 2_000  # packets of all streams that wait for a decision
_FAR_S = Fraction(10)  # a gap at the start or the end is more probable than damage, up to this length
_AT_END = 2  # packets
_REORDERED = 17  # frames by which presentation may follow decoding: more than any codec allows
_UNKNOWN_STEP_S = Fraction(1, 25)


@dataclass
class _Held:
    """A packet that waits. settled: its time is decided."""

    packet: Any
    time: Any
    settled: bool = True


@dataclass
class _Stream:
    """One stream. first: its first packet, as long as no other has followed it as usual. last: time of the last packet
    that is not in the run, in ticks. run: packets after it that may be damaged. steady: number of packets at the end of
    the run that follow each other as usual. step: usual ticks between packets."""

    first: _Held | None = None
    last: int | None = None
    step: Fraction = Fraction(0)
    run: list[_Held] = field(default_factory=list)
    steady: int = 0


class TimeRepair:
    """Passes packets on in their order, with repaired times. repaired: number of packets whose time was damaged."""

    def __init__(self) -> None:
        self.repaired = 0
        self._held: deque[_Held] = deque()
        self._streams: dict[int, _Stream] = {}

    def packets(self, packets: Iterable[Any]) -> Iterator[Any]:
        """All packets. A damaged time of a stream's first packet becomes None. Raises av.error.FFmpegError, after the
        packets that were read before."""
        error = None
        try:
            for packet in packets:
                self._take(packet)
                while self._held and (self._held[0].settled or len(self._held) > _MOST_HELD):
                    yield self._held.popleft().packet
        except av.error.FFmpegError as exc:
            error = exc
        self._end()
        while self._held:
            yield self._held.popleft().packet
        if error is not None:
            raise error

    def _take(self, packet: Any) -> None:
        stream = self._streams.setdefault(packet.stream.index, _Stream())
        time = packet.pts if packet.dts is None else packet.dts
        held = _Held(packet, time)
        self._held.append(held)
        if time is None or not packet.time_base or packet.stream.type not in ("video", "audio"):
            return
        stream.step = Fraction(packet.duration or 0) or stream.step or _UNKNOWN_STEP_S / packet.time_base
        self._check_presentation(packet, stream.step)
        if stream.last is None:
            stream.first, stream.last, held.settled = held, time, False
            return
        if stream.run and self._is_damaged(stream, held):
            self._repair(stream, time)
        elif stream.run and self._is_new(stream, held):
            self._settle(stream, stream.run[-1].time)
        self._append(stream, held)

    def _append(self, stream: _Stream, held: _Held) -> None:
        """Add a packet to the run, or settle it if it follows the last one as usual."""
        latest = stream.run[-1].time if stream.run else stream.last
        jumps = self._is_jump(stream, held.time - latest, held.packet)
        stream.steady = 0 if jumps else stream.steady + 1
        if stream.run or jumps:
            held.settled = False
            stream.run.append(held)
            self._check_first(stream)
        else:
            self._settle(stream, held.time)

    def _check_first(self, stream: _Stream) -> None:
        """Forget the time of the stream's first packet if the next two follow each other, but not the first one."""
        if stream.first is None or not stream.steady:
            return
        packet, ahead = stream.first.packet, stream.run[0].time - stream.first.time
        if ahead < 0 or self._is_far(ahead, packet):
            packet.pts = packet.dts = None
            self.repaired += 1
        self._settle(stream, stream.run[-1].time)

    def _is_damaged(self, stream: _Stream, after: _Held) -> bool:
        """Whether the packets of the run are damaged, if this one is not."""
        packet, run, last = after.packet, stream.run, stream.last
        if last is None or not self._is_jump(stream, after.time - run[-1].time, packet):
            return False
        usual = stream.step * (len(run) + 1) + _JUMP_S / packet.time_base
        return last < after.time <= last + usual and not any(last <= held.time <= after.time for held in run)

    def _is_new(self, stream: _Stream, after: _Held) -> bool:
        """Whether the run, which is not damaged, is settled. after: the next packet."""
        ended = stream.steady >= _STEADY and self._is_jump(stream, after.time - stream.run[-1].time, after.packet)
        return ended or len(stream.run) > _LONGEST_RUN

    def _repair(self, stream: _Stream, after: int | None) -> None:
        """Space the run evenly. after: the time of the packet that follows; None at the end of the file."""
        first, count = stream.last or 0, len(stream.run) + 1
        step = stream.step if after is None else Fraction(after - first, count)
        for number, held in enumerate(stream.run, 1):
            by = round(first + step * number) - held.time
            held.packet.pts = None if held.packet.pts is None else held.packet.pts + by
            held.packet.dts = None if held.packet.dts is None else held.packet.dts + by
        self.repaired += len(stream.run)
        self._settle(stream, first if after is None else after)

    def _settle(self, stream: _Stream, last: int | None) -> None:
        for held in filter(None, (stream.first, *stream.run)):
            held.settled = True
        stream.last, stream.first, stream.run = last, None, []

    def _end(self) -> None:
        for stream in self._streams.values():
            last, run = stream.last, stream.run
            if last is not None and 0 < len(run) <= _AT_END and all(self._is_far(h.time - last, h.packet) for h in run):
                self._repair(stream, None)
            self._settle(stream, last)

    def _check_presentation(self, packet: Any, step: Fraction) -> None:
        """Remove a presentation time that is too far from the decoding time."""
        if packet.pts is None or packet.dts is None:
            return
        delay = (packet.pts - packet.dts + WRAP // 2) % WRAP - WRAP // 2  # one of them may be past the wrap
        slack = _JUMP_S / packet.time_base
        if not -slack <= delay <= _REORDERED * step + slack:
            packet.pts = None
            self.repaired += 1

    def _is_jump(self, stream: _Stream, ticks: int, packet: Any) -> bool:
        return bool(abs(ticks - stream.step) > max(_JUMP_S / packet.time_base, _JUMP_STEPS * stream.step))

    def _is_far(self, ticks: int, packet: Any) -> bool:
        return bool(abs(ticks) * packet.time_base > _FAR_S)
