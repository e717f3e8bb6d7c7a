"""Audio tracks of output files: packets are copied where the container supports the codec, else re-encoded."""

from collections.abc import Iterable
from typing import Any, cast

import av
from av.container import OutputContainer

from stream.picture.frames import Sound
from stream.sinks.encodings import Encoding

_BIT_RATE_PER_CHANNEL_BPS = 96_000


class CopiedTrack:
    """Copies the input's packets unchanged."""

    def __init__(self, container: OutputContainer, source: av.AudioStream) -> None:
        self._container = container
        self._stream = container.add_stream_from_template(source)
        _describe(self._stream, source)

    def write(self, packet: Sound) -> None:
        packet.stream = self._stream
        self._container.mux(packet)

    def close(self) -> None:
        """Nothing to flush."""


class EncodedTrack:
    """Re-encodes at the source's sample rate (Opus: 48 kHz) and layout, keeping the times."""

    def __init__(self, container: OutputContainer, source: av.AudioStream, codec: str) -> None:
        self._container, self._decoder = container, source.codec_context
        rate = 48_000 if codec == "libopus" else self._decoder.sample_rate
        self._stream = cast(av.AudioStream, container.add_stream(codec, rate=rate))
        layout = _standard_layout(self._decoder.layout, codec)
        _describe(self._stream, source)
        self._stream.codec_context.layout = layout
        if codec != "flac":
            self._stream.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL_BPS * layout.nb_channels
        formats = self._stream.codec_context.codec.audio_formats or [self._decoder.format]
        self._resampler = av.AudioResampler(formats[0], layout, rate)

    def write(self, packet: Sound) -> None:
        try:
            frames = self._decoder.decode(packet)
        except av.error.InvalidDataError:
            return  # a damaged packet becomes a short gap instead of a failure
        self._encode(frames)

    def close(self) -> None:
        self._encode(self._decoder.decode(None))
        self._encode([None])
        self._container.mux(self._stream.encode(None))

    def _encode(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            for resampled in self._resampler.resample(frame):
                self._container.mux(self._stream.encode(resampled))


def _standard_layout(layout: av.AudioLayout, codec: str) -> av.AudioLayout:
    """A layout that the encoder supports. Raw audio may have only a number of channels, without a layout, and Opus
    supports one layout per number of channels."""
    if "channels" not in layout.name and codec != "libopus":
        return layout
    known = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
    return av.AudioLayout(known.get(layout.nb_channels, "stereo"))


def _describe(stream: av.AudioStream, source: av.AudioStream) -> None:
    """Copy language, title and disposition."""
    for name in ("language", "title"):
        if value := source.metadata.get(name):
            stream.metadata[name] = value
    stream.disposition = source.disposition


def add_sound(
    container: OutputContainer, chosen: Encoding, source: av.AudioStream
) -> CopiedTrack | EncodedTrack | None:
    """A track for one of the input's audio streams; None if the format has no audio."""
    if not chosen.sound_codec:
        return None
    if chosen.sound is None or source.codec_context.codec.canonical_name in chosen.sound:
        try:
            return CopiedTrack(container, source)
        except (av.error.FFmpegError, ValueError):
            pass  # this container cannot store the codec after all
    return EncodedTrack(container, source, chosen.sound_codec)
