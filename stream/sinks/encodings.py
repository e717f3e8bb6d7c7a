"""Codec, pixel format and encoder options for every format of `stream/records/formats.py`.

The quality settings are visually lossless, and fast enough to keep up with a matting engine on the same machine. x264's
`superfast` measured 3 to 6 dB better than `ultrafast` for less than twice its cost, and slower presets gain little
(PSNR at 2 Mbit/s 41.0, `medium` 41.6 at five times the cost).
"""

import functools
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
from av.container import OutputContainer

from stream.errors import UnsupportedOutput
from stream.picture.frames import VideoInfo, has_alpha, tag_bt709
from stream.picture.numbering import Numbering
from stream.picture.timing import plausible_rate
from stream.records import formats
from stream.settings import Settings
from stream.sinks.tags import ITUNES, QUICKTIME

Extra = Literal["tags", "chapters", "attachments", "cover", "data", "timecode"]


@dataclass(frozen=True)
class Encoding:
    """How one output format is encoded.

    kind: its shared record. container: FFmpeg's muxer, "" for picture sequences. pix_fmt, alpha_pix_fmt, gray_pix_fmt:
    the codec's pixel formats for opaque, transparent and matte frames; alpha_pix_fmt is "" if there is no transparency.
    largest_px: the codec's maximum width and height. sound: audio codecs that are copied, None for all. sound_codec:
    the codec to which others are converted, "" if the format has no sound. subtitles, subtitle_codec: the same for
    subtitles; only text is converted. holds: what else of a source's `Extras` the format can store. common_tags: the
    tags that fit into the older tag format of MP4 and MOV (`tags.py`); None for other formats.
    """

    kind: formats.OutputFormat
    container: str
    codec: str
    pix_fmt: str
    alpha_pix_fmt: str = ""
    gray_pix_fmt: str = ""
    options: dict[str, str] = field(default_factory=dict)
    alpha_options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)
    largest_px: int = 65_535
    sound: frozenset[str] | None = frozenset()
    sound_codec: str = ""
    subtitles: frozenset[str] = frozenset()
    subtitle_codec: str = ""
    holds: frozenset[Extra] = frozenset()
    common_tags: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """Display name."""
        return self.kind.label

    @property
    def deep(self) -> bool:
        """Whether the codec keeps more than 8 bits of opaque colours."""
        return av.VideoFormat(self.pix_fmt).components[0].bits > 8

    def pixels(self, info: VideoInfo) -> str:
        """The pixel format for a video."""
        if info.has_alpha and self.alpha_pix_fmt:
            return self.alpha_pix_fmt
        return (self.gray_pix_fmt or self.pix_fmt) if info.gray else self.pix_fmt


_VP9 = {"deadline": "good", "cpu-used": "5", "crf": "22", "b": "0", "row-mt": "1"}
_QUICKTIME_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_BITMAP_SUBTITLES = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"})

_ENCODINGS = (
    Encoding(
        formats.FORMATS["mp4"],
        "mp4",
        "libx264",
        "yuv420p",
        options={"preset": "superfast", "crf": "18"},
        muxer_options={"movflags": "+faststart"},
        largest_px=16_384,
        sound=_QUICKTIME_SOUND - {"alac"},
        sound_codec="aac",
        subtitles=frozenset({"mov_text"}),
        subtitle_codec="mov_text",
        holds=frozenset({"tags", "chapters", "cover", "data", "timecode"}),
        common_tags=ITUNES,
    ),
    Encoding(
        formats.FORMATS["webm"],
        "webm",
        "libvpx-vp9",
        "yuv420p",
        alpha_pix_fmt="yuva420p",
        options=_VP9,
        alpha_options={"auto-alt-ref": "0"},
        sound=frozenset({"opus", "vorbis"}),
        sound_codec="libopus",
        subtitles=frozenset({"webvtt"}),
        subtitle_codec="webvtt",
        holds=frozenset({"tags", "chapters", "timecode"}),
    ),
    Encoding(
        formats.FORMATS["mov"],
        "mov",
        "prores_aw",  # as accurate as prores_ks, three times as fast
        "yuv422p10le",
        alpha_pix_fmt="yuva444p10le",
        options={"profile": "3"},
        alpha_options={"profile": "4"},
        sound=_QUICKTIME_SOUND | {"pcm_s16le", "pcm_s24le"},
        sound_codec="aac",
        subtitles=frozenset({"mov_text"}),
        subtitle_codec="mov_text",
        holds=frozenset({"tags", "chapters", "data", "timecode"}),
        common_tags=QUICKTIME,
    ),
    Encoding(
        formats.FORMATS["mkv"],
        "matroska",
        "ffv1",
        "yuv420p",
        alpha_pix_fmt="yuva420p",
        gray_pix_fmt="gray",
        options={"level": "3", "g": "1", "slicecrc": "1"},
        sound=None,
        sound_codec="flac",
        subtitles=frozenset({"subrip", "ass", "ssa", "webvtt"}) | _BITMAP_SUBTITLES,
        subtitle_codec="subrip",
        holds=frozenset({"tags", "chapters", "attachments", "cover", "timecode"}),
    ),
    Encoding(formats.FORMATS["gif"], "gif", "gif", "pal8", alpha_pix_fmt="pal8"),
    Encoding(formats.FORMATS["png"], "", "png", "rgb24", alpha_pix_fmt="rgba", gray_pix_fmt="gray"),
)

