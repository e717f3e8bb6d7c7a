"""Which of a file's video streams is read, and which audio streams belong to it. Nothing else chooses streams.

Streams are numbered from 0 in the file's order. Cover art, thumbnails and still images have no number.
"""

from fractions import Fraction
from functools import partial

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from stream.errors import NoVideoStream
from stream.sources.extent import tagged_s

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_SPECIAL = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.dependent

_BRIEF = Fraction(1, 10)  # of the file's length


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """The streams of moving pictures, by number."""
    return [stream for stream in container.streams.video if not stream.disposition & _STILL]


def choose(container: InputContainer, number: int | None = None) -> av.VideoStream:
    """The video stream with this number, or the best one.

    Criteria, the first one first: a known codec; more than one frame; not a version for impaired people nor a
    supplement to another stream; marked as the default; the most pixels; the first in the file. Raises NoVideoStream.
    """
    streams = video_streams(container)
    if not streams:
        raise NoVideoStream(f"{_name(container)} {_contents(container)}")
    if number is None:
        return max(streams, key=partial(_rank, container))
    if number >= len(streams):
        raise NoVideoStream.numbered(_name(container), number, len(streams))
    return streams[number]


def choice(container: InputContainer, stream: av.VideoStream) -> str:
    """A sentence that says which of several video streams is read; "" if there is only one."""
    streams = video_streams(container)
    if len(streams) < 2:
        return ""
    sizes = [f"{number} ({_size(each)})" for number, each in enumerate(streams)]
    taken = sizes.pop(streams.index(stream))
    return (
        f"the file has {len(streams)} video streams: stream {taken} is used, not {', '.join(sizes)}; "
        "select another with --stream, or with the field stream of a request"
    )


def sounds(container: InputContainer, stream: av.VideoStream) -> tuple[av.AudioStream, ...]:
    """The audio streams of known codecs that belong to a video stream: in a broadcast of several programmes those of
    its own, else all."""
    known = [each for each in container.streams.audio if each.codec_context is not None]
    own = _programme(container, stream)
    # FFmpeg assigns a stream that programmes share to the first of them only, so the best one is always taken.
    return tuple(each for each in known if each is own[1] or _programme(container, each) == own)


def _programme(container: InputContainer, stream: Stream) -> tuple[Stream | None, Stream | None]:
    """The best video and audio streams of a stream's programme, which identify the programme. In a file without
    programmes, those of the file."""
    return container.streams.best("video", related=stream), container.streams.best("audio", related=stream)


def _rank(container: InputContainer, stream: av.VideoStream) -> tuple[bool, bool, bool, bool, int]:
    known = stream.codec_context is not None
    disposition = stream.disposition
    pixels = stream.codec_context.width * stream.codec_context.height if known else 0
    return (
        known,
        not _is_brief(container, stream),
        not disposition & _SPECIAL,
        bool(disposition & Disposition.default),
        pixels,
    )


def _is_brief(container: InputContainer, stream: av.VideoStream) -> bool:
    """Whether this is one picture, such as a cover that is not marked as one: by the number of frames, or by the length
    that Matroska has as a tag."""
    if stream.frames:
        return stream.frames == 1
    length_s = tagged_s(stream)
    return length_s is not None and length_s < Fraction(container.duration or 0, av.time_base) * _BRIEF


def _size(stream: av.VideoStream) -> str:
    context = stream.codec_context
    return "unknown codec" if context is None else f"{context.width}x{context.height}"


def _contents(container: InputContainer) -> str:
    """What a file without video has."""
    kinds = {"cover art" if s.type == "video" else s.type for s in container.streams}
    if "audio" in kinds and kinds <= {"audio", "cover art"}:
        return f"has only sound{' and cover art' if 'cover art' in kinds else ''}, no video"
    return f"has no video, only {' and '.join(sorted(kinds)) or 'unknown data'}"


def _name(container: InputContainer) -> str:
    return container.name.removeprefix("file:")
