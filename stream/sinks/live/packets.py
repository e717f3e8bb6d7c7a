"""Encoded packets and the tracks that they belong to, as outputs get them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

CLOCK = Fraction(1, 90_000)
"""Time base of video packets."""

Colours = Literal["bt709", "bt601"]


@dataclass(frozen=True, slots=True)
class Packet:
    """An encoded frame, or a packet of sound.

    data: of H.264 in Annex B, without parameter sets (these are in `VideoTrack.extradata`). pts, dts, duration: in
    ticks of `time_base`; dts increases strictly within a track, and both tracks share one origin: the first packet of
    every connection is a keyframe at 0. key: a keyframe; always True for sound. arrived_s: when the frame arrived, by
    `time.monotonic`; 0 where unknown, and for sound.
    """

    kind: Literal["video", "sound"]
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    key: bool = True
    arrived_s: float = 0.0

    @property
    def time_s(self) -> float:
        return float(self.dts * self.time_base)


@dataclass(frozen=True)
class VideoTrack:
    """H.264. width, height: pixels. rate: frames per second, an estimate. bitrate: bits per second. extradata: SPS and
    PPS in Annex B. profile: for WebRTC "Baseline", else x264's choice."""

    width: int
    height: int
    rate: Fraction
    bitrate: int
    extradata: bytes
    colours: Colours = "bt709"
    codec: str = "h264"


@dataclass(frozen=True)
class SoundTrack:
    """codec: FFmpeg's name, such as "aac" or "opus". rate: samples per second. time_base: of its packets. extradata: as
    in FFmpeg, such as the AudioSpecificConfig of AAC."""

    codec: str
    rate: int
    channels: int
    time_base: Fraction
    extradata: bytes = b""


@dataclass(frozen=True)
class Tracks:
    """The tracks of an output. sound: None if it has none.

    header: of the tracks, video first, for muxers of PyAV: see `header.templates`.
    """

    video: VideoTrack
    sound: SoundTrack | None
    header: bytes
