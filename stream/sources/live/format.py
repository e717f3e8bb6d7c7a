"""The format of a live source's sound: its codec, rate and channels, the same for all its connections.

Four codecs are passed on as they are; sound in any other codec, or in a variant that cannot be continued with silence,
is converted to `DEFAULT`.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
from av.container import InputContainer

from stream.picture.frames import Sound

_ENCODERS = {
    "aac": "aac",
    "opus": "libopus",
    "mp3": "libmp3lame",
    "pcm_mulaw": "pcm_mulaw",
    "pcm_alaw": "pcm_alaw",
}
"""FFmpeg's encoder of each codec that is passed on."""

_AAC_SAMPLES = 1024
_AAC_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_LOW_COMPLEXITY = 2  # MPEG-4 audio object type
_SBR_MARK = b"\x56\xe5"  # before the flag of spectral band replication
_LAYOUTS = ("mono", "stereo")
_BIT_RATE_PER_CHANNEL_BPS = 64_000
_ADTS_SYNC = 0xFFF
_TEMPLATE_S = 1  # of silence in a template


@dataclass(frozen=True)
class LiveFormat:
    """codec: FFmpeg's canonical name. rate: samples per second. layout: "mono" or "stereo"."""

    codec: str
    rate: int
    layout: str

    @classmethod
    def of(cls, packet: Sound) -> "LiveFormat | None":
        """The format of a packet of a connection; None if it must be converted."""
        context = packet.stream.codec_context
        codec, channels = context.codec.canonical_name, context.layout.nb_channels
        if codec not in _ENCODERS or not 1 <= channels <= len(_LAYOUTS) or context.sample_rate <= 0:
            return None
        if codec == "aac" and not _is_plain_aac(packet, context):
            return None
        return cls(codec, context.sample_rate, _LAYOUTS[channels - 1])

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, self.rate)

    @property
    def channels(self) -> int:
        return _LAYOUTS.index(self.layout) + 1

    @property
    def default_samples(self) -> int:
        """Samples per channel in a packet of our own."""
        fixed = {"aac": _AAC_SAMPLES, "mp3": _mp3_samples(self.rate)}
        return fixed.get(self.codec, self.rate // 50)

    def samples(self, packet: bytes) -> int:
        """Samples per channel in a packet, which has no header of its container; 0 if it is damaged."""
        if self.codec == "opus":
            return _opus_samples(packet) * self.rate // 48_000
        return len(packet) // self.channels if self.codec.startswith("pcm") else self.default_samples

    def encoder(self) -> av.AudioCodecContext:
        """A new encoder, without a bit reservoir, so that packets of different encoders can follow each other."""
        options = {"reservoir": "0"} if self.codec == "mp3" else {}
        context = cast(Any, av.CodecContext.create(_ENCODERS[self.codec], "w"))
        context.format, context.layout, context.sample_rate = context.codec.audio_formats[0], self.layout, self.rate
        context.time_base, context.options = self.time_base, options
        if not self.codec.startswith("pcm"):
            context.bit_rate = _BIT_RATE_PER_CHANNEL_BPS * self.channels
        return cast(av.AudioCodecContext, context)

    def resampler(self) -> av.AudioResampler:
        """Converts to what the encoder takes."""
        kind = cast(Any, av.Codec(_ENCODERS[self.codec], "w")).audio_formats[0].name
        return av.AudioResampler(kind, self.layout, self.rate, frame_size=self.default_samples)


DEFAULT = LiveFormat("aac", 48_000, "stereo")
"""Of sound that cannot be passed on, and of a source that was not reached in time."""


class Template:
    """An audio stream in a format that belongs to no connection, and a packet of silence.

    stream: as `VideoInfo.sound` has it; its container is closed when nothing refers to it or to its packets any more.
    silence: a packet of `LiveFormat.default_samples`.
    """

    def __init__(self, chosen: LiveFormat) -> None:
        file = io.BytesIO()
        with av.open(file, "w", format="nut") as written:
            written.mux(_encoded_silence(written, chosen))
        file.seek(0)
        container = cast(InputContainer, av.open(file, format="nut"))
        self.stream = container.streams.audio[0]
        self.silence = [bytes(packet) for packet in container.demux(self.stream) if packet.size][-2]


def _encoded_silence(container: Any, chosen: LiveFormat) -> list[Any]:
    """Add a stream to the container; returns packets of it."""
    stream = container.add_stream(_ENCODERS[chosen.codec], rate=chosen.rate)
    context, samples = stream.codec_context, chosen.default_samples
    context.layout = chosen.layout
    context.options = {"reservoir": "0"} if chosen.codec == "mp3" else {}
    if not chosen.codec.startswith("pcm"):
        context.bit_rate = _BIT_RATE_PER_CHANNEL_BPS * chosen.channels
    resampler, packets = chosen.resampler(), []
    for n in range(_TEMPLATE_S * chosen.rate // samples + 1):
        frame = av.AudioFrame(format="s16", layout=chosen.layout, samples=samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = chosen.rate, n * samples, chosen.time_base
        for converted in resampler.resample(frame):
            packets += stream.encode(converted)
    return [*packets, *stream.encode(None)]


def payload(packet: Sound) -> bytes:
    """The bytes of a packet, without an ADTS header, which AAC has in MPEG-TS."""
    data = bytes(packet)
    return data[_adts_length(data) :] if packet.stream.codec_context.codec.canonical_name == "aac" else data


def _adts_length(data: bytes) -> int:
    """Bytes of the ADTS header; 0 if there is none."""
    if len(data) < 7 or int.from_bytes(data[:2]) >> 4 != _ADTS_SYNC:
        return 0
    return 7 if data[1] & 1 else 9


def _is_plain_aac(packet: Sound, context: av.AudioCodecContext) -> bool:
    """Whether this is AAC-LC with 1024 samples a packet, and not its low-rate part of a stream with SBR."""
    data, header = bytes(packet), bytes(context.extradata or b"")
    if _adts_length(data):
        kind, index = (data[2] >> 6) + 1, data[2] >> 2 & 15
        short, channels = False, (data[2] & 1) << 2 | data[3] >> 6
    elif len(header) >= 2:
        kind, index = header[0] >> 3, (header[0] & 7) << 1 | header[1] >> 7
        channels, short = header[1] >> 3 & 15, bool(header[1] & 4)
        if header[2:4] == _SBR_MARK and len(header) > 4 and header[4] & 0x80:
            return False
    else:
        return False
    known = index < len(_AAC_RATES_HZ) and _AAC_RATES_HZ[index] == context.sample_rate
    return kind == _LOW_COMPLEXITY and known and not short and channels == context.layout.nb_channels


def _mp3_samples(rate: int) -> int:
    return 1152 if rate >= 32_000 else 576


def _opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz in an Opus packet (RFC 6716, section 3.1); 0 if it is damaged."""
    if not packet:
        return 0
    mode, code = packet[0] >> 3, packet[0] & 3
    if mode < 12:
        length = (480, 960, 1920, 2880)[mode & 3]
    elif mode < 16:
        length = (480, 960)[mode & 1]
    else:
        length = (120, 240, 480, 960)[mode & 3]
    frames = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return length * frames
