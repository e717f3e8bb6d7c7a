"""A simulated camera, the client of `mattebox bench live`: sends numbered frames and reads the numbers that return."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from stream.errors import ServerError
from stream.picture.bt601 import ToBt601
from stream.picture.frames import Frame, Plane, split_i420, to_av
from stream.rtc.encoder import LiveEncoder, fitting_bps
from stream.settings import Settings
from stream.sources import open_source, source_address
from stream.sources.base import SourceOptions

RATE = 30
_LOOP = 240  # frames; their numbers fit in eight bits
_KEY_EVERY = 15
_BITS = 8
_DARK, _LIGHT, _NEUTRAL = 16, 235, 128
_CLOCK = Fraction(1, 90_000)


@dataclass
class Measured:
    """The measurements of one camera. sent: frames. ages_ms: of each returned frame. dropped: frames, by cause."""

    sent: int = 0
    ages_ms: list[float] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


def film(clip: Path | None, width: int, height: int, settings: Settings, pattern: str = "room") -> list[Frame]:
    """Up to 240 frames: of `clip`, scaled, or of a generated person in a room or in front of a `screen`."""
    address = source_address(f"pattern:{pattern}") if clip is None else clip
    source = open_source(address, SourceOptions(size=(width, height)), settings)
    try:
        return list(islice((item for item in source if isinstance(item, Frame)), _LOOP))
    finally:
        source.close()


def encoded(frames: list[Frame], width: int, height: int, settings: Settings) -> list[bytes]:
    """H.264 packets of the frames, each marked with its number, to be sent in a loop; every 15th is a keyframe."""
    encoder = LiveEncoder("H264", width, height, fitting_bps(width, height, RATE, settings.max_bitrate), settings)
    packets, to_bt601 = [], ToBt601()
    for n, frame in enumerate(frames):
        picture = to_bt601(to_av(frame.with_pixels(_marked(frame, n)), "yuv420p"))
        picture.pts = n * 3000
        (packet,) = encoder.encode(picture, n % _KEY_EVERY == 0)
        packets.append(bytes(packet))
    return packets


def _marked(frame: Frame, n: int) -> Plane:
    """The number as eight bars along the upper edge, dark 0 and light 1. They are grey, so not part of a screen."""
    pixels = frame.pixels.copy()
    for chroma in split_i420(pixels)[1:]:
        chroma[: frame.height // 16] = _NEUTRAL
    for bit, columns in enumerate(_bars(frame.width)):
        pixels[: frame.height // 8, columns] = _LIGHT if n >> bit & 1 else _DARK
    return pixels


def number_in(picture: av.VideoFrame) -> int:
    """The number with which `encoded` marked the frame."""
    luma = picture.reformat(format="gray").to_ndarray()
    rows = luma[picture.height // 32 : picture.height // 10]
    means = [rows[:, columns].mean() for columns in _bars(picture.width, inner=True)]
    threshold = (_DARK + _LIGHT) / 2 - 20  # light bars are dimmed outside the subject
    return sum(int(mean > threshold) << bit for bit, mean in enumerate(means))


def _bars(width: int, inner: bool = False) -> list[slice]:
    edges = np.linspace(0, width, _BITS + 1).round().astype(int)
    trim = width // _BITS // 5 if inner else 0
    return [slice(int(a) + trim, int(b) - trim) for a, b in pairwise(edges)]


class _Camera(MediaStreamTrack):
    """Sends packets in a loop, 30 a second. sent_s: number and send time of each of the last 239 frames."""

    kind = "video"

    def __init__(self, packets: list[bytes]) -> None:
        super().__init__()
        self._packets = packets
        self.sent = 0
        self.sent_s: deque[tuple[int, float]] = deque(maxlen=len(packets) - 1)
        self._start_s = 0.0

    async def recv(self) -> Any:
        self._start_s = self._start_s or time.monotonic()
        await asyncio.sleep(max(0.0, self._start_s + self.sent / RATE - time.monotonic()))
        n = self.sent % len(self._packets)
        packet = av.Packet(self._packets[n])
        packet.pts, packet.time_base = self.sent * 90_000 // RATE, _CLOCK
        self.sent += 1
        self.sent_s.append((n, time.monotonic()))
        return packet

    def age_s(self, n: int, now_s: float) -> float | None:
        return next((now_s - at_s for number, at_s in reversed(self.sent_s) if number == n), None)


async def call(
    url: str,
    token: str,
    packets: list[bytes],
    options: dict[str, str],
    size: tuple[int, int],
    begin_s: float,
    end_s: float,
) -> Measured:
    """Run one session, measured from `begin_s` to `end_s` of the monotonic clock. Raises ServerError."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if _is_local(url) else _addresses()
    camera, connection = _Camera(packets), RTCPeerConnection(RTCConfiguration(iceServers=[]))
    line = connection.addTransceiver(camera, "sendrecv")
    line.setCodecPreferences([c for c in RTCRtpSender.getCapabilities("video").codecs if c.name in ("H264", "rtx")])
    session = await _connect(connection, url, token, options)
    try:
        return await _watch(line.receiver.track, camera, size, begin_s, end_s, lambda: _drops(url, token, session))
    finally:
        await asyncio.to_thread(api, url, token, "DELETE", f"/api/sessions/{session}")
        await connection.close()


async def _connect(connection: RTCPeerConnection, url: str, token: str, options: dict[str, str]) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    body = {"sdp": connection.localDescription.sdp, "type": "offer", "options": options}
    answer = await asyncio.to_thread(api, url, token, "POST", "/api/sessions", body)
    await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    return str(answer["id"])


async def _watch(
    track: Any, camera: _Camera, size: tuple[int, int], begin_s: float, end_s: float, drops: Any
) -> Measured:
    measured, began = Measured(), False
    before: dict[str, int] = {}
    sent = 0
    while (now_s := time.monotonic()) < end_s:
        try:
            picture = await asyncio.wait_for(track.recv(), 10)
        except (TimeoutError, MediaStreamError):
            raise ServerError("no frame arrived within 10 seconds") from None
        now_s = time.monotonic()
        if now_s >= begin_s and not began:
            began, sent, before = True, camera.sent, await asyncio.to_thread(drops)
        elif began and (picture.width, picture.height) == size:
            age_s = camera.age_s(number_in(picture), now_s)
            if age_s is not None:
                measured.ages_ms.append(1000 * age_s)
    after = await asyncio.to_thread(drops)
    measured.sent = camera.sent - sent
    measured.dropped = {cause: n - before.get(cause, 0) for cause, n in after.items() if n > before.get(cause, 0)}
    return measured


def _drops(url: str, token: str, session: str) -> dict[str, int]:
    return dict((api(url, token, "GET", f"/api/sessions/{session}")["meters"] or {}).get("dropped", {}))


def _is_local(url: str) -> bool:
    return any(host in url for host in ("//127.", "//localhost", "//[::1]"))


_original_addresses = aioice.ice.get_host_addresses


def _addresses() -> list[str]:
    return list(_original_addresses(use_ipv4=True, use_ipv6=True))


def api(url: str, token: str, method: str, path: str, body: object = None) -> Any:
    """The response's JSON, or its text if it is not JSON. Raises ServerError."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as exc:
        raise ServerError(f"{method} {path}: {exc.code} {exc.read().decode(errors='replace')[:200]}") from None
    except (urllib.error.URLError, TimeoutError) as exc:
        raise ServerError(f"{url}: {exc}") from None
    is_json = text.startswith(("{", "["))
    return json.loads(text) if is_json else text
