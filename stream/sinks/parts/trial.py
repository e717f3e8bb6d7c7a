"""A muxer whose output is discarded, to find out whether the output's muxer will accept a packet.

Muxers parse the packets of some codecs. If one refuses a packet, the error may appear only when another stream's packet
is written, and the output cannot be continued.
"""

from contextlib import suppress
from typing import cast

import av

from stream.picture.frames import Sound
from stream.sinks.encodings import Encoding
from stream.sinks.parts.discarded import Discarded


class Trial:
    """Muxes one audio stream like an output in the format `chosen`. accepted: whether the header could be written."""

    def __init__(self, chosen: Encoding, source: av.AudioStream) -> None:
        options = {name: value for name, value in chosen.muxer_options.items() if "faststart" not in value}
        self._container = av.open(Discarded(), "w", format=chosen.container, options=options)
        try:
            self._stream = self._container.add_stream_from_template(source)
            self._container.start_encoding()
        except (av.error.FFmpegError, ValueError):
            self.accepted = False
            self.close()
        else:
            self.accepted = True

    def accepts(self, packet: Sound) -> bool:
        """Whether the muxer accepts a packet with its time. The packet is not changed."""
        copy = plain_copy(packet)
        copy.stream = self._stream
        try:
            self._container.mux(copy)
        except (av.error.FFmpegError, ValueError):
            return False
        return True

    def close(self) -> None:
        with suppress(av.error.FFmpegError, ValueError):  # the trailer of an incomplete file
            self._container.close()


def plain_copy(packet: Sound) -> Sound:
    """A copy without side data."""
    copy = cast(Sound, av.Packet(bytes(packet)))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy
