"""Tracks described by the beginning of a NUT file: the way in which all parameters of a codec get from an encoder, or
from a source's stream, to muxers in other threads and processes."""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO

import av
from av.container import InputContainer, OutputContainer


class HeaderFile:
    """A NUT file in memory. Add streams to `container`, then read `header` once."""

    def __init__(self) -> None:
        self._file = BytesIO()
        self.container: OutputContainer = av.open(self._file, "w", format="nut", options={"flush_packets": "1"})

    def header(self) -> bytes:
        """The header of the streams, which also opens their encoders. Raises av.error.FFmpegError, ValueError."""
        self.container.start_encoding()
        for stream in self.container.streams:  # the demuxer reads no header that is not followed by packets
            first = av.Packet(bytes(8))
            first.stream, first.time_base, first.is_keyframe = stream, Fraction(1, 1000), True
            first.pts = first.dts = 0
            self.container.mux(first)
        return self._file.getvalue()


def templates(header: bytes) -> InputContainer:
    """A container whose streams are templates for `OutputContainer.add_stream_from_template` while it is open. It has
    no usable packets."""
    return av.open(BytesIO(header), "r", format="nut", options={"probesize": "32", "analyzeduration": "0"})


def combined(headers: Sequence[bytes]) -> bytes:
    """The header of all streams of these headers, in this order."""
    opened = [templates(header) for header in headers]
    file = HeaderFile()
    for container in opened:
        for stream in container.streams:
            file.container.add_stream_from_template(stream, opaque=True)
    result = file.header()
    for container in opened:
        container.close()
    return result
