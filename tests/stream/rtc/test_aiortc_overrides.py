"""The contract with aiortc 1.16: the overridden internals still exist, and work with a real client."""

import asyncio
import struct
from itertools import pairwise
from typing import Any

import aiortc
import pytest
from aiortc import clock
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
)

from stream.rtc.aiortc_overrides import Encoded, _guard_reports, _PromptBuffer, _SoundBuffer, round_trip_s
from stream.rtc.peer import Peer
from tests.fakes import Unchanged
from tests.rtc import SETTINGS, Camera, Client, live, until


def packets(*pictures: tuple[int, list[bytes]]) -> list[RtpPacket]:
    """Frames by timestamp, one packet per payload, the last of each with the marker bit."""
    made: list[RtpPacket] = []
    for timestamp, payloads in pictures:
        for n, payload in enumerate(payloads):
            packet = RtpPacket(sequence_number=65_534 + len(made) & 0xFFFF, timestamp=timestamp)
            packet.marker = int(n == len(payloads) - 1)
            packet._data = payload  # type: ignore[attr-defined]
            made.append(packet)
    return made


def test_the_version_is_the_one_overridden() -> None:
    assert aiortc.__version__.startswith("1.16.")


def test_a_frame_is_passed_on_with_its_last_packet() -> None:
    stream = packets((0, [b"a", b"b"]), (3000, [b"c"]), (6000, [b"d", b"e"]))
    prompt, plain = _PromptBuffer(capacity=512, is_video=True), JitterBuffer(capacity=512, is_video=True)
    passed = [(n, frame.data) for n, p in enumerate(stream) if (frame := prompt.add(p)[1])]
    late = [(n, frame.data) for n, p in enumerate(stream) if (frame := plain.add(p)[1])]
    assert passed == [(1, b"ab"), (2, b"c"), (4, b"de")]
    assert late == [(2, b"ab"), (3, b"c")]


def test_packets_out_of_order_are_reordered() -> None:
    first, second, third = packets((0, [b"a", b"b", b"c"]))
    buffer = _PromptBuffer(capacity=512, is_video=True)
    frames = [frame for p in (first, third, second) if (frame := buffer.add(p)[1])]
    assert [frame.data for frame in frames] == [b"abc"]


def test_padding_packets_are_not_frames() -> None:
    stream = packets((0, [b"a"]), (0, [b""]), (0, [b""]), (3000, [b"b"]), (6000, [b"c", b"d"]))
    buffer = _PromptBuffer(capacity=512, is_video=True)
    assert [frame.data for p in stream if (frame := buffer.add(p)[1])] == [b"a", b"b", b"cd"]


@pytest.mark.parametrize(
    ("codec", "data", "key"),
    [
        ("VP8", b"\x10\x02\x00\x9d", True),
        ("VP8", b"\x11\x02\x00", False),
        ("VP8", b"", False),
        ("H264", b"\x00\x00\x00\x01\x67\x42\x00\x00\x01\x68\x00\x00\x01\x65", True),
        ("H264", b"\x00\x00\x00\x01\x61\xe0", False),
        ("H264", b"\x00\x00\x01", False),
    ],
)
def test_keyframes_are_recognized(codec: str, data: bytes, key: bool) -> None:
    assert Encoded(codec, data, 0).is_keyframe is key


@pytest.mark.clocked
@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_viewers_requests_reach_the_encoder(codec: str) -> None:
    async def run() -> None:
        client = Client(Camera(), codec)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 5)
            (track,) = video.output._tracks
            receiver, keys = client.pc.getReceivers()[0], []
            ssrc = next(iter(s.source for s in receiver.getSynchronizationSources()))
            put = track.put

            def watched(packet: object, key: bool) -> None:
                keys.append(key)
                put(packet, key)

            track.put = watched  # type: ignore[method-assign]
            for request in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                await asyncio.sleep(0.45)  # requests in quicker succession share a keyframe
                keys.clear()
                await receiver._send_rtcp(RtcpPsfbPacket(fmt=request, ssrc=1, media_ssrc=ssrc))
                await until(lambda: any(keys), 1.0, "a keyframe")
                assert keys.index(True) <= 3
            fci = pack_remb_fci(432_000, [ssrc])
            await receiver._send_rtcp(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci))
            await until(lambda: track.estimate_bps, 1.0, "the estimate")
            assert track.estimate_bps == 432_000
            for other in (b"", b"REMB", pack_remb_fci(1000, [ssrc ^ 1])):
                await receiver._send_rtcp(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=other))
            seen = len(client.pictures)
            await until(lambda: len(client.pictures) > seen + 5)
            assert track.estimate_bps == 432_000

    asyncio.run(run())


