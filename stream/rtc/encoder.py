"""Encoding live video for WebRTC: H.264 or VP8, no frame delay, bit rate adjustable while running.

Measured at 720p and 2 Mbit/s: x264 `superfast` takes 6.5 to 8.6 ms of one core and reaches 41 to 45 dB, libvpx at
speed 12 takes 6.9 ms and reaches 39 dB. Knows nothing about connections.
"""

import logging
import time
from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import av
from av.video.frame import PictureType

from stream.errors import EncodeError
from stream.picture.bt601 import tag_bt601
from stream.settings import Settings
from stream.sinks.encodings import encoder_opens

CLOCK = Fraction(1, 90_000)
CODECS = ("H264", "VP8")

_BITS_PER_PIXEL = 0.1  # 720p at 30 fps: 2.8 Mbit/s
_MIN_BPS = 300_000
_KEYFRAME_INTERVAL = 1_000_000  # frames; in effect keyframes come only on request
_log = logging.getLogger(__name__)

_X264 = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"}
_NVENC = {"preset": "p3", "tune": "ull", "rc": "cbr", "zerolatency": "1", "forced-idr": "1", "no-scenecut": "1"}
_NVENC |= {"profile": "baseline", "delay": "0"}
_VPX = {"deadline": "realtime", "cpu-used": "-12", "lag-in-frames": "0", "error-resilient": "default"}


def fitting_bps(width: int, height: int, rate: float, max_bps: int) -> int:
    """Bits per second for good quality at this size in pixels and rate in fps; at most `max_bps`."""
    return round(min(max(_BITS_PER_PIXEL * width * height * rate, _MIN_BPS), max_bps))


class LiveEncoder:
    """An encoder of one codec ("H264" or "VP8") at one size. Raises EncodeError.

    width, height: pixels, even. bps: bits per second, without RTP headers.
    """

    def __init__(self, codec: str, width: int, height: int, bps: int, settings: Settings) -> None:
        self.codec, self.size, self.bps = codec, (width, height), bps
        self._settings = settings
        self._last = -1
        self._context = self._open()

    def encode(self, picture: av.VideoFrame, key: bool) -> "list[av.Packet[av.VideoStream]]":
        """The packets of one frame. picture: yuv420p in BT.601 (`ToBt601`), its pts in ticks of `CLOCK`. key: force a
        keyframe."""
        picture.pts = self._last = max(self._last + 1, picture.pts or 0)
        picture.time_base = CLOCK
        picture.pict_type = PictureType.I if key else PictureType.NONE
        try:
            return self._context.encode(picture)
        except (av.error.FFmpegError, ValueError) as exc:
            raise EncodeError(
                f"{self._context.name} rejected a frame of {picture.width}x{picture.height}: {exc}"
            ) from exc

    def change_rate(self, bps: int) -> None:
        """Set bits per second. x264 and NVENC adapt at once; FFmpeg's libvpx has to be reopened, with a keyframe."""
        self.bps = bps
        if self.codec == "VP8":
            self._context = self._open()
        else:
            self._context.bit_rate = bps

    def _open(self) -> av.VideoCodecContext:
        if self.codec == "VP8":
            return self._context_for("libvpx", _VPX | {"minrate": str(self.bps)})
        if self._settings.hw_encode and encoder_opens("h264_nvenc"):
            try:
                return self._context_for("h264_nvenc", _NVENC)
            except EncodeError as exc:
                _log.warning("encoding on the CPU: %s", exc)
        return self._context_for("libx264", _X264)

    def _context_for(self, name: str, options: dict[str, str]) -> av.VideoCodecContext:
        context = cast(av.VideoCodecContext, av.CodecContext.create(name, "w"))
        context.width, context.height = self.size
        context.pix_fmt, context.time_base, context.framerate = "yuv420p", CLOCK, Fraction(30)
        context.bit_rate, context.gop_size, context.max_b_frames = self.bps, _KEYFRAME_INTERVAL, 0
        context.options = options | {"maxrate": str(self.bps), "bufsize": str(self.bps // 2)}
        context.thread_count = 1
        if self.codec == "H264":
            tag_bt601(context)
            context.profile = "Baseline"
        try:
            context.open()
        except (av.error.FFmpegError, ValueError) as exc:
            raise EncodeError(f"{name} does not open at {self.size[0]}x{self.size[1]}: {exc}") from exc
        return context


class RateControl:
    """The bit rate of one encoder: `best_bps`, or what its viewers' connections can take if that is less.

    The slowest viewer decides, but cannot push the others below an eighth of `best_bps`.
    """

    _SHARE = 0.9  # of the estimated bandwidth; the rest is for RTP headers, audio and retransmissions
    _INTERVAL_S = 3.0

    def __init__(self, best_bps: int) -> None:
        self._best_bps = self.bps = best_bps
        self._changed_s = 0.0

    def follow(self, estimates_bps: Iterable[int], now_s: float | None = None) -> bool:
        """Adapt `bps` to the viewers' bandwidth estimates (bits per second); returns whether it changed.

        Small changes are ignored. An increase comes 3 s after the last change at the earliest, a decrease after 1 s.
        """
        now_s = time.monotonic() if now_s is None else now_s
        lowest_bps = min(estimates_bps, default=self._best_bps / self._SHARE)
        target_bps = round(min(max(lowest_bps * self._SHARE, self._best_bps / 8), self._best_bps))
        wait_s = self._INTERVAL_S if target_bps > self.bps else self._INTERVAL_S / 3
        small = 0.8 * self.bps <= target_bps <= 1.2 * self.bps and target_bps < self._best_bps
        if small or target_bps == self.bps or now_s - self._changed_s < wait_s:
            return False
        self.bps, self._changed_s = target_bps, now_s
        return True
