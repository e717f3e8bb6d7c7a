"""Generated files with several video and audio streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.stream import Disposition

from tests.media import numbered

_FORMATS = {".m4a": "mp4", ".m4v": "mp4"}  # FFmpeg's own for these names takes no cover
_STILLS = {"png": "rgb24", "mjpeg": "yuvj420p"}  # pixel formats
_RATE = 25
_PLAIN = Disposition(0)


@dataclass(frozen=True)
class Video:
    """One video stream. first: the number drawn into its first frame. codec: one of `_STILLS` for a single picture.
    keyframes: number of frames from one keyframe to the next."""

    size: tuple[int, int]
    disposition: Disposition = _PLAIN
    first: int = 0
    codec: str = "mpeg2video"
    keyframes: int = 12


def write_streams(path: Path, videos: Sequence[Video], sounds: int = 0, codec: str = "mp2", frames: int = 12) -> Path:
    """A file of these video streams with 25 frames per second, and silent audio streams of `codec`."""
    with av.open(str(path), "w", format=_FORMATS.get(path.suffix)) as out:
        streams = [_video(out, video) for video in videos]
        tracks = [cast(av.AudioStream, out.add_stream(codec, rate=48_000)) for _ in range(sounds)]
        for n in range(frames):
            for stream, video in zip(streams, videos, strict=True):
                if n == 0 or video.codec not in _STILLS:
                    picture = av.VideoFrame.from_ndarray(numbered(video.first + n, *video.size), format="rgb24")
                    picture.pts = n
                    out.mux(stream.encode(picture))
            for track in tracks:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="mono")
                samples.sample_rate, samples.pts = 48_000, n * 1920
                out.mux(track.encode(samples))
        for stream in streams:
            out.mux(stream.encode(None))
        for track in tracks:
            out.mux(track.encode(None))
    return path


def _video(out: av.container.OutputContainer, video: Video) -> av.VideoStream:
    stream = cast(av.VideoStream, out.add_stream(video.codec, rate=_RATE))
    stream.width, stream.height = video.size
    stream.pix_fmt = _STILLS.get(video.codec, "yuv420p")
    stream.disposition = video.disposition
    stream.codec_context.gop_size = video.keyframes
    return stream
