"""A WHIP client (RFC 9725): publishes encoded H.264 and Opus to a server. Runs on an event loop.

One object is one session. It does not reconnect. Knows nothing about where the packets come from.
"""

import asyncio
import contextlib
import logging
import re
import time

import av
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from stream.errors import RemoteError
from stream.rtc import ice
from stream.rtc.aiortc_overrides import intercept_feedback, report_arrival_times
from stream.rtc.dtls_overrides import dtls_transports
from stream.rtc.encoder import RateControl
from stream.rtc.peer import close_connection
from stream.rtc.sdp_parts import CANDIDATE
from stream.rtc.tracks import SoundTrack, VideoTrack
from stream.rtc.whip_http import WhipHttp, ice_servers
from stream.settings import Settings
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.packets import Packet, Tracks

_log = logging.getLogger(__name__)
_CHECK_S = 0.25
_PROFILE = "42e01f"  # constrained baseline, level 3.1
_LEVEL = 0x1F
_UNREADABLE = "the server's answer cannot be read"


class WhipClient:
    """url: of the endpoint, http or https. control: of the encoder. reason: why the session has ended, once it has."""

    def __init__(self, url: str, http: WhipHttp, settings: Settings, control: EncodeControl) -> None:
        self.reason = ""
        self._url, self._http, self._settings, self._control = url, http, settings, control
        self._pc: RTCPeerConnection | None = None
        self._video: VideoTrack | None = None
        self._sound: SoundTrack | None = None
        self._connections: list[ice.Connection] = []
        self._session = ""
        self._began_s = 0.0
        self._changed = asyncio.Event()

    async def connect(self, tracks: Tracks) -> None:
        """Publish, and wait until the server receives. Raises RemoteError.

        A server names its ICE servers in the response to OPTIONS, or to the offer: then a second offer uses them, if no
        connection was made without.
        """
        self._tracks = tracks
        self._control_rate = RateControl(tracks.video.bitrate)
        servers = await self._servers()
        named = await self._publish(servers)
        if not await self._connected():
            if not named or named == servers:
                raise RemoteError(self._failure())
            await self.close()
            await self._publish(named)
            if not await self._connected():
                raise RemoteError(self._failure())

    async def ended(self) -> None:
        """Wait for the end of the session."""
        while not self.reason:
            if self._pc is None or self._pc.connectionState in ("failed", "closed"):
                self.reason = "the server closed the connection"
            elif self._silent_s() > self._settings.media_timeout_s:
                self.reason = f"the server sent nothing for {self._settings.media_timeout_s:g} s"
            else:
                await self._wait()

    def send(self, packet: Packet) -> None:
        """Send a packet. A keyframe is sent with its parameter sets."""
        self._began_s = self._began_s or time.monotonic() - packet.time_s
        parameters = self._tracks.video.extradata if packet.kind == "video" and packet.key else b""
        sent = av.Packet(parameters + packet.data)
        sent.pts, sent.time_base = packet.pts, packet.time_base
        sent.opaque = self._began_s + packet.time_s  # one clock for both tracks, by which players synchronize them
        if packet.kind == "sound" and self._sound is not None:
            self._sound.put(sent)
        elif packet.kind == "video" and self._video is not None:
            self._video.put(sent, packet.key)

    async def close(self) -> None:
        """End the session on the server, and release everything. Idempotent."""
        session, self._session = self._session, ""
        if session:
            with contextlib.suppress(RemoteError):
                await self._http.request("DELETE", session)
        pc, self._pc = self._pc, None
        if pc is not None:
            await close_connection(pc)

    async def _servers(self) -> list[RTCIceServer]:
        with contextlib.suppress(RemoteError):  # many servers do not answer OPTIONS
            reply = await self._http.request("OPTIONS", self._url)
            return await self._http.usable(ice_servers(reply.headers))
        return []

    async def _publish(self, servers: list[RTCIceServer]) -> list[RTCIceServer]:
        """Send an offer and take the answer. Returns the ICE servers in the response."""
        pc = self._pc = RTCPeerConnection(RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        pc.on("connectionstatechange", self._changed.set)
        self._add_tracks(pc)
        self._connections = ice.connections(pc, self._settings)
        dtls_transports(pc)
        await pc.setLocalDescription(await pc.createOffer())
        offer = _with_level(pc.localDescription.sdp, self._tracks.video.extradata)
        reply = await self._http.request("POST", self._url, offer.encode())
        if reply.status not in (200, 201):
            raise self._http.refusal(reply)
        if location := reply.headers.get("Location"):
            self._session = self._http.resolve(reply.url, location)
        await self._take(pc, reply.body)
        return await self._http.usable(ice_servers(reply.headers))

    def _add_tracks(self, pc: RTCPeerConnection) -> None:
        video = self._video = VideoTrack(self._control.request_key)
        line = pc.addTransceiver(video, "sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        usable = [c for c in codecs if c.parameters.get("profile-level-id") == _PROFILE or c.name == "rtx"]
        line.setCodecPreferences(usable)
        intercept_feedback(line.sender, self._control.request_key, self._estimated)
        report_arrival_times(line.sender, lambda: video.age_s)
        if self._tracks.sound is not None:
            self._add_sound(pc)

    def _add_sound(self, pc: RTCPeerConnection) -> None:
        sound = self._sound = SoundTrack()
        line: RTCRtpTransceiver = pc.addTransceiver(sound, "sendonly")
        line.setCodecPreferences([c for c in RTCRtpSender.getCapabilities("audio").codecs if c.name == "opus"])
        report_arrival_times(line.sender, lambda: sound.age_s)

    def _estimated(self, bps: int) -> None:
        """The server's estimate of the bandwidth, in bits per second."""
        if self._control_rate.follow([bps]):
            self._control.limit(self._control_rate.bps)

    async def _take(self, pc: RTCPeerConnection, body: bytes) -> None:
        try:
            text = _with_allowed_candidates(body.decode(), await ice.candidate_policy(self._settings))
            await pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        except Exception as exc:  # noqa: BLE001 - aiortc raises arbitrary exceptions on answers it cannot use
            _log.info("the answer was refused: %r", exc)
            raise RemoteError(_UNREADABLE) from None
        if not any(line.currentDirection == "sendonly" for line in pc.getTransceivers() if line.kind == "video"):
            raise RemoteError("the server declined the video")

    async def _connected(self) -> bool:
        """Whether a connection is made within the time limit, and the sender of the video runs."""
        until_s = time.monotonic() + self._settings.connect_timeout_s
        assert self._pc is not None
        assert self._video is not None
        while time.monotonic() < until_s and self._pc.connectionState not in ("failed", "closed"):
            if self._pc.connectionState == "connected" and self._video.started:
                return True
            await self._wait()
        return False

    def _failure(self) -> str:
        answered = any(connection.checks for connection in self._connections)
        return "the connection for media failed" if answered else "no connection for media: is UDP open on the server?"

    def _silent_s(self) -> float:
        return time.monotonic() - max((c.received_s for c in self._connections), default=0.0)

    async def _wait(self) -> None:
        """Wait for a change of the connection, a quarter of a second at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), _CHECK_S)
        self._changed.clear()


def _with_level(offer: str, extradata: bytes) -> str:
    """The offer with the level of H.264 that is sent, if it is higher than 3.1. extradata: begins with the SPS."""
    found = re.search(rb"\x00\x00\x01[\x67\x27\x47].(.)(.)", extradata, re.DOTALL)
    level = found[2][0] if found else _LEVEL
    return offer.replace(f"profile-level-id={_PROFILE}", f"profile-level-id=42e0{max(level, _LEVEL):02x}")


def _with_allowed_candidates(answer: str, policy: ice.CandidatePolicy) -> str:
    """The answer without candidates to which no packets may be sent."""
    kept = []
    for line in answer.splitlines():
        match = CANDIDATE.fullmatch(line.removeprefix("a=candidate:")) if line.startswith("a=candidate:") else None
        if not line.startswith("a=candidate:") or (match is not None and policy.allows(match[5], int(match[6]))):
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"
