"""A WHEP client: views a stream of H.264 or VP8 pictures, and Opus sound if it has any. Runs on an event loop.

One object is one session. It does not reconnect. Knows nothing about what becomes of the media.
"""

import re
from collections.abc import Callable

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver

from stream.errors import RemoteError
from stream.rtc.aiortc_overrides import Encoded, divert, listen_to_reports, request_keyframe
from stream.rtc.client import RtcClient
from stream.rtc.common_clock import CommonClock
from stream.rtc.signalling import Signalling
from stream.settings import Settings

_LEVEL_OFFERED, _LEVEL = "1f", "34"  # 3.1 and 5.2
_VIDEO = ("H264", "rtx", "VP8")  # in order of preference


class WhepClient(RtcClient):
    """on_picture, on_sound: called with each encoded frame and packet, on the loop; sound with its time in seconds on
    the clock of the pictures, whose time is pts / 90,000. has_sound: None until the server has answered."""

    def __init__(
        self,
        signalling: Signalling,
        settings: Settings,
        on_picture: Callable[[Encoded], object],
        on_sound: Callable[[Encoded, float], object],
    ) -> None:
        super().__init__(signalling, settings)
        self.has_sound: bool | None = None
        self._on_picture, self._on_sound = on_picture, on_sound
        self._clock = CommonClock()
        self._video: RTCRtpReceiver | None = None
        self._asks_for_sound = True

    async def connect(self) -> None:
        """View, and wait until the connection is made. Raises RemoteError.

        aiortc cannot connect a session whose sound was declined: then a second offer has none.
        """
        try:
            await self.establish()
        except _SoundDeclined:
            self._asks_for_sound = False
            await self.close()
            await self.establish()

    def request_keyframe(self) -> None:
        """From any thread."""
        if self._video is not None:
            request_keyframe(self._video)

    def add_lines(self, pc: RTCPeerConnection) -> None:
        video = pc.addTransceiver("video", "recvonly")
        codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.name in _VIDEO]
        video.setCodecPreferences(sorted(codecs, key=lambda codec: _VIDEO.index(codec.name)))
        if self._asks_for_sound:
            audio = pc.addTransceiver("audio", "recvonly")
            audio.setCodecPreferences([c for c in RTCRtpSender.getCapabilities("audio").codecs if c.name == "opus"])

    def adapted(self, offer: str) -> str:
        """aiortc offers level 3.1 of H.264, which ends at 1280x720. The decoder takes any."""
        return re.sub(f"(profile-level-id=42[0-9a-f]{{2}}){_LEVEL_OFFERED}", rf"\g<1>{_LEVEL}", offer)

    def checked(self, answer: str) -> str:
        if self._asks_for_sound and "\nm=audio 0 " in answer:
            raise _SoundDeclined("the server declined the sound")
        return answer

    def take(self, pc: RTCPeerConnection) -> None:
        lines = {line.kind: line.receiver for line in pc.getTransceivers() if _receives(line)}
        if "video" not in lines:
            raise RemoteError("the server sends no video")
        self.has_sound = "audio" in lines
        self._video = lines["video"]
        divert(self._video, self._picture_received)
        listen_to_reports(self._video, self._clock.video.reported)
        if self.has_sound:
            divert(lines["audio"], self._sound_received)
            listen_to_reports(lines["audio"], self._clock.audio.reported)

    def _picture_received(self, picture: Encoded | None) -> None:
        if picture is not None:
            self._clock.video.arrived(picture.pts, picture.arrived_s)
            self._on_picture(picture)

    def _sound_received(self, sound: Encoded | None) -> None:
        if sound is not None:
            self._clock.audio.arrived(sound.pts, sound.arrived_s)
            if (time_s := self._clock.sound_s(sound.pts)) is not None:
                self._on_sound(sound, time_s)


class _SoundDeclined(RemoteError):  # noqa: N818
    """The server's answer declines the sound."""


def _receives(line: RTCRtpTransceiver) -> bool:
    return line.currentDirection in ("recvonly", "sendrecv")
