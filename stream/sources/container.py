"""Opening of untrusted media files, and the limits on their video stream.

Only containers and raw streams in a local file are read: scripts and playlists, which make FFmpeg open other files or
URLs, are refused before they are parsed. Limits are checked against the headers, before anything is decoded.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer

from stream.errors import TooLarge, UnreadableMedia
from stream.picture.ingest import check_size
from stream.picture.timing import clock
from stream.settings import Settings
from stream.sources import mp4_boxes
from stream.sources.demuxers import WHITELIST
from stream.sources.extent import extent, stored_frames
from stream.sources.file_kinds import explained, refuse
from stream.sources.signatures import is_motion_jpeg, kind_of
from stream.sources.ts_tables import read_tables
from stream.sources.video_streams import choose

_ASF_ENCRYPTION = (  # GUIDs of objects that only the headers of encrypted files have
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
# FFmpeg's programs always set the first of these. It may make the format of a track that of its end.
_ALL_TABLES = {"scan_all_pmts": "1", "probesize": str(50 * 2**20), "analyzeduration": str(600 * av.time_base)}
_MERGED = {"merge_pmt_versions": "1"}  # where a programme's streams get other PIDs, they are the same streams


def open_container(path: Path, settings: Settings) -> InputContainer:
    """Open the file. Raises UnreadableMedia or NoVideoStream with a readable reason."""
    check_file(path)
    if kind_of(path) != "video":
        refuse(path)
    options = {
        "format_whitelist": WHITELIST,
        "protocol_whitelist": "file",
        "max_pixels": _rough_limit(settings),  # opening decodes a few frames to probe the streams
        "correct_ts_overflow": "0",  # a clock that restarts is a new recording to `Timeline`, not a 26-hour wrap
    }
    demuxer = "mjpeg" if is_motion_jpeg(path) else None  # FFmpeg would take it for a still picture
    try:
        container = _opened(path, demuxer, options)
        if container.format.name == "mpegts" and (more := _for_tables(path, container)):
            container.close()
            container = _opened(path, demuxer, options | more)
    except (av.error.FFmpegError, ValueError):
        raise explained(path) from None
    if not container.streams:
        container.close()
        raise explained(path)
    if _is_encrypted(path, container):
        container.close()
        raise UnreadableMedia(f"{path} is encrypted (DRM); only a copy without this protection can be read")
    return container


def _opened(path: Path, demuxer: str | None, options: dict[str, str]) -> InputContainer:
    return av.open(f"file:{path.absolute()}", format=demuxer, options=options, metadata_errors="replace")


def _for_tables(path: Path, container: InputContainer) -> dict[str, str]:
    """The options for opening this MPEG-TS again, if its tables change; else none."""
    known = [s.codec_context.sample_rate for s in container.streams.audio if s.codec_context is not None]
    # FFmpeg does not read far enough to know the format of sound that begins later.
    options = {} if all(known) else _ALL_TABLES
    return options | _MERGED if read_tables(path).moved else options


def reopened_sound(
    path: Path, sound: Sequence[av.AudioStream], settings: Settings, closing: ExitStack
) -> tuple[av.AudioStream, ...]:
    """The same audio streams of a file, with separate decoders: sinks must not share them. closing: closes the file.

    Raises as `open_container`, which is not called without sound."""
    if not sound:
        return ()
    container = open_container(path, settings)
    closing.callback(container.close)
    return tuple(cast(av.AudioStream, container.streams[track.index]) for track in sound)


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


def video_stream(container: InputContainer, settings: Settings, number: int | None = None) -> av.VideoStream:
    """The video stream with this number, or the best one, with size and length within the limits.

    Raises NoVideoStream, UnreadableMedia, TooLarge.
    """
    stream = choose(container, number)
    if stream.codec_context is None:
        raise UnreadableMedia(f"{_name(container)} holds video of a codec that cannot be decoded")
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height:
        raise TooLarge(
            f"{_name(container)}: the picture is over the limit of {settings.max_pixels:,} pixels, or has no size"
        )
    check_size(width, height, settings.max_pixels)
    frames = stored_frames(container, stream)
    if frames > settings.max_frames:
        raise TooLarge(f"the video has {frames:,} frames; the limit is {settings.max_frames:,}")
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
    return _limited(context, settings)


def decoder_of(codec: str, settings: Settings) -> av.VideoCodecContext:
    """A decoder for packets of another codec than that of their stream. codec: FFmpeg's name of the decoder."""
    return _limited(cast(av.VideoCodecContext, av.VideoCodecContext.create(codec, "r")), settings)


def _limited(context: av.VideoCodecContext, settings: Settings) -> av.VideoCodecContext:
    context.options = {"max_pixels": _rough_limit(settings)}  # streams may change size
    context.thread_count = settings.codec_threads()
    context.thread_type = "AUTO"
    return context


def _rough_limit(settings: Settings) -> str:
    """Limit for FFmpeg, which counts padding; `check_size` is exact."""
    return str(2 * settings.max_pixels + 65_536)


def _is_encrypted(path: Path, container: InputContainer) -> bool:
    """Whether the video is encrypted. FFmpeg would decode it to nothing, or to noise."""
    if container.format.name.startswith("mov"):
        return mp4_boxes.is_encrypted(path)
    if container.format.name == "asf":
        with path.open("rb") as file:
            header = file.read(65_536)
        return any(guid in header for guid in _ASF_ENCRYPTION)
    return any("enc_key_id" in stream.metadata for stream in container.streams.video)  # Matroska


def _name(container: InputContainer) -> str:
    return container.name.removeprefix("file:")
