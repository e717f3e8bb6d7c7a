"""Datagrams that strangers send to the port of a live video: they neither end it nor keep it alive."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from stream.rtc import ice
from tests.fakes import Unchanged
from tests.rtc import Camera, Client, Video, live, until

pytestmark = pytest.mark.usefixtures("loopback")
RANDOM = random.Random(1)
COOKIE = 0x2112A442


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">HH", name, len(v)) + v + bytes(-len(v) % 4) for name, v in attributes)
    return struct.pack(">HHI", kind, len(body), COOKIE) + bytes(12) + body


DATAGRAMS = {
    "empty": b"",
    "a byte": b"\x16",
    "short priority": stun(1, (0x24, b"1")),
    "short tie breaker": stun(1, (0x802A, b"1234")),
    "short error code": stun(0x111, (0x09, b"1")),
    "name that is not UTF-8": stun(1, (0x06, b"\xff\xfe")),
    "address of no family": stun(0x101, (0x20, b"\x00\x09\x00\x00")),
    "unknown method": stun(0x3EEF),
    "request without credentials": stun(1, (0x24, bytes(4))),
    "alert of DTLS": b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x01\x00",
    "DTLS": b"\x16\xfe\xfd" + RANDOM.randbytes(200),
    "RTP": b"\x80\x60" + RANDOM.randbytes(300),
    "RTCP": b"\x80\xc9" + RANDOM.randbytes(30),
    "neither": RANDOM.randbytes(60),
}


def connection_of(video: Video) -> ice.Connection:
    return video.peer._connections[0]


def port_of(video: Video) -> int:
    return int(connection_of(video).local_candidates[0].port)


def send_all(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in DATAGRAMS.values():
            stranger.sendto(datagram, ("127.0.0.1", port))


async def everything_read(video: Video) -> None:
    """Wait until the socket is empty: each turn of the loop reads one datagram."""
    turns, received_s = 0, 0.0
    while turns < 3 * len(DATAGRAMS):
        await asyncio.sleep(0)
        turns = turns + 1 if connection_of(video).received_s == received_s else 0
        received_s = connection_of(video).received_s


def in_a_loop_without_errors(run: Callable[[], Any]) -> None:
    errors: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        await run()

    asyncio.run(main())
    assert not errors


@pytest.mark.long
def test_datagrams_of_strangers_do_not_end_a_live_video() -> None:
    async def run() -> None:
        client = Client(Camera(), "VP8")
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 2)
            for _ in range(3):
                send_all(port_of(video))
                count = len(client.pictures)
                await until(lambda count=count: len(client.pictures) > count + 2)  # type: ignore[misc]
            assert video.peer.state == client.state == "connected"

    in_a_loop_without_errors(run)


def test_datagrams_of_strangers_do_not_keep_a_video_alive() -> None:
    async def run() -> None:
        client = Client(Camera(), "VP8")
        async with live(client, Unchanged()) as video:
            await until(lambda: client.pictures)
            client.vanish()
            await everything_read(video)
            received_s = connection_of(video).received_s
            send_all(port_of(video))
            await everything_read(video)
            assert connection_of(video).received_s == received_s

    in_a_loop_without_errors(run)


@pytest.mark.parametrize("name", DATAGRAMS)
def test_each_of_them_is_harmless_before_the_client_connects(name: str) -> None:
    async def run() -> None:
        client = Client(Camera(), "VP8")
        video = Video(Unchanged())
        try:
            answer = await video.peer.answer(await client.offer(), video.output)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(DATAGRAMS[name], ("127.0.0.1", port_of(video)))
            await everything_read(video)
            await client.take(answer)
            video.start()
            await until(lambda: client.pictures)
        finally:
            await client.close()
            await video.close()

    in_a_loop_without_errors(run)
