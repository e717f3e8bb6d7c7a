"""Opening of untrusted media files, and selection of their video stream.

Only media containers in a local file are read: scripts and playlists, which make FFmpeg open other files or URLs, are
refused before they are parsed. Limits are checked against the headers, before anything is decoded.
"""

from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition

from stream.errors import NoVideoStream, TooLarge, UnreadableMedia
from stream.picture.ingest import check_size
from stream.picture.timing import clock
from stream.settings import Settings
from stream.sources.extent import extent
from stream.sources.file_kinds import explained

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gif,nut,yuv4mpegpipe,ivf"


def open_container(path: Path, settings: Settings) -> InputContainer:
    """Open the file. Raises UnreadableMedia or NoVideoStream with a readable reason."""
    check_file(path)
    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "file",
        "max_pixels": _rough_limit(settings),  # opening decodes a few frames to probe the streams
        "correct_ts_overflow": "0",  # a clock that restarts is a new recording to `Timeline`, not a 26-hour wrap
    }
    try:
        return av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace")
    except PermissionError:
        raise UnreadableMedia(f"{path} cannot be read: permission denied") from None
    except (av.error.FFmpegError, ValueError) as exc:
        if kind := explained(path):
            raise kind from None
        raise UnreadableMedia(f"{path} is not a video that can be read ({_reason(exc)})") from None


def check_file(path: Path) -> None:
    """Raise UnreadableMedia if there is no file with content at this path."""
    if not path.exists():
        link = " is a link to a file that" if path.is_symlink() else ""
        raise UnreadableMedia(f"{path}{link} does not exist")
    if path.is_dir():
        raise UnreadableMedia(f"{path} is a folder, not a video")
    if not path.is_file():
        raise UnreadableMedia(f"{path} is not a regular file")
    if path.stat().st_size == 0:
        raise UnreadableMedia(f"{path} is empty")


def video_stream(container: InputContainer, settings: Settings) -> av.VideoStream:
    """The video stream, with size and length within the limits. Raises NoVideoStream, UnreadableMedia, TooLarge."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise NoVideoStream(f"{_name(container)} {_contents(container)}")
    stream = max(streams, key=lambda s: bool(s.disposition & Disposition.default))
    if stream.codec_context is None:
        raise UnreadableMedia(f"{_name(container)} holds video of an unknown codec")
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height:
        raise TooLarge(
            f"{_name(container)}: the picture is over the limit of {settings.max_pixels:,} pixels, or has no size"
        )
    check_size(width, height, settings.max_pixels)
    if stream.frames > settings.max_frames:
        raise TooLarge(f"the video has {stream.frames:,} frames; the limit is {settings.max_frames:,}")
    length_s = extent(container, stream).end_s
    if length_s is not None and length_s > settings.max_duration_s:
        raise TooLarge(f"the video lasts {clock(length_s)}; the limit is {clock(settings.max_duration_s)}")
    return stream


def decoder(stream: av.VideoStream, settings: Settings) -> av.VideoCodecContext:
    """A decoder for the stream that keeps alpha.

    FFmpeg's own VP8 and VP9 decoders drop the alpha that WebM stores beside the video; libvpx's keep it.
    """
    context = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and context.name in ("vp8", "vp9"):
        with_alpha = av.VideoCodecContext.create("libvpx" if context.name == "vp8" else "libvpx-vp9", "r")
        with_alpha.extradata = context.extradata
        context = with_alpha
    context.options = {"max_pixels": _rough_limit(settings)}  # streams may change size
    context.thread_count = settings.codec_threads()
    context.thread_type = "AUTO"
    return context


def _rough_limit(settings: Settings) -> str:
    """Limit for FFmpeg, which counts padding; `check_size` is exact."""
    return str(2 * settings.max_pixels + 65_536)


def _contents(container: InputContainer) -> str:
    """What a file without video has."""
    kinds = {"cover art" if s.type == "video" else s.type for s in container.streams}
    if "audio" in kinds and kinds <= {"audio", "cover art"}:
        return f"has only sound{' and cover art' if 'cover art' in kinds else ''}, no video"
    return f"has no video, only {' and '.join(sorted(kinds)) or 'unknown data'}"


def _name(container: InputContainer) -> str:
    return container.name.removeprefix("file:")


def _reason(exc: Exception) -> str:
    text = getattr(exc, "strerror", None) or str(exc)
    return text[:1].lower() + text[1:]
