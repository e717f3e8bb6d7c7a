"""Raw streams: frames of one codec without a container, as cameras and encoders write them (`.h264`, `.m2v`, `.mjpeg`).

They have no times, no length and no index. Decoders return frames in the order of presentation; frame `n` is shown at
`n / rate` seconds. A part is found by decoding from the start.
"""

from fractions import Fraction

import av
from av.container import InputContainer

from stream.picture.timing import plausible_rate
from stream.sources.demuxers import RAW

_DEFAULT = Fraction(25)  # FFmpeg's, where the stream has no rate
_COARSE = ("m4v",)  # the decoder's rate is that of clock ticks, not of frames


def is_raw(container: InputContainer) -> bool:
    """Whether the file is a raw stream."""
    return container.format.name in RAW


def raw_rate(container: InputContainer, stream: av.VideoStream) -> Fraction:
    """Frames per second by the stream's headers; 25 if they have no rate."""
    guesses = [stream.codec_context.framerate, stream.guessed_rate]  # FFmpeg's guess is wrong for 12 or 120 in H.264
    if container.format.name in _COARSE:
        guesses.reverse()
    return plausible_rate(*guesses, _DEFAULT)


def has_rate(container: InputContainer, stream: av.VideoStream) -> bool:
    """Whether the stream's headers have a frame rate."""
    return bool(stream.codec_context.framerate) or stream.guessed_rate not in (None, _DEFAULT)
