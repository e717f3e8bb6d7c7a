"""Subtitle tracks of output files: copied where the container supports the codec; other text is converted."""

from fractions import Fraction
from typing import Any, cast

import av
from av.container import OutputContainer
from av.subtitles.codeccontext import SubtitleCodecContext

from stream.picture.extras import SidePacket, SideTrack
from stream.sinks.encodings import Encoding

_CLOCK = Fraction(1, 1000)
_SHOWN_S = Fraction(5)  # for a cue of unknown length
_CONVERTED = frozenset({"mov_text", "subrip", "ass", "ssa", "webvtt", "text"})


class CopiedPackets:
    """Copies packets of subtitles or data to a stream of an output, at their new times."""

    def __init__(self, container: OutputContainer, template: Any) -> None:
        self._container, self.stream = container, container.add_stream_from_template(template)

    def write(self, side: SidePacket) -> None:
        packet, clock = side.packet, side.packet.time_base
        packet.pts = packet.dts = round(side.start_s / clock)
        packet.duration = round(side.length_s / clock)
        packet.stream = self.stream
        self._container.mux(packet)


class ConvertedSubtitles:
    """Converts text with its bold, italic and underlined parts; positions and styles are lost.

    Raises FFmpeg's errors and ValueError if the source's header is damaged.
    """

    def __init__(self, container: OutputContainer, template: Any, codec: str) -> None:
        self._container = container
        decoder = cast(SubtitleCodecContext, template.codec_context)
        decoder.open(strict=False)
        self.stream = cast(Any, container.add_stream(codec))
        self.stream.time_base = _CLOCK
        self._encoder = cast(SubtitleCodecContext, self.stream.codec_context)
        self._encoder.subtitle_header = decoder.subtitle_header
        self._decoder = decoder

    def write(self, side: SidePacket) -> None:
        try:
            cue = self._decoder.decode2(side.packet)
            packet = self._encoder.encode_subtitle(cue) if cue is not None and len(cue) else None
        except (av.error.FFmpegError, ValueError):
            return  # a damaged cue is left out
        if packet is None or not packet.size:
            return
        packet.time_base = _CLOCK
        packet.pts = packet.dts = round(side.start_s / _CLOCK)
        packet.duration = round((side.length_s or _SHOWN_S) / _CLOCK)
        packet.stream = self.stream
        self._container.mux(packet)


def add_subtitles(
    container: OutputContainer, chosen: Encoding, track: SideTrack, template: Any
) -> CopiedPackets | ConvertedSubtitles | None:
    """A track for subtitles of the source; None if the format cannot hold them."""
    try:
        if track.codec in chosen.subtitles:
            return CopiedPackets(container, template)
        if chosen.subtitle_codec and track.codec in _CONVERTED:
            return ConvertedSubtitles(container, template, chosen.subtitle_codec)
    except (av.error.FFmpegError, ValueError):
        pass  # a damaged header
    return None
