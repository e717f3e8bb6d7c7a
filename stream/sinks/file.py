"""Sink for a video file: encodes frames, copies or encodes audio; the file appears under its name when complete."""

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Self

import av

from stream.address import Address
from stream.errors import EncodeError, OutputClosed, disk_error, is_disk_trouble
from stream.picture.frames import Frame, Sound, VideoInfo, to_av
from stream.pump import Warnings
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.encodings import Encoding, add_video, check_alpha, encoding_of
from stream.sinks.parts.deep import deep_frame
from stream.sinks.parts.extras import ExtrasWriter
from stream.sinks.parts.gif import Palette
from stream.sinks.parts.partial import Partial, PartialRecording
from stream.sinks.parts.sound import SoundTracks
from stream.sinks.parts.stdout import Stdout

_GIF_TICK = Fraction(1, 100)
_LONGEST = 2**28  # ticks; a frame that is shown for longer is repeated: MP4 and MOV store 31 bits for several frames
_GIF_STEP = 2  # ticks: players replace shorter delays by a tenth of a second


class FileSink:
    """Writes `path` in the format `chosen`. warnings: (code, sentence) pairs of what the format could not keep."""

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        chosen = encoding_of(address.path)
        if options.wants_alpha:
            check_alpha(chosen)
        return cls(address.path, chosen, settings)

    def __init__(self, path: Path | Partial | Stdout, chosen: Encoding, settings: Settings) -> None:
        self.warnings: Warnings = []
        self._format, self._settings = chosen, settings
        self._partial = Partial(path) if isinstance(path, Path) else path
        self._container: av.container.OutputContainer | None = None
        self._extras: ExtrasWriter | None = None

    def open(self, info: VideoInfo) -> None:
        with named_errors(self._partial.final):
            partial = self._partial
            self._container = av.open(
                partial.open() if isinstance(partial, PartialRecording) else partial.url,
                "w",
                format=self._format.container,
                options=self._format.muxer_options,
            )
            self._video = add_video(self._container, self._format, info, self._settings)
            self._sound = SoundTracks(self._container, self._format, info)
            self._extras = ExtrasWriter(self._container, self._format, info, self._sound)
            self._container.start_encoding()
        self.warnings += self._extras.warnings
        self._prepare = self._preparation(info)
        self._clock = _GIF_TICK if self._format.codec == "gif" else info.time_base
        self._last: int | None = None
        self._shown: Frame

    def _preparation(self, info: VideoInfo) -> Callable[[Frame], av.VideoFrame]:
        if self._format.codec == "gif":
            return Palette(info.width, info.height, info.has_alpha)
        pix_fmt = self._format.pixels(info)
        if self._format.deep:
            return lambda frame: deep_frame(frame, pix_fmt)
        return lambda frame: to_av(frame, pix_fmt)

    def write(self, item: Frame | Sound) -> None:
        assert self._container is not None
        assert self._extras is not None
        with named_errors(self._partial.final):
            if not isinstance(item, Frame):
                self._sound.write(item)
                return
            latest, ticks = self._last, self._ticks(item)
            if ticks is not None:
                self._extras.write_until(item.time_s)
                for repeated in range(latest + _LONGEST, ticks, _LONGEST) if latest is not None else ():
                    self._encode(self._shown, repeated)
                self._encode(item, ticks)
                self._shown = item

    def _encode(self, frame: Frame, ticks: int) -> None:
        assert self._container is not None
        picture = self._prepare(frame)
        picture.pts, picture.time_base = ticks, self._clock
        self._container.mux(self._video.encode(picture))

    def _ticks(self, frame: Frame) -> int | None:
        """The frame's time on the stream's clock, later than the one before; None if GIF's frame rate is exceeded."""
        ticks = round(frame.pts * frame.time_base / self._clock)
        if self._format.codec == "gif" and self._last is not None and ticks < self._last + _GIF_STEP:
            self._warn_once("reduced_rate", "GIF shows at most 50 frames a second; those between were left out")
            return None
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last

    def _warn_once(self, code: str, sentence: str) -> None:
        if (code, sentence) not in self.warnings:
            self.warnings.append((code, sentence))

    def close(self) -> None:
        assert self._container is not None
        assert self._extras is not None
        with named_errors(self._partial.final):
            self._container.mux(self._video.encode(None))
            self._sound.close()
            self._extras.close()
            self._container.close()
        self.warnings += self._sound.warnings
        self._partial.publish()

    def abort(self) -> None:
        try:
            if self._container is not None:
                with contextlib.suppress(av.error.FFmpegError, ValueError):  # the file is discarded anyway
                    self._container.close()
        finally:
            if self._extras is not None:
                self._extras.abort()
            self._partial.discard()


class named_errors:  # noqa: N801 - reads as a statement
    """Converts FFmpeg's errors while writing to DiskError or EncodeError, with the file and the reason."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, BrokenPipeError):
            raise OutputClosed(f"the reader of {self._path} has closed it") from exc
        if isinstance(exc, OSError) and is_disk_trouble(exc):
            raise disk_error(exc, self._path) from exc
        if isinstance(exc, av.error.PatchWelcomeError):
            raise EncodeError(f"cannot write {self._path}: the format cannot store such long pauses") from exc
        if isinstance(exc, OSError | av.error.FFmpegError):
            raise EncodeError(f"cannot write {self._path}: {getattr(exc, 'strerror', None) or exc}") from exc