ENCODINGS = {encoding.kind.suffix: encoding for encoding in _ENCODINGS}
"""By file name suffix; of single pictures, see `picture`."""


def format_of(path: Path) -> formats.OutputFormat:
    """The format for an output's file name. A folder, and a name with a number in it, mean a sequence of pictures.

    Raises UnsupportedOutput.
    """
    suffix = path.suffix.lower()
    numbered = "%" in path.name or Numbering.read(path.name) is not None
    if suffix and not numbered and not path.is_dir() and (still := formats.still_for(suffix)):
        return still
    return encoding_of(path).kind


def encoding_of(path: Path) -> Encoding:
    """The format for an output's file name; a folder means a PNG sequence. Raises UnsupportedOutput."""
    suffix = path.suffix.lower()
    if not suffix or path.is_dir() or suffix in formats.PICTURES:
        return ENCODINGS[formats.FORMATS["png"].suffix]
    if suffix not in ENCODINGS:
        raise UnsupportedOutput(f"{suffix} is not an output format; use one of: {formats.NAMES}")
    return ENCODINGS[suffix]


def check_alpha(chosen: Encoding) -> None:
    """Raise UnsupportedOutput if the format has no transparency; the message lists the formats that have."""
    formats.check_alpha(chosen.kind)


def add_video(container: OutputContainer, chosen: Encoding, info: VideoInfo, settings: Settings) -> av.VideoStream:
    """Add a video stream with the size and time base of `info`, in BT.709; its encoder is configured but not open yet.

    Raises UnsupportedOutput if the frame is too large for the codec.
    """
    if max(info.width, info.height) > chosen.largest_px:
        raise UnsupportedOutput(
            f"{chosen.name} supports up to {chosen.largest_px} pixels per side, not {max(info.width, info.height)}"
        )
    codec, options = _encoder(chosen, info, settings)
    stream = cast(av.VideoStream, container.add_stream(codec, rate=plausible_rate(info.rate)))
    context = stream.codec_context
    context.width, context.height = info.width, info.height
    context.pix_fmt = chosen.pixels(info)
    context.time_base = stream.time_base = info.time_base
    context.thread_count = settings.codec_threads()
    context.options = options | (chosen.alpha_options if has_alpha(chosen.pixels(info)) else {})
    tag_bt709(context, full_range=context.pix_fmt in ("gray", "pal8"))
    return stream


def _encoder(chosen: Encoding, info: VideoInfo, settings: Settings) -> tuple[str, dict[str, str]]:
    """The GPU's H.264 encoder if it is enabled, available and supports this size; else the format's own."""
    fits = info.width >= 160 and info.height >= 64 and max(info.width, info.height) <= 4096
    if chosen.codec == "libx264" and settings.hw_encode and fits and encoder_opens("h264_nvenc"):
        return "h264_nvenc", {"preset": "p4", "rc": "vbr", "cq": "19", "b": "0"}
    return chosen.codec, chosen.options


@functools.cache
def encoder_opens(codec: str) -> bool:
    """Whether this machine has the hardware for an encoder. Opening it is the only way to find out."""
    try:
        context = cast(av.VideoCodecContext, av.VideoCodecContext.create(codec, "w"))
        context.width, context.height, context.pix_fmt = 640, 480, "yuv420p"
        context.time_base = Fraction(1, 30)
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True
