"""Malformed packets that a client encrypts and signs like its media: its video continues."""

import asyncio
import itertools
import logging
import random
import struct
from collections.abc import Iterator
from typing import Any

import aioice.ice
import aioice.stun
import pylibsrtp
import pytest

from stream.rtc.dtls_overrides import MAX_SSRCS
from tests.fakes import Unchanged
from tests.rtc import SETTINGS, Camera, Client, Video, live, until

pytestmark = pytest.mark.usefixtures("loopback")
RANDOM = random.Random(2)
NUMBERS = itertools.count()


def rtp(
    payload: bytes = b"\x10\x00", *, kind: int, ssrc: int = 77, number: int | None = None, at: int = 0,
    extension: tuple[int, bytes] | None = None, first: int = 0x80,
) -> bytes:  # fmt: skip
    number = next(NUMBERS) if number is None else number
    header = struct.pack(">BBHLL", first | (0x10 if extension else 0), kind, number & 0xFFFF, at, ssrc)
    if extension:
        profile, value = extension
        value += bytes(-len(value) % 4)
        header += struct.pack(">HH", profile, len(value) // 4) + value
    return header + payload


def rtcp(kind: int, body: bytes, count: int = 0, words: int | None = None) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4 if words is None else words) + body


def odd_rtp(kind: int, rtx: int) -> Iterator[bytes]:
    """kind, rtx: negotiated payload types. None are of the client's own stream, which would be disturbed."""
    for length in range(5):  # every id with every length: abs-send-time takes 3 bytes, the audio level 1, mid UTF-8
        for number in range(1, 15):
            yield rtp(kind=kind, extension=(0xBEDE, bytes([number << 4 | length]) + b"\xff" * (length + 1)))
            yield rtp(kind=kind, extension=(0x1000, bytes([number, length]) + b"\xff" * length))
    yield rtp(kind=kind, extension=(0xBEDE, b"\x3f"))
    yield rtp(kind=kind, extension=(0x1000, b"\x03"))
    yield rtp(kind=kind, extension=(0x1234, RANDOM.randbytes(40)))
    for payload in (b"", b"\x00", b"\x80", b"\x90\x80", b"\x90\xff\xff", b"\x7c\x85", b"\x78\xff\xff\x00", b"\x1c"):
        yield rtp(payload, kind=kind)
        yield rtp(payload, kind=rtx)
    for n in range(20):
        yield rtp(RANDOM.randbytes(RANDOM.randrange(60)), kind=kind, ssrc=200 + n, number=RANDOM.randrange(65_536))
    for first in (0x8F, 0xA0, 0xBF, 0x90):  # CSRCs, padding and extensions that are not there
        yield rtp(b"\xff", kind=kind, first=first)
    for n in range(200):  # jitter beyond 32 bits; more streams than a report has room for
        yield rtp(kind=kind, ssrc=99, number=n, at=(2**32 - 1) * (n % 2))
        yield rtp(kind=kind, ssrc=1000 + n)
    yield rtp(kind=72)


