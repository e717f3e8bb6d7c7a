"""Overrides of aiortc 1.16. This module and `dtls_overrides` use its internals, which is why the version is pinned.

* A receiver decodes in its own thread into an unbounded queue, with as many decoder threads as there are cores:
  complete frames are diverted to us before they are decoded.
* Its jitter buffer holds a frame back until the next one begins: ours passes it on with its last packet. Sound is held
  back for four packets, 80 ms: ours passes each on at once.
* A sender of already encoded packets does not pass on keyframe requests and bandwidth estimates.
* A sender's reports relate RTP times to the time of sending; ours relate them to the time of arrival at this server.

Knows nothing about sessions, files or matting. tests/stream/rtc/test_aiortc_overrides.py fails if another aiortc
version differs.
"""

import contextlib
import queue
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RTCP_PSFB_APP, AnyRtcpPacket, RtcpPsfbPacket, RtcpSrPacket, RtpPacket, unpack_remb_fci


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded frame or audio packet as received.

    codec: "H264", "VP8", "opus". pts: ticks of the RTP clock (video 90 kHz, audio 48 kHz), unwrapped, starting at 0.
    arrived_s: when it was complete, by `time.monotonic`.
    """

    codec: str
    data: bytes
    pts: int
    arrived_s: float = field(default_factory=time.monotonic)

    @property
    def is_keyframe(self) -> bool:
        """Whether a decoder can start here."""
        if self.codec == "VP8":
            return bool(self.data) and not self.data[0] & 1  # RFC 6386, section 9.1
        return any(unit[:1] and unit[0] & 0x1F in (5, 7) for unit in self.data.split(b"\x00\x00\x01")[1:])


class _Diverted(queue.SimpleQueue[Any]):
    """Replaces the queue of aiortc's decoder thread, which then only waits for the end."""

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
    """Pass what `receiver` gets to `take`, on the event loop, and None at the end. Call before it starts."""
    _set(receiver, "_RTCRtpReceiver__decoder_queue", _Diverted(take))
    is_video = receiver.track is not None and receiver.track.kind == "video"
    buffer = _PromptBuffer(capacity=512, is_video=True) if is_video else _SoundBuffer(take)
    _set(receiver, "_RTCRtpReceiver__jitter_buffer", buffer)
    _guard_reports(receiver)


def _guard_reports(receiver: RTCRtpReceiver) -> None:
    """Drop a report that cannot be packed. Irregular timestamps give a jitter of more than 32 bits; the error would end
    the task that sends reports."""
    send = receiver._send_rtcp

    async def guarded(packet: AnyRtcpPacket) -> None:
        with contextlib.suppress(struct.error):
            await send(packet)

    _set(receiver, "_send_rtcp", guarded)


def request_keyframe(receiver: RTCRtpReceiver) -> None:
    """Send a picture loss indication (PLI) when the next packet arrives. From any thread."""
    _get(receiver, "_RTCRtpReceiver__decoder_error").set()


class _PromptBuffer(JitterBuffer):
    """Passes a frame on with its last packet, which has the RTP marker bit, not with the next frame's first packet.

    This saves one frame of delay, 33 ms at 30 fps.
    """

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Padding-only packets, with which browsers probe the bandwidth, are not frames."""
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


class _SoundBuffer(JitterBuffer):
    """Passes each audio packet to `take` as it arrives, also out of order: they are put in order later.

    last: (RTP timestamp, pts) of the last one; None before the first.
    """

    def __init__(self, take: Callable[[Encoded], None]) -> None:
        super().__init__(capacity=16)
        self.last: tuple[int, int] | None = None
        self._take = take

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        data: bytes = packet._data  # type: ignore[attr-defined]  # set by the receiver
        if data:
            rtp, pts = self.last or (packet.timestamp, 0)
            self.last = packet.timestamp, pts + (packet.timestamp - rtp + 2**31) % 2**32 - 2**31
            self._take(Encoded("opus", data, self.last[1]))
        return False, None


def listen_to_reports(receiver: RTCRtpReceiver, reported: Callable[[int, float], None]) -> None:
    """Call `reported` with each sender report: (pts as in `Encoded`, the client's time in seconds). Needs `divert`."""
    handle = receiver._handle_rtcp_packet

    async def heard(packet: AnyRtcpPacket) -> None:
        last = _last_times(receiver)
        if isinstance(packet, RtcpSrPacket) and packet.sender_info.ntp_timestamp and last is not None:
            rtp, pts = last
            step = (packet.sender_info.rtp_timestamp - rtp + 2**31) % 2**32 - 2**31
            reported(pts + step, packet.sender_info.ntp_timestamp / 2**32)
        await handle(packet)

    _set(receiver, "_handle_rtcp_packet", heard)


def _last_times(receiver: RTCRtpReceiver) -> tuple[int, int] | None:
    """(RTP timestamp, pts) of what was received last."""
    buffer = _get(receiver, "_RTCRtpReceiver__jitter_buffer")
    if isinstance(buffer, _SoundBuffer):
        return buffer.last
    mapper = _get(receiver, "_RTCRtpReceiver__timestamp_mapper")
    return None if mapper._origin is None else (mapper._last, mapper._last - mapper._origin)


def report_arrival_times(sender: RTCRtpSender, age_s: Callable[[], float]) -> None:
    """Make the sender reports of `sender` relate its RTP times to when the media arrived at this server.

    age_s: the age of the packet sent last.
    """
    send = sender._send_rtcp

    async def corrected(packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket) and packet.sender_info.ntp_timestamp:
                packet.sender_info.ntp_timestamp -= round(age_s() * 2**32)
                # receivers quote these bits, from which aiortc computes the round-trip time
                _set(sender, "_RTCRtpSender__lsr", packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF)
        await send(packets)

    _set(sender, "_send_rtcp", corrected)


def intercept_feedback(
    sender: RTCRtpSender, on_keyframe_request: Callable[[], None], on_estimate: Callable[[int], None]
) -> None:
    """Call back on keyframe requests (PLI, FIR) and bandwidth estimates in bits per second (REMB). On the loop."""
    handle = sender._handle_rtcp_packet

    async def intercepted(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            estimate_bps = _estimate(packet.fci, sender._ssrc)
            if estimate_bps is not None:
                on_estimate(estimate_bps)
            return  # aiortc would only adjust its unused encoder, and raises on malformed packets
        await handle(packet)

    _set(sender, "_handle_rtcp_packet", intercepted)
    _set(sender, "_send_keyframe", on_keyframe_request)


def round_trip_s(sender: RTCRtpSender) -> float | None:
    """Round-trip time in seconds by the viewer's last receiver report (RFC 3550, 6.4.1); None before the first.

    Never negative, although it is computed from a delay that the client states.
    """
    found: float | None = _get(sender, "_RTCRtpSender__rtt")
    return None if found is None else max(0.0, found)


def _estimate(fci: bytes, ssrc: int) -> int | None:
    try:
        estimate_bps, ssrcs = unpack_remb_fci(fci)
    except Exception:  # noqa: BLE001 - untrusted input; truncated packets raise struct.error
        return None
    return int(estimate_bps) if ssrc in ssrcs else None


def _get(owner: object, name: str) -> Any:
    return getattr(owner, name)


def _set(owner: object, name: str, value: object) -> None:
    """As setattr, but raises AttributeError where the attribute does not exist yet."""
    _get(owner, name)
    setattr(owner, name, value)
