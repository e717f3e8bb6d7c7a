"""A small real RTSP server (RFC 2326, over TCP or UDP), run as a program.

It streams a moving subject in a room of one colour, as H.264, to every client of /cam. `tests.rtsp` controls it.
"""

import argparse
import asyncio
import base64
import re
import socket
import ssl
import time
from fractions import Fraction
from urllib.parse import urlsplit

import av
import numpy as np
import numpy.typing as npt

from workers.bench.rtp import CLOCK, Packetizer, nal_units

ROOM, SUBJECT = (0, 200, 60), (196, 140, 112)
_STRETCH = 10  # frames between changes of the aspect ratio


def scene(n: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """RGB (H, W, 3): the room, with the subject in front of it."""
    picture = np.full((height, width, 3), ROOM, np.uint8)
    left = (width // 4 + 4 * n % (width // 4)) & ~1
    picture[height // 4 & ~1 :, left : left + (width // 3 & ~1)] = SUBJECT
    return picture


class Camera:
    """Encodes the scene frame by frame into NAL units."""

    def __init__(self, width: int, height: int, rate: int, stretched: bool) -> None:
        self._width, self._height, self._stretched = width, height, stretched
        self.rate, self._count = rate, 0
        self._context = self._encoder("1/1")

    def _encoder(self, sar: str) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = self._width, self._height, "yuv420p"
        context.time_base = Fraction(1, self.rate)
        context.gop_size, context.thread_count = self.rate // 2, 1
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "12", "x264-params": f"sar={sar}"}
        return context

    def units(self) -> list[bytes]:
        if self._stretched and self._count % _STRETCH == 0:
            self._context = self._encoder("8/1" if self._count // _STRETCH % 2 else "1/1")
        rgb = scene(self._count, self._context.width, self._context.height)
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = self._count, Fraction(1, self.rate)
        self._count += 1
        return nal_units(b"".join(bytes(packet) for packet in self._context.encode(picture)))


class Server:
    def __init__(self, camera: Camera, user: str, mute: bool) -> None:
        self._camera, self._user, self._mute = camera, user, mute
        self._watching: dict[asyncio.StreamWriter, int] = {}
        self._ports: dict[asyncio.StreamWriter, int] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def show(self) -> None:
        packets, ticks, next_s = Packetizer(), 0, time.monotonic()
        while True:
            for packet in packets(self._camera.units(), ticks):
                for writer, port in self._watching.items():
                    self._send(packet, writer, port)
            ticks += CLOCK // self._camera.rate
            next_s += 1 / self._camera.rate
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    def _send(self, packet: bytes, writer: asyncio.StreamWriter, port: int) -> None:
        """Send to a UDP port of the viewer; 0: on channel 0 of its TCP connection."""
        if port:
            self._socket.sendto(packet, ("127.0.0.1", port))
        else:
            writer.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                if not self._mute:
                    self._answer(
                        request[request.index("\n") + 1 :], request.split()[0][-20:], request.split()[1], writer
                    )
        except (asyncio.IncompleteReadError, ConnectionError):
            self._watching.pop(writer, None)

    def _answer(self, fields: str, method: str, url: str, writer: asyncio.StreamWriter) -> None:
        sent = re.search(r"(?mi)^Authorization: *Basic +(\S+)", fields)
        expected = base64.b64encode(self._user.encode()).decode()
        body, extra, status = "", "", "200 OK"
        if self._user and method != "OPTIONS" and (sent is None or sent[1] != expected):
            status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n'
        elif not urlsplit(url).path.startswith("/cam"):
            status = "404 Not Found"
        elif method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            body += "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:0\r\n"
            body += f"a=framerate:{self._camera.rate}\r\n"
            extra = "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            port = re.search(r"client_port=(\d+)", fields)
            self._ports[writer] = int(port[1]) if port else 0
            sends = f"UDP;unicast;client_port={port[1]};server_port=9" if port else "TCP;unicast;interleaved=0-1"
            extra = f"Transport: RTP/AVP/{sends}\r\n"
        number = re.search(r"(?mi)^CSeq: *(\d+)", fields)
        head = f"RTSP/1.0 {status}\r\nCSeq: {number[1] if number else 0}\r\nSession: 1\r\n{extra}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if method == "PLAY" and status.startswith("200"):
            self._watching[writer] = self._ports[writer]


async def _run(arguments: argparse.Namespace) -> None:
    server = Server(
        Camera(arguments.width, arguments.height, arguments.rate, arguments.stretched), arguments.user, arguments.mute
    )
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if arguments.tls else None
    if secure is not None:
        secure.load_cert_chain(arguments.tls)
    async with await asyncio.start_server(server.serve, "127.0.0.1", arguments.port, ssl=secure):
        print("ready", flush=True)
        await server.show()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--user", default="", help="user:password")
    parser.add_argument("--tls", default="", help="a file with a certificate and its key")
    parser.add_argument("--stretched", action="store_true", help="switch repeatedly to pixels 8 times as wide")
    parser.add_argument("--mute", action="store_true", help="accept connections but never answer")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
