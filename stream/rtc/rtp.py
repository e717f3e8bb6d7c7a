"""What is taken over from aiortc 1.16. The only place that touches its inner parts, which is why it is pinned.

* A receiver decodes in a thread of its own into a queue without bound, and opens each decoder with a thread for every
  core: its complete pictures are diverted to us before they are decoded.
* Its jitter buffer holds a picture back until the next one begins: ours hands it on with its last packet.
* A sender given packets that are encoded already keeps keyframe requests and bandwidth estimates to itself.

Knows nothing about sessions, files or matting. tests/stream/rtc/test_rtp.py fails where a version of aiortc differs.
"""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RTCP_PSFB_APP, AnyRtcpPacket, RtcpPsfbPacket, RtpPacket, unpack_remb_fci


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture or one packet of sound as it came.

    codec: "H264", "VP8", "opus". pts: ticks of the RTP clock (90 kHz, sound 48 kHz), unwrapped, the first is 0.
    arrived_s: when it was complete, on the clock of `time.monotonic`.
    """

    codec: str
    data: bytes
    pts: int
    arrived_s: float = field(default_factory=time.monotonic)

    @property
    def is_keyframe(self) -> bool:
        """Can a decoder begin here?"""
        if self.codec == "VP8":
            return bool(self.data) and not self.data[0] & 1  # RFC 6386, section 9.1
        return any(unit[:1] and unit[0] & 0x1F in (5, 7) for unit in self.data.split(b"\x00\x00\x01")[1:])


class _Diverted(queue.SimpleQueue[Any]):
    """Stands where aiortc queues what its decoder thread shall decode. That thread then only waits for its end."""

    def __init__(self, take: Callable[[Encoded | None], None]) -> None:
        super().__init__()
        self._take = take

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:
            super().put(None)
            self._take(None)
            return
        codec, frame = item
        self._take(Encoded(codec.name, frame.data, frame.timestamp))


def divert(receiver: RTCRtpReceiver, take: Callable[[Encoded | None], None]) -> None:
    """Hand what `receiver` gets to `take`, in the event loop, and None when it ends. Call before it starts."""
    _set(receiver, "_RTCRtpReceiver__decoder_queue", _Diverted(take))
    if receiver.track is not None and receiver.track.kind == "video":
        _set(receiver, "_RTCRtpReceiver__jitter_buffer", _PromptBuffer(capacity=512, is_video=True))


def ask_for_keyframe(receiver: RTCRtpReceiver) -> None:
    """Have a picture loss indication sent with the next packet that comes in. From any thread."""
    _get(receiver, "_RTCRtpReceiver__decoder_error").set()


class _PromptBuffer(JitterBuffer):
    """Hands a picture on with its last packet, which carries RTP's marker, not with the first of the next one.

    That is one frame less of delay, 33 ms at 30 frames a second.
    """

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Packets of nothing but padding, by which browsers probe the network, are no pictures."""
        lost, frame = super().add(packet)
        return lost, frame if frame is not None and frame.data else self._complete()

    def _complete(self) -> JitterFrame | None:
        origin, data, timestamp = self._origin, [], None
        assert origin is not None
        for count in range(self._capacity):
            packet = self._packets[(origin + count) % self._capacity]
            if packet is None or timestamp not in (None, packet.timestamp):
                return None
            timestamp = packet.timestamp
            data.append(packet._data)  # type: ignore[attr-defined]  # set by the receiver
            if packet.marker:
                self.remove(count + 1)
                return JitterFrame(b"".join(data), timestamp) if any(data) else None
        return None


def listen(sender: RTCRtpSender, on_keyframe_request: Callable[[], None], on_estimate: Callable[[int], None]) -> None:
    """Be told of the viewer's picture losses (PLI, FIR) and of the bits a second it can take (REMB). On the loop."""
    handle = sender._handle_rtcp_packet

    async def listening(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            estimate_bps = _estimate(packet.fci, sender._ssrc)
            if estimate_bps is not None:
                on_estimate(estimate_bps)
            return  # aiortc would only set an encoder that is not used, and trips over damaged ones
        await handle(packet)

    _set(sender, "_handle_rtcp_packet", listening)
    _set(sender, "_send_keyframe", on_keyframe_request)


def round_trip_s(sender: RTCRtpSender) -> float | None:
    """To the viewer and back, by its last receiver report (RFC 3550, section 6.4.1); None before the first."""
    found: float | None = _get(sender, "_RTCRtpSender__rtt")
    return found


def _estimate(fci: bytes, ssrc: int) -> int | None:
    try:
        bits_a_second, ssrcs = unpack_remb_fci(fci)
    except Exception:  # noqa: BLE001 - it comes from the network, and unpacking short ones raises struct.error
        return None
    return int(bits_a_second) if ssrc in ssrcs else None


def _get(owner: object, name: str) -> Any:
    return getattr(owner, name)


def _set(owner: object, name: str, value: object) -> None:
    """As setattr, but only what is there already can be taken over."""
    _get(owner, name)
    setattr(owner, name, value)
