"""A small RTSP server for `mattebox bench feed`, over TCP on loopback, in the process that measures.

Clients that play `SOURCE` get numbered frames in a loop at their own pace. What clients publish anywhere else is kept,
with the times of arrival. It knows just the part of RTSP (RFC 2326) that this needs: sessions with one H.264 track,
interleaved with the requests. FFmpeg serves no RTSP, and as a receiver it would add a delay of its own.
"""

import asyncio
import base64
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, cast
from urllib.parse import urlsplit

import av

from stream.loops import start
from workers.bench.camera import number_in
from workers.bench.rtp import CLOCK, START, Packetizer, is_last, nal_units, units_in

SOURCE = "/source"
_SPS, _PPS = 7, 8
_HOST = "127.0.0.1"
_log = logging.getLogger(__name__)

NumberAt = tuple[int, float]
"""A frame's number, and when it was sent or received, by `time.monotonic`."""


@dataclass
class Published:
    """What was published on one path. arrived_s: when each frame was complete, by `time.monotonic`."""

    parameters: list[bytes] = field(default_factory=list)
    frames: list[list[bytes]] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    _partial: list[bytes] = field(default_factory=list)

    def add(self, packet: bytes, now_s: float) -> None:
        self._partial.append(packet)
        if is_last(packet):
            self.frames.append(self._partial)
            self.arrived_s.append(now_s)
            self._partial = []

    def numbers(self) -> list[NumberAt]:
        """The numbers in the frames that can be decoded, and when they arrived."""
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        found = []
        for index, packets in enumerate(self.frames):
            packet = av.Packet(b"".join(START + unit for unit in (*self.parameters, *units_in(packets))))
            packet.pts = index
            found += [(number_in(picture), self.arrived_s[picture.pts or 0]) for picture in decoder.decode(packet)]
        return found


class RtspServer:
    """Serves `film`, packets with start codes at `rate` a second, as long as the context is open.

    sent: the number and time of each frame that was sent to a client. published: by path.
    """

    def __init__(self, film: Sequence[bytes], rate: int) -> None:
        self._film, self._rate = [nal_units(packet) for packet in film], rate
        self._players: set[asyncio.StreamWriter] = set()
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.sent: list[NumberAt] = []
        self.published: dict[str, Published] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        self._port = self._server.sockets[0].getsockname()[1]
        self._playing = start(self._play(), _log)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._playing.cancel()
        self._server.close()
        for writer in self._clients:
            writer.close()
        await asyncio.gather(*self._clients.values())

    def url(self, path: str = SOURCE) -> str:
        return f"rtsp://{_HOST}:{self._port}{path}"

    async def _play(self) -> None:
        packetize, start_s, count = Packetizer(), time.monotonic(), 0
        while True:
            await asyncio.sleep(max(0.0, start_s + count / self._rate - time.monotonic()))
            number = count % len(self._film)
            data = b"".join(map(_interleaved, packetize(self._film[number], count * CLOCK // self._rate)))
            for player in self._players:
                player.write(data)
            if self._players:
                self.sent.append((number, time.monotonic()))
            count += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = cast("asyncio.Task[None]", asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client has gone
            await self._converse(reader, writer)
        self._players.discard(writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests, and keep the packets between them."""
        published = Published()
        while True:
            if (first := await reader.readexactly(1)) == b"$":
                channel, size = (head := await reader.readexactly(3))[0], int.from_bytes(head[1:], "big")
                packet = await reader.readexactly(size)
                if channel == 0:
                    published.add(packet, time.monotonic())
                continue
            request = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            body = (await reader.readexactly(int(_field(request, "Content-Length") or 0))).decode("latin-1")
            method, url = request.split()[:2]
            if method == "ANNOUNCE":
                published = self.published[urlsplit(url).path] = Published(_parameters(body))
            writer.write(self._answer(method, request))
            if method == "PLAY":
                self._players.add(writer)

    def _answer(self, method: str, request: str) -> bytes:
        lines, body = ["RTSP/1.0 200 OK", f"CSeq: {_field(request, 'CSeq')}", "Session: 1"], ""
        if method == "OPTIONS":
            lines.append("Public: DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, TEARDOWN")
        elif method == "SETUP":
            lines.append(f"Transport: {_field(request, 'Transport')}")
        elif method == "DESCRIBE":
            lines.append("Content-Type: application/sdp")
            body = self._description()
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()

    def _description(self) -> str:
        sets = [unit for unit in self._film[0] if unit[0] & 0x1F in (_SPS, _PPS)]
        parameters = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return (
            f"v=0\r\no=- 0 0 IN IP4 {_HOST}\r\ns=source\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 H264/{CLOCK}\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={parameters}\r\n"
            f"a=framerate:{self._rate}\r\na=control:0\r\n"
        )


def _interleaved(packet: bytes) -> bytes:
    return b"$\0" + len(packet).to_bytes(2, "big") + packet


def _field(request: str, name: str) -> str:
    found = re.search(rf"(?mi)^{name}: *(.*?)\r?$", request)
    return found[1] if found else ""


def _parameters(description: str) -> list[bytes]:
    """The parameter sets in a session description: NAL units."""
    found = re.search(r"sprop-parameter-sets=([^;\s]+)", description)
    return [base64.b64decode(text) for text in found[1].split(",")] if found else []
