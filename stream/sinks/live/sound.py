"""The sound of live outputs: copied where an output takes the codec, else encoded once for all that need it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

import av

from stream.errors import EncodeError
from stream.log import OncePerSecond
from stream.picture.frames import Sound
from stream.sinks.live.header import HeaderFile
from stream.sinks.live.packets import Packet, SoundTrack

RATE = 48_000
_LAYOUT = "stereo"
_BIT_RATE_BPS = 128_000
_LARGEST_STEP_S = 0.03  # a larger difference between the packets' times and the samples' number is a gap
_NEEDS_EXTRADATA = ("aac", "opus")
_MP3_RATES = (44_100, 48_000)  # FLV and MP4 refuse some of the others, not the same ones
_log = OncePerSecond(logging.getLogger(__name__))


class SoundEncode(ABC):
    """Makes packets for outputs of the source's packets. track, header: of the packets, see `header.py`."""

    track: SoundTrack
    header: bytes

    @abstractmethod
    def encode(self, packet: Sound) -> list[Packet]:
        """The packets that are complete with this one of the source."""


class CopiedSound(SoundEncode):
    """Packets as they are, at strictly increasing times."""

    def __init__(self, source: av.AudioStream) -> None:
        self.header = sound_header(source)
        context = source.codec_context
        tick = Fraction(1, context.sample_rate)
        extradata = bytes(context.extradata or b"")
        self.track = SoundTrack(codec_name(source), context.sample_rate, context.layout.nb_channels, tick, extradata)
        self._last: int | None = None

    def encode(self, packet: Sound) -> list[Packet]:
        if packet.pts is None or packet.time_base is None:
            return []
        scale = packet.time_base / self.track.time_base
        pts = round(packet.pts * scale)
        if self._last is not None and pts <= self._last:
            return []
        self._last = pts
        duration = round((packet.duration or 0) * scale)
        return [Packet("sound", bytes(packet), pts, pts, duration, self.track.time_base)]


class EncodedSound(SoundEncode):
    """Sound encoded by `encoder` ("aac" or "libopus"), in stereo at 48 kHz. A packet that cannot be decoded is left
    out. Raises EncodeError."""

    def __init__(self, source: av.AudioStream, encoder: str) -> None:
        self._decoder = _decoder(source)
        self._file = HeaderFile()  # the encoder belongs to it
        stream = cast(av.AudioStream, self._file.container.add_stream(encoder, rate=RATE))
        context = self._context = stream.codec_context
        context.layout, context.bit_rate = av.AudioLayout(_LAYOUT), _BIT_RATE_BPS
        try:
            self.header = self._file.header()
        except (av.error.FFmpegError, ValueError) as exc:
            raise EncodeError(f"{encoder} does not open: {exc}") from exc
        codec = "opus" if encoder == "libopus" else encoder
        self.track = SoundTrack(codec, RATE, 2, Fraction(1, RATE), bytes(context.extradata or b""))
        self._input: tuple[object, ...] | None = None
        self._next: int | None = None
        self._waiting = Fraction(0)  # samples at 48 kHz that the resampler holds back until they fill a frame
        self._last = -(2**62)

    def encode(self, packet: Sound) -> list[Packet]:
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            _log.warning("a damaged packet of sound was left out")
            return []
        return [encoded for frame in frames for encoded in self._encoded(frame)]

    def _encoded(self, frame: Any) -> Iterator[Packet]:
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != self._input:
            self._input, self._waiting = found, Fraction(0)
            size = self._context.frame_size or RATE // 50
            self._resampler = av.AudioResampler(self._context.format, _LAYOUT, RATE, frame_size=size)
        time = None if frame.pts is None else round(frame.pts * frame.time_base * RATE)
        frame.pts = None  # the samples are counted instead, so that rounded times leave no gaps
        begins = None if time is None else time - round(self._waiting)
        self._waiting += Fraction(frame.samples * RATE, frame.sample_rate)
        for converted in self._resampler.resample(frame):
            self._waiting -= converted.samples
            yield from self._placed(converted, begins)
            begins = None  # the others follow directly

    def _placed(self, frame: Any, time: int | None) -> Iterator[Packet]:
        """Encode samples directly after those before, or at `time` (48 kHz ticks) after a gap."""
        if self._next is None or (time is not None and time - self._next > _LARGEST_STEP_S * RATE):
            self._next = time or 0
        frame.pts, frame.time_base, frame.sample_rate = self._next, Fraction(1, RATE), RATE
        self._next += frame.samples
        for packet in self._context.encode(frame):
            pts = max(packet.pts or 0, self._last + 1)
            self._last = pts
            yield Packet("sound", bytes(packet), pts, pts, packet.duration or frame.samples, Fraction(1, RATE))


def sound_header(source: av.AudioStream) -> bytes:
    """The header of the source's own packets, see `header.py`."""
    file = HeaderFile()
    file.container.add_stream_from_template(source)
    return file.header()


def codec_name(source: av.AudioStream) -> str:
    """FFmpeg's name of the codec, such as "aac" or "pcm_mulaw"."""
    return source.codec_context.codec.canonical_name


def is_copied(source: av.AudioStream, accepted: frozenset[str]) -> bool:
    """Whether packets can be sent as they are. AAC with headers in the packets (ADTS) is encoded again: most formats
    need the header apart."""
    codec = codec_name(source)
    if codec == "mp3" and source.codec_context.sample_rate not in _MP3_RATES:
        return False
    return codec in accepted and (codec not in _NEEDS_EXTRADATA or bool(source.codec_context.extradata))


def _decoder(source: av.AudioStream) -> Any:
    """A decoder of its own, because that of the stream may be used by others."""
    context, own = source.codec_context, av.CodecContext.create(source.codec_context.codec.name, "r")
    if context.extradata:
        own.extradata = context.extradata
    own.sample_rate, own.layout = context.sample_rate, context.layout  # type: ignore[attr-defined]
    return own
