"""Encoding H.264 for live outputs: no frame delay, a nearly constant bit rate, a keyframe every 2 seconds."""

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.codec.context import Flags
from av.video.frame import PictureType

from stream.errors import EncodeError
from stream.picture.bt601 import ToBt601, tag_bt601
from stream.picture.frames import Frame, VideoInfo, tag_bt709, to_av
from stream.picture.timing import plausible_rate
from stream.settings import Settings
from stream.sinks.encodings import encoder_opens
from stream.sinks.live.header import HeaderFile
from stream.sinks.live.packets import CLOCK, Colours, Packet, VideoTrack

KEY_INTERVAL_S = 2.0
_FORCED_INTERVAL_S = 1.0  # at least, before a keyframe on request
_BITS_PER_PIXEL = 0.12  # 720p at 30 fps: 3.3 Mbit/s
_MIN_BPS = 400_000
_NO_INTERVAL = 1_000_000  # frames; keyframes are placed by time
_X264 = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"}
_NVENC = {"preset": "p3", "tune": "ull", "rc": "cbr", "zerolatency": "1", "forced-idr": "1", "no-scenecut": "1"}
_NVENC |= {"delay": "0"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoKey:
    """What outputs must have in common to share an encode.

    bitrate: bits per second. rate: most frames per second; None: all frames. baseline: the profile for WebRTC.
    key_interval_s: seconds from one keyframe to the next.
    """

    width: int
    height: int
    bitrate: int
    rate: float | None = None
    colours: Colours = "bt709"
    baseline: bool = False
    key_interval_s: float = KEY_INTERVAL_S


def default_bitrate(width: int, height: int, rate: float) -> int:
    """Bits per second for good quality at this size in pixels and rate in fps."""
    return round(max(_BITS_PER_PIXEL * width * height * min(rate, 60), _MIN_BPS))


class VideoEncoder:
    """Encodes frames for one `VideoKey`; frames of another size are scaled. Not thread-safe, except `request_key`.

    info: of the frames. wanted_bps: bits per second from the next frame on, at most those of the key; set from any
    thread. Raises EncodeError.
    """

    def __init__(self, key: VideoKey, info: VideoInfo, settings: Settings) -> None:
        self.key = key
        self._settings = settings
        self._rate = min(float(plausible_rate(info.rate)), key.rate or 1000.0)
        self._to_bt601 = ToBt601((key.width, key.height)) if key.colours == "bt601" else None
        self._pace = Pace(key.rate)
        self._requested = False
        self.wanted_bps = key.bitrate
        self._last = -1
        self._key_s: float | None = None
        self._forced_s = -_FORCED_INTERVAL_S
        self._context, self.header = self._open()
        extradata = bytes(self._context.extradata or b"")
        rate = Fraction(self._rate).limit_denominator(1001)
        self.track = VideoTrack(key.width, key.height, rate, key.bitrate, extradata, key.colours)

    def request_key(self) -> None:
        """Make the next frame a keyframe, at most one a second. From any thread."""
        self._requested = True

    def encode(self, frame: Frame) -> list[Packet]:
        """The packets of a frame; none if the rate is limited and the frame is left out. Raises EncodeError."""
        if not self._pace.takes(frame.time_s):
            return []
        picture = self._picture(frame)
        is_key = self._is_key(frame.time_s)
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        if self.wanted_bps != self._context.bit_rate:
            self._context.bit_rate = self.wanted_bps  # x264 and NVENC adapt at once
        try:
            return [self._packet(packet, frame.arrived_s) for packet in self._context.encode(picture)]
        except (av.error.FFmpegError, ValueError) as exc:
            raise EncodeError(f"{self._context.name} rejected a frame of {frame.width}x{frame.height}: {exc}") from exc

    def _is_key(self, time_s: float) -> bool:
        interval_s = self.key.key_interval_s
        since_s = interval_s if self._key_s is None else time_s - self._key_s
        # half a frame early, so that frames that jitter do not make the interval longer
        due = since_s >= interval_s - 0.5 / self._rate or since_s < 0
        forced = self._requested and time_s - self._forced_s >= _FORCED_INTERVAL_S
        if due or forced:
            self._key_s, self._requested = time_s, False
        if forced:
            self._forced_s = time_s
        return due or forced

    def _picture(self, frame: Frame) -> av.VideoFrame:
        picture = to_av(frame, "yuv420p")
        if self._to_bt601 is not None:
            picture = self._to_bt601(picture)
        elif (frame.width, frame.height) != (self.key.width, self.key.height):
            picture = picture.reformat(width=self.key.width, height=self.key.height)
        self._last = max(self._last + 1, round(frame.pts * frame.time_base / CLOCK))
        picture.pts, picture.time_base = self._last, CLOCK
        return picture

    def _packet(self, packet: "av.Packet[av.VideoStream]", arrived_s: float) -> Packet:
        """arrived_s: of its frame, because there is no frame delay."""
        pts = packet.pts or 0
        duration = round(1 / (self._rate * CLOCK))
        return Packet("video", bytes(packet), pts, pts, duration, CLOCK, bool(packet.is_keyframe), arrived_s)

    def _open(self) -> tuple[av.VideoCodecContext, bytes]:
        if self._settings.hw_encode and encoder_opens("h264_nvenc"):
            try:
                return self._opened("h264_nvenc", _NVENC)
            except EncodeError as exc:
                _log.warning("encoding on the CPU: %s", exc)
        return self._opened("libx264", _X264)

    def _opened(self, name: str, options: dict[str, str]) -> tuple[av.VideoCodecContext, bytes]:
        """An open encoder and the header of its stream."""
        key = self.key
        file = self._file = HeaderFile()  # the encoder belongs to it
        rate = Fraction(self._rate).limit_denominator(1001)
        stream = cast(av.VideoStream, file.container.add_stream(name, rate=rate))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = key.width, key.height, "yuv420p"
        context.time_base = stream.time_base = CLOCK
        context.bit_rate, context.gop_size, context.max_b_frames = key.bitrate, _NO_INTERVAL, 0
        context.options = options | {"maxrate": str(key.bitrate), "bufsize": str(key.bitrate)}
        context.flags |= Flags.global_header
        context.thread_count = self._settings.codec_threads()
        tag_bt601(context) if key.colours == "bt601" else tag_bt709(context)
        if key.baseline:
            context.profile = "Baseline"
        try:
            return context, file.header()
        except (av.error.FFmpegError, ValueError) as exc:
            raise EncodeError(f"{name} does not open at {key.width}x{key.height}: {exc}") from exc


class Pace:
    """Which frames to take so that there are at most `rate` a second; all if it is None."""

    def __init__(self, rate: float | None) -> None:
        self._step_s = 1 / rate if rate else 0.0
        self._due_s: float | None = None

    def takes(self, time_s: float) -> bool:
        """Whether to take the frame at this time; times increase."""
        if not self._step_s:
            return True
        if self._due_s is not None and time_s < self._due_s - self._step_s / 10 and time_s > self._due_s - 10:
            return False
        late = self._due_s is None or not 0 <= time_s - self._due_s + self._step_s / 10 < self._step_s
        self._due_s = (time_s if late else self._due_s or 0.0) + self._step_s
        return True
