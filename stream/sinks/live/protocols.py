"""The protocols of outputs. A new one is one line in `PROTOCOLS`, and a class if it is written in a new way.

Outputs that `push.py` writes need no class: FFmpeg's muxer and its options are in the line.
"""

from dataclasses import dataclass, field
from typing import Literal

from stream.address import Address
from stream.errors import UsageError
from stream.sinks import device_schemes
from stream.sinks.live.packets import Colours

_MPEG_TS = frozenset({"aac", "mp3", "opus", "ac3", "mp2"})


@dataclass(frozen=True)
class OutputProtocol:
    """How outputs of a scheme are written.

    writer: "module:Class", see `base.py`. takes: "packets" or "frames". muxer, options: FFmpeg's, for `push.py`. sound:
    the codecs that are sent as they are, by FFmpeg's names; others are converted to `sound_codec` (FFmpeg's encoder).
    colours: of the video. baseline: H.264 as WebRTC requires it. tls: who verifies certificates, unless the output is
    insecure: FFmpeg, or a tunnel where it does not. retried: it connects again after an error; other outputs end.
    """

    writer: str
    takes: Literal["packets", "frames"] = "packets"
    muxer: str = ""
    options: dict[str, str] = field(default_factory=dict)
    sound: frozenset[str] = frozenset()
    sound_codec: Literal["aac", "libopus"] = "aac"
    colours: Colours = "bt709"
    baseline: bool = False
    tls: Literal["", "ffmpeg", "tunnel"] = ""
    retried: bool = True


_PUSH = "stream.sinks.live.push:PushWriter"
_FRAMES = "stream.sinks.live.frame_sink:FrameSink"
_RTSP = OutputProtocol(
    _PUSH,
    muxer="rtsp",
    options={"rtsp_transport": "tcp"},
    sound=frozenset({"aac", "opus", "mp3", "pcm_mulaw", "pcm_alaw"}),
)
_RTMP = OutputProtocol(
    _PUSH, muxer="flv", options={"flvflags": "no_duration_filesize"}, sound=frozenset({"aac", "mp3"})
)
_WHIP = OutputProtocol(
    "stream.rtc.whip_output:WhipOutput",
    sound=frozenset({"opus"}),
    sound_codec="libopus",
    colours="bt601",
    baseline=True,
)

PROTOCOLS: dict[str, OutputProtocol] = {
    "rtsp": _RTSP,
    "rtsps": OutputProtocol(_PUSH, muxer="rtsp", options=_RTSP.options, sound=_RTSP.sound, tls="ffmpeg"),
    "rtmp": _RTMP,
    "rtmps": OutputProtocol(_PUSH, muxer="flv", options=_RTMP.options, sound=_RTMP.sound, tls="tunnel"),
    "udp": OutputProtocol(_PUSH, muxer="mpegts", options={"pkt_size": "1316"}, sound=_MPEG_TS),
    "srt": OutputProtocol("stream.sinks.live.srt:SrtOutput", muxer="mpegts", sound=_MPEG_TS),
    "whip+https": _WHIP,
    "whip+http": _WHIP,
    "m3u8": OutputProtocol(
        "stream.sinks.live.hls:HlsWriter", muxer="hls", sound=frozenset({"aac", "mp3"}), retried=False
    ),
    "mp4": OutputProtocol(
        "stream.sinks.live.recording:RecordingWriter",
        muxer="mp4",
        sound=frozenset({"aac", "mp3", "ac3"}),
        retried=False,
    ),
    "frames": OutputProtocol(_FRAMES, takes="frames", retried=False),
}
"""By the scheme of the address; for files "m3u8" and "mp4" by the name's suffix, and "frames" for all other formats."""
_OF_FILES = ("m3u8", "mp4", "frames")
_DEVICE = OutputProtocol(_FRAMES, takes="frames")  # the other sinks of `SINKS`, such as virtual cameras


def protocol_of(address: Address) -> OutputProtocol:
    """The protocol of an output. Raises UsageError for an unknown scheme, without quoting the address."""
    if address.scheme == "file":
        suffix = address.path.suffix.lower().removeprefix(".")
        return PROTOCOLS[suffix if suffix in _OF_FILES else "frames"]
    if address.scheme not in schemes():
        raise UsageError(
            f"{address.scheme}:// is not supported as an output; use a file name, such as out.mkv, or {listed()}"
        )
    return PROTOCOLS.get(address.scheme, _DEVICE)


def is_playlist(address: Address) -> bool:
    """Whether the output is a folder with an HLS playlist."""
    return address.scheme == "file" and address.path.suffix.lower() == ".m3u8"


def schemes() -> list[str]:
    """The schemes of outputs that are not files."""
    return [scheme for scheme in (*PROTOCOLS, *device_schemes()) if scheme not in _OF_FILES]


def listed() -> str:
    """All schemes that are not files, as text."""
    return ", ".join(f"{scheme}://" for scheme in schemes())
