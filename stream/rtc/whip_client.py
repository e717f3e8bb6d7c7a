"""A WHIP client (RFC 9725): publishes encoded H.264 and Opus to a server. Runs on an event loop.

One object is one session. It does not reconnect. Knows nothing about where the packets come from.
"""

import re
import time

import av
from aiortc import RTCPeerConnection, RTCRtpSender, RTCRtpTransceiver

from stream.errors import RemoteError
from stream.rtc.aiortc_overrides import intercept_feedback, report_arrival_times
from stream.rtc.client import RtcClient
from stream.rtc.encoder import RateControl
from stream.rtc.signalling import HttpSignalling
from stream.rtc.tracks import SoundTrack, VideoTrack
from stream.rtc.whip_http import WhipHttp
from stream.settings import Settings
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.packets import Packet, Tracks

_PROFILE = "42e01f"  # constrained baseline, level 3.1
_LEVEL = 0x1F


class WhipClient(RtcClient):
    """url: of the endpoint, http or https. control: of the encoder. reason: why the session has ended, once it has."""

    def __init__(self, url: str, http: WhipHttp, settings: Settings, control: EncodeControl) -> None:
        super().__init__(HttpSignalling(url, http), settings)
        self._control = control
        self._video: VideoTrack | None = None
        self._sound: SoundTrack | None = None
        self._began_s = 0.0

    async def connect(self, tracks: Tracks) -> None:
        """Publish, and wait until the server receives. Raises RemoteError."""
        self._tracks = tracks
        self._control_rate = RateControl(tracks.video.bitrate)
        await self.establish()

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

    def add_lines(self, pc: RTCPeerConnection) -> None:
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

    def adapted(self, offer: str) -> str:
        return _with_level(offer, self._tracks.video.extradata)

    def take(self, pc: RTCPeerConnection) -> None:
        if not any(line.currentDirection == "sendonly" for line in pc.getTransceivers() if line.kind == "video"):
            raise RemoteError("the server declined the video")

    @property
    def running(self) -> bool:
        return self._video is not None and self._video.started

    def _estimated(self, bps: int) -> None:
        """The server's estimate of the bandwidth, in bits per second."""
        if self._control_rate.follow([bps]):
            self._control.limit(self._control_rate.bps)


def _with_level(offer: str, extradata: bytes) -> str:
    """The offer with the level of H.264 that is sent, if it is higher than 3.1. extradata: begins with the SPS."""
    found = re.search(rb"\x00\x00\x01[\x67\x27\x47].(.)(.)", extradata, re.DOTALL)
    level = found[2][0] if found else _LEVEL
    return offer.replace(f"profile-level-id={_PROFILE}", f"profile-level-id=42e0{max(level, _LEVEL):02x}")