@pytest.mark.usefixtures("loopback")
def test_aiortc_does_not_decode_diverted_media() -> None:
    async def run() -> None:
        client, peer = Client(Camera(), "VP8", sound=True), Peer(SETTINGS)
        sounds: list[Encoded] = []
        peer.on_sound = sounds.append
        await client.take(await peer.answer(await client.offer()))
        assert peer.source is not None
        rate = peer.source.rate
        await until(lambda: rate.count > 10 and len(sounds) > 10)
        assert peer._pc is not None
        tracks: list[Any] = [receiver.track for receiver in peer._pc.getReceivers()]
        assert [track._queue.qsize() for track in tracks] == [0, 0]
        assert sounds[0].codec == "opus"
        steps = {b.pts - a.pts for a, b in pairwise(sounds)}
        assert steps == {960}
        await peer.close("deleted")
        await client.close()

    asyncio.run(run())


def test_sound_is_passed_on_at_once_and_its_times_are_unwrapped() -> None:
    taken: list[Encoded] = []
    buffer = _SoundBuffer(taken.append)
    start = 2**32 - 1000
    for n in (0, 1, 3, 2, 4):  # out of order where the timestamps overflow
        packet = RtpPacket(sequence_number=n, timestamp=(start + 960 * n) % 2**32)
        packet._data = bytes([n]) if n != 4 else b""  # type: ignore[attr-defined]
        buffer.add(packet)
    assert [(sound.data[0], sound.pts) for sound in taken] == [(0, 0), (1, 960), (3, 2880), (2, 1920)]


@pytest.mark.long
@pytest.mark.usefixtures("loopback")
def test_sender_reports_tell_when_media_arrived_and_the_round_trip_is_still_measured() -> None:
    async def run() -> None:
        client = Client(Camera(), "VP8", sound=True)
        reports: dict[str, list[tuple[float, float]]] = {"video": [], "audio": []}
        for line in client.pc.getTransceivers():
            _listen(line.receiver, reports[line.kind])
        async with live(client, Unchanged()) as video:
            video.output.extra_delay_s = 0.5
            await until(lambda: all(len(found) > 3 for found in reports.values()), 12.0, "reports")
            await until(lambda: video.output.meters().round_trip_ms, 12.0, "the round trip")
            assert video.output.meters().round_trip_ms < 500
        age_s = {kind: received - reported for kind, found in reports.items() for received, reported in found[-1:]}
        assert age_s["audio"] > 0.5, "the sound was held back, and the report tells so"
        assert age_s["video"] < 0.5

    asyncio.run(run())


def _listen(receiver: Any, found: list[tuple[float, float]]) -> None:
    """Keep when each sender report came, and the time it reports, both in seconds of NTP."""
    handle = receiver._handle_rtcp_packet

    async def rtcp(packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.sender_info.ntp_timestamp:
            found.append((clock.current_ntp_time() / 2**32, packet.sender_info.ntp_timestamp / 2**32))
        await handle(packet)

    receiver._handle_rtcp_packet = rtcp


def test_a_report_that_cannot_be_packed_is_dropped() -> None:
    """Odd timestamps give a jitter of more than 32 bits; the task that sends reports must go on."""

    async def run() -> None:
        pc = aiortc.RTCPeerConnection()
        receiver = pc.addTransceiver("video").receiver
        beyond = RtcpReceiverInfo(1, fraction_lost=0, packets_lost=0, highest_sequence=0, jitter=2**32, lsr=0, dlsr=0)
        with pytest.raises(struct.error):
            await receiver._send_rtcp(RtcpRrPacket(ssrc=1, reports=[beyond]))
        _guard_reports(receiver)
        await receiver._send_rtcp(RtcpRrPacket(ssrc=1, reports=[beyond]))
        await pc.close()

    asyncio.run(run())


def test_a_round_trip_time_is_never_negative() -> None:
    """A client may state any delay of its own, which is subtracted."""

    async def run() -> None:
        pc = aiortc.RTCPeerConnection()
        sender = pc.addTransceiver("video").sender
        assert round_trip_s(sender) is None
        for measured_s, expected_s in ((0.05, 0.05), (-65_535.0, 0.0)):
            sender._RTCRtpSender__rtt = measured_s  # type: ignore[attr-defined]
            assert round_trip_s(sender) == expected_s
        await pc.close()

    asyncio.run(run())