def odd_rtcp(ssrc: int, sent: int) -> Iterator[bytes]:
    """ssrc: of the client's video. sent: of the server's video."""
    for n in range(0, 21, 3):
        yield rtcp(200, RANDOM.randbytes(n), 1)
        yield rtcp(206, struct.pack(">LL", 1, 0) + b"REMB" + bytes([255]) * n, 15)  # more SSRCs than there are
        yield rtcp(206, struct.pack(">LL", 1, sent) + RANDOM.randbytes(n), 15)
    report = struct.pack(">LLLLLL", sent, 0xFFFFFFFF, 2**32 - 1, 2**32 - 1, 0, 2**32 - 1)
    yield rtcp(201, struct.pack(">L", 1) + report, 1)
    yield rtcp(200, struct.pack(">LQLLL", ssrc, 2**64 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    yield rtcp(200, struct.pack(">LQLLL", ssrc, 1, 0, 0, 0))
    yield rtcp(205, struct.pack(">LL", 1, sent) + b"\xff" * 80, 1)
    yield rtcp(205, struct.pack(">LL", 1, sent) + RANDOM.randbytes(40), 15)
    yield rtcp(206, struct.pack(">LL", 1, sent), 4)
    yield rtcp(202, RANDOM.randbytes(16), 3)
    yield rtcp(203, b"", 31)
    yield rtcp(204, b"name" * 3)
    yield rtcp(207, RANDOM.randbytes(20))
    yield rtcp(201, b"", 0, words=500)
    yield b"\x80\xc8\x00"
    for _ in range(20):
        yield rtcp(RANDOM.randrange(192, 208), RANDOM.randbytes(4 * RANDOM.randrange(9)), RANDOM.randrange(32))


def unencrypted() -> Iterator[bytes]:
    """Datagrams other than SRTP: DTLS records, and some that only look like media."""
    for kind in (20, 21, 22, 23, 24, 63):
        yield bytes([kind])
        yield bytes([kind, 0xFE, 0xFD]) + bytes(8) + b"\x00\x02\x02\x28"
        yield bytes([kind, 0xFE, 0xFD]) + RANDOM.randbytes(100)
    yield from (b"\x80", b"\x80\xc9", b"\x90" * 30, b"\x05", b"\xff", RANDOM.randbytes(1400))


class Sender:
    """Sends from the socket and with the keys of a connected client."""

    def __init__(self, client: Client) -> None:
        self.dtls = client.pc.getTransceivers()[0].receiver.transport
        self.ice = self.dtls.transport._connection

    async def media(self, packet: bytes) -> bool:
        """Send an RTP or RTCP packet, encrypted. Returns False if it cannot be encrypted."""
        protect = self.dtls._tx_srtp.protect_rtcp if 192 <= packet[1] <= 208 else self.dtls._tx_srtp.protect
        try:
            await self.ice.send(protect(packet))
        except pylibsrtp.Error:
            return False
        await asyncio.sleep(0)
        return True

    def check(self, drop: tuple[str, ...], **attributes: Any) -> None:
        """A signed connectivity check with other attributes than usual."""
        pair = next(iter(self.ice._nominated.values()))
        request = self.ice.build_request(pair, nominate=False)
        request.attributes |= attributes
        for name in drop:
            request.attributes.pop(name, None)
        request.add_message_integrity(str(self.ice.remote_password).encode())
        pair.protocol.send_stun(request, pair.remote_addr)


def payload_types(client: Client) -> tuple[int, int]:
    """Of the video's codec and of its retransmissions."""
    numbers = {codec.name == "rtx": int(codec.payloadType or 0) for codec in client.pc.getTransceivers()[0]._codecs}
    return numbers[False], numbers[True]


def server_ssrc(video: Video) -> int:
    assert video.peer._pc is not None
    return int(video.peer._pc.getTransceivers()[0].sender._ssrc)


async def goes_on(client: Client) -> None:
    count = len(client.pictures)
    await until(lambda: len(client.pictures) > count + 3, what="more pictures")


@pytest.mark.long
@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_a_clients_malformed_packets_do_not_end_its_video(codec: str, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Any] = []
    caplog.set_level(logging.INFO)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        client = Client(Camera(), codec, sound=True)
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 2)
            sender, (kind, rtx) = Sender(client), payload_types(client)
            ssrc = client.pc.getTransceivers()[0].sender._ssrc
            packets = [*odd_rtp(kind, rtx), *odd_rtcp(ssrc, server_ssrc(video))]
            sent = [await sender.media(packet) for packet in packets]
            assert sum(sent) > 0.95 * len(packets), "libsrtp refuses to encrypt the few without a complete header"
            await goes_on(client)
            for packet in unencrypted():
                await sender.ice.send(packet)
                await asyncio.sleep(0)
            await goes_on(client)
            await asyncio.sleep(1.6)  # until the receivers have sent their reports
            await goes_on(client)
            assert len(video.peer._transports[0]._rtp_router.ssrc_table) <= MAX_SSRCS
            assert video.output.meters().round_trip_ms >= 0
            assert video.peer.state == client.state == "connected"

    asyncio.run(run())
    assert not errors
    assert "Traceback" not in caplog.text
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_clients_odd_checks_do_not_end_its_video(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        client = Client(Camera(), "VP8")
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 2)
            sender = Sender(client)
            before = video.peer._connections[0].checks
            for drop in (("PRIORITY",), ("ICE-CONTROLLING", "ICE-CONTROLLED"), ("USERNAME",)):
                sender.check(drop)
            for name in ("ICE-CONTROLLING", "ICE-CONTROLLED"):
                for breaker in (0, 2**64 - 1):
                    for _ in range(12):
                        sender.check(("ICE-CONTROLLING", "ICE-CONTROLLED"), **{name: breaker})
            sender.check((), **{"USE-CANDIDATE": None}, SOFTWARE="ä" * 300)
            await until(lambda: video.peer._connections[0].checks > before + 40, what="the checks")
            await goes_on(client)
            assert video.peer.state == client.state == "connected"

    asyncio.run(run())
    assert not errors
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("code", [None, 487, 400, 500, 600])
def test_a_client_that_answers_each_check_with_an_error_fails_quietly(
    code: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With 487, a role conflict, aioice would repeat the check without end. Its own checks have no PRIORITY."""
    errors: list[Any] = []

    def refuse(self: Any, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        response = aioice.stun.Message(message.message_method, aioice.stun.Class.ERROR, message.transaction_id)
        if code is not None:
            response.attributes["ERROR-CODE"] = (code, "no")
        response.add_message_integrity(self.local_password.encode())
        protocol.send_stun(response, addr)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        settings = SETTINGS.model_copy(update={"connect_timeout_s": 0.7})
        client, video = Client(Camera(), "VP8"), Video(Unchanged(), settings)
        await client.offer()
        connection = client.pc.getTransceivers()[0].receiver.transport.transport._connection
        monkeypatch.setattr(connection, "request_received", refuse.__get__(connection))
        await client.take(await video.peer.answer(client.pc.localDescription.sdp))
        await until(lambda: video.changes, 4.0)
        assert video.changes == [("closed", "connect_timeout")]
        await client.close()

    asyncio.run(run())
    assert not errors
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("known", [True, False])
def test_a_client_whose_checks_have_no_priority_connects(
    known: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of FFmpeg 8.0. known: its address is in its offer; otherwise the first check reveals it."""
    errors: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        client, video = Client(Camera(), "VP8"), Video(Unchanged())
        offer = await client.offer()
        connection = client.pc.getTransceivers()[0].receiver.transport.transport._connection
        build = connection.build_request

        def without_priority(*words: Any, **named: Any) -> Any:
            request = build(*words, **named)
            del request.attributes["PRIORITY"]
            return request

        monkeypatch.setattr(connection, "build_request", without_priority)
        offer = offer if known else "\r\n".join(ln for ln in offer.split("\r\n") if not ln.startswith("a=candidate"))
        await client.take(await video.peer.answer(offer, video.output))
        video.start()
        await until(lambda: client.pictures, what="pictures")
        await client.close()
        await video.close()

    asyncio.run(run())
    assert not errors
    assert "Traceback" not in caplog.text
