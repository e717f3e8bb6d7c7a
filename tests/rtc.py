"""Real aiortc clients on loopback that send numbered frames, and the server side of a live video for them."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCCertificate,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import SRTPProtectionProfile, generate_certificate
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from stream.picture.frames import tag_bt709
from stream.pump import Transform, pump
from stream.rtc.peer import Peer
from stream.rtc.sink import LiveOutput
from stream.settings import Settings
from tests.media import numbered

SETTINGS = Settings(loopback_candidates=True, udp_address="127.0.0.1", hw_encode=False)


class Camera(MediaStreamTrack):
    """Numbered frames at `rate` fps, each with the (width, height) from `size_of(n)`."""

    kind = "video"

    def __init__(self, rate: float = 30.0, size_of: Callable[[int], tuple[int, int]] = lambda n: (128, 96)) -> None:
        super().__init__()
        self.sent = 0
        self.paused = False
        self.sent_s: dict[int, float] = {}
        self._rate, self._size_of = rate, size_of
        self._start_s = 0.0

    async def recv(self) -> av.VideoFrame:
        self._start_s = self._start_s or time.monotonic()
        await asyncio.sleep(max(0.0, self._start_s + self.sent / self._rate - time.monotonic()))
        while self.paused:
            await asyncio.sleep(0.01)
        n, self.sent = self.sent, self.sent + 1
        width, height = self._size_of(n)
        frame = av.VideoFrame.from_ndarray(numbered(n % 256, width, height), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=1, dst_color_range=1
        )
        tag_bt709(frame)
        frame.pts, frame.time_base = round(n * 90_000 / self._rate), Fraction(1, 90_000)
        self.sent_s[n % 256] = time.monotonic()
        return frame


class Client:
    """Plays the browser: offers, connects, and keeps the frames and audio that come back."""

    def __init__(self, camera: Camera | None = None, codec: str = "VP8", sound: bool = False) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = camera
        self.pictures: list[tuple[float, av.VideoFrame]] = []
        self.sounds: list[tuple[float, av.AudioFrame]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        line = self.pc.addTransceiver(camera or "video", "sendrecv" if camera else "recvonly")
        line.setCodecPreferences([c for c in RTCRtpSender.getCapabilities("video").codecs if c.name in (codec, "rtx")])
        if sound:
            self.pc.addTransceiver(AudioStreamTrack() if camera else "audio", "sendrecv" if camera else "recvonly")
        self.pc.on("track", self._receive)

    def _receive(self, track: Any) -> None:
        self._tasks.append(asyncio.create_task(self._read(track)))

    async def _read(self, track: Any) -> None:
        kept: list[Any] = self.pictures if track.kind == "video" else self.sounds
        try:
            while True:
                frame = await track.recv()
                await self.reading.wait()
                kept.append((time.monotonic(), frame))
        except MediaStreamError:
            return

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def take(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        await self.pc.close()
        await asyncio.sleep(0.03)
        for line in self.pc.getTransceivers():  # aioice does not cancel this when closed while connecting
            if (consent := line.receiver.transport.transport._connection._query_consent_task) is not None:
                consent.cancel()
        for task in self._tasks:
            task.cancel()

    def vanish(self) -> None:
        """Like a laptop being closed: nothing more is sent, not even a goodbye."""
        for line in self.pc.getTransceivers():
            connection = line.receiver.transport.transport._connection
            for protocol in connection._protocols:
                protocol.transport.abort()

    @property
    def state(self) -> str:
        return str(self.pc.connectionState)


class _Certificate(RTCCertificate):
    """A client's certificate, used with some cipher suites only."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, ciphers: str) -> None:
        super().__init__(key, generate_certificate(key))  # type: ignore[arg-type]
        self._ciphers = ciphers

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(self._ciphers.encode())
        return context


class _Generator:
    """Stands in for aiortc's generator of certificates: returns a given one."""

    def __init__(self, certificate: RTCCertificate) -> None:
        self.generateCertificate = lambda: certificate


def client_with(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, ciphers: str) -> Client:
    """A client with this key and these cipher suites. aiortc accepts no certificate; it always generates one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiortc.rtcpeerconnection.RTCCertificate", _Generator(_Certificate(key, ciphers)))
        return Client(Camera(), "VP8")


async def until(condition: Callable[[], object], timeout_s: float = 8.0, what: str = "") -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {timeout_s} s for {what or condition}"
        await asyncio.sleep(0.01)


class Video:
    """A live video as a worker runs it: a peer, the pump in a thread, an output."""

    def __init__(self, transform: Transform, settings: Settings = SETTINGS) -> None:
        self.changes: list[tuple[str, str]] = []
        self.peer = Peer(settings, lambda state, reason: self.changes.append((state, reason)))
        self.output = LiveOutput(settings)
        self.error: BaseException | None = None
        self._transform = transform
        self._thread = threading.Thread(target=self._pump)

    async def answer(self, client: Client, back: bool = True) -> None:
        await client.take(await self.peer.answer(await client.offer(), self.output if back else None))
        self.start()

    def start(self) -> None:
        self._thread.start()

    def _pump(self) -> None:
        source = self.peer.source
        assert source is not None
        try:
            pump(source, self._transform, self.output, read=source.slot, written=self.output.slot)
        except BaseException as exc:  # noqa: BLE001 - checked by the test
            self.error = exc

    async def close(self) -> None:
        await self.peer.close("deleted")
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, 5)
        assert not self._thread.is_alive()


@asynccontextmanager
async def live(client: Client, transform: Transform, settings: Settings = SETTINGS) -> AsyncIterator[Video]:
    video = Video(transform, settings)
    try:
        await video.answer(client)
        yield video
    finally:
        await client.close()
        await video.close()


def number_in(picture: av.VideoFrame) -> int:
    """The number drawn by `tests.media.numbered`."""
    luma = picture.reformat(format="gray").to_ndarray()
    edges = np.linspace(0, picture.width, 9).round().astype(int)
    bars = [luma[: picture.height // 2, edges[bit] : edges[bit + 1]].mean() > 128 for bit in range(8)]
    return sum(int(bright) << bit for bit, bright in enumerate(bars))
