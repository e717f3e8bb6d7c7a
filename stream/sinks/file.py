"""A video file as a sink: encodes pictures, copies or encodes sound, and appears under its name when complete."""

import contextlib
import errno
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from stream.encode import Format, add_video
from stream.errors import DiskError, MatteboxError, disk_error
from stream.frames import Frame, Sound, VideoInfo, to_av
from stream.settings import Settings
from stream.sinks.gif import Palette
from stream.sinks.partial import Partial
from stream.sinks.sound import CopiedTrack, EncodedTrack, add_sound

_GIF_TICK = Fraction(1, 100)


class FileSink:
    """Writes `path` in the format `chosen`. warnings: (code, sentence) pairs of what the format could not keep."""

    def __init__(self, path: Path, chosen: Format, settings: Settings) -> None:
        self.warnings: list[tuple[str, str]] = []
        self._format, self._settings = chosen, settings
        self._partial = Partial(path)
        self._container: av.container.OutputContainer | None = None

    def open(self, info: VideoInfo) -> None:
        with _named_errors(self._partial.final):
            self._container = av.open(
                f"file:{self._partial.path.absolute()}",
                "w",
                format=self._format.container,
                options=self._format.muxer_options,
            )
            self._video = add_video(self._container, self._format, info, self._settings)
            self._tracks: dict[int, CopiedTrack | EncodedTrack] = {}
            for source in info.sound:
                if track := add_sound(self._container, self._format, source):
                    self._tracks[source.index] = track
            self._container.start_encoding()
        if len(self._tracks) < len(info.sound):
            self.warnings.append(("no_sound", f"{self._format.name} holds no sound; the video's own was left out"))
        self._prepare = self._preparation(info)
        self._last = -1

    def _preparation(self, info: VideoInfo) -> Callable[[Frame], av.VideoFrame]:
        if self._format.codec == "gif":
            return Palette(info.width, info.height, info.has_alpha)
        pix_fmt = self._format.pixels(info)
        return lambda frame: to_av(frame, pix_fmt)

    def write(self, item: Frame | Sound) -> None:
        assert self._container is not None
        with _named_errors(self._partial.final):
            if not isinstance(item, Frame):
                if track := self._tracks.get(item.stream.index):
                    track.write(item)
                return
            self._container.mux(self._video.encode(self._timed(self._prepare(item))))

    def _timed(self, picture: av.VideoFrame) -> av.VideoFrame:
        """On the stream's clock, each picture later than the one before even where that clock is coarse (GIF)."""
        clock = _GIF_TICK if self._format.codec == "gif" else self._video.codec_context.time_base
        assert picture.pts is not None
        assert clock is not None
        ticks = round(picture.pts * (picture.time_base or clock) / clock)
        self._last = max(ticks, self._last + 1)
        picture.pts, picture.time_base = self._last, clock
        return picture

    def close(self) -> None:
        assert self._container is not None
        try:
            with _named_errors(self._partial.final):
                self._container.mux(self._video.encode(None))
                for track in self._tracks.values():
                    track.close()
                self._container.close()
        except BaseException:
            self.abort()
            raise
        self._partial.publish()

    def abort(self) -> None:
        if self._container is not None:
            with contextlib.suppress(av.error.FFmpegError, ValueError):  # full disk, nothing written: it goes anyway
                self._container.close()
        self._partial.discard()


class _named_errors:  # noqa: N801 - reads as a statement
    """Turns what FFmpeg raises while writing into errors that name the file and the reason."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if not isinstance(exc, OSError | av.error.FFmpegError) or isinstance(exc, DiskError):
            return
        if isinstance(exc, OSError) and exc.errno in _DISK_TROUBLE:
            raise disk_error(exc, self._path) from exc
        raise MatteboxError(f"cannot write {self._path}: {getattr(exc, 'strerror', None) or exc}") from exc


_DISK_TROUBLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR,
    errno.EISDIR, errno.ENAMETOOLONG, errno.EIO,
}  # fmt: skip
