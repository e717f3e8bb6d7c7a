"""Sink for one picture: PNG, JPEG, WebP, TIFF or AVIF, with the colours, profile and EXIF data of `Frame.photo`."""

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from PIL import Image

from stream.address import Address
from stream.errors import EncodeError, OutputClosed, UnsupportedOutput, disk_error, is_disk_trouble
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.picture.photo import Photo
from stream.pump import Warnings
from stream.records import formats
from stream.records.formats import FORMATS, OutputFormat
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.parts.partial import Partial
from stream.sinks.parts.stdout import Stdout

_JPEG_EXIF = 65_533  # bytes: EXIF data must fit one segment of a JPEG


@dataclass(frozen=True)
class PictureEncoding:
    """How one format is written by Pillow, which calls it `codec`. kind: its shared record. largest_px: the format's
    maximum width and height. largest_exif: bytes of EXIF data that fit."""

    kind: OutputFormat
    codec: str
    options: dict[str, Any] = field(default_factory=dict)
    largest_px: int = 65_535
    largest_exif: int = 2**24


_ENCODINGS = (
    PictureEncoding(FORMATS["png-picture"], "PNG", {"compress_level": 4}),
    PictureEncoding(FORMATS["jpg"], "JPEG", {"quality": 95, "subsampling": "4:4:4"}, largest_exif=_JPEG_EXIF),
    PictureEncoding(FORMATS["webp"], "WEBP", {"quality": 95, "alpha_quality": 100}, largest_px=16_383),
    PictureEncoding(FORMATS["tif"], "TIFF"),  # not compressed: Pillow writes compressed ones without the EXIF data
    PictureEncoding(FORMATS["avif"], "AVIF", {"quality": 90, "subsampling": "4:4:4"}),
)
ENCODINGS = {encoding.kind.name: encoding for encoding in _ENCODINGS}
"""By the name of the format."""


class PictureSink:
    """Writes the picture of the only frame to `path` in the format `chosen`."""

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        chosen = formats.still_for(address.path.suffix.lower())
        if chosen is None:
            raise UnsupportedOutput(f"{address.path.suffix} is not a format for pictures")
        if options.wants_alpha:
            formats.check_alpha(chosen)
        return cls(address.path, chosen)

    def __init__(self, path: Path | Stdout, chosen: OutputFormat) -> None:
        self.warnings: Warnings = []
        self._format, self._partial = chosen, path if isinstance(path, Stdout) else Partial(path)

    def open(self, info: VideoInfo) -> None:
        """Raises UnsupportedOutput for a video, and for a picture that is too large for the format."""
        check_picture(self._format, info)

    def write(self, item: Frame | Sound) -> None:
        if not isinstance(item, Frame):
            return
        try:
            content = io.BytesIO()  # some formats need to seek, which a pipe cannot
            self.warnings += encode(item, self._format, content)
            with self._partial.path.open("wb") as file:
                file.write(content.getbuffer())
        except BrokenPipeError as exc:
            raise OutputClosed(f"the reader of {self._partial.final} has closed it") from exc
        except (OSError, ValueError, ArithmeticError, RuntimeError, struct.error) as exc:  # as Pillow's encoders raise
            if isinstance(exc, OSError) and is_disk_trouble(exc):
                raise disk_error(exc, self._partial.final) from exc
            raise EncodeError(f"cannot write {self._partial.final}: {exc}") from exc

    def close(self) -> None:
        self._partial.publish()

    def abort(self) -> None:
        self._partial.discard()


def check_picture(chosen: OutputFormat, info: VideoInfo) -> None:
    """Raise UnsupportedOutput if the input is a video, or its picture is too large for the format."""
    formats.check_input(chosen, still=info.still is not None)
    largest = ENCODINGS[chosen.name].largest_px
    if info.still is not None and max(info.still) > largest:
        raise UnsupportedOutput(f"{chosen.label} supports up to {largest} pixels per side, not {max(info.still)}")


def encode(frame: Frame, chosen: OutputFormat, file: IO[bytes]) -> Warnings:
    """Write the picture of a frame in the format `chosen`; alpha is left out where the format has none.

    Returns warnings. Raises OSError.
    """
    assert frame.photo is not None
    photo, encoding, left_out = frame.photo, ENCODINGS[chosen.name], Warnings()
    exif = photo.exif
    if len(exif) > encoding.largest_exif:
        exif, left_out = b"", [("no_exif", f"the EXIF data is too long for {chosen.label} and was left out")]
    extra: dict[str, Any] = dict(encoding.options)
    extra |= {"icc_profile": photo.profile} if photo.profile else {}
    extra |= {"exif": exif} if exif else {}
    extra |= {"dpi": photo.dpi} if photo.dpi else {}
    _image(photo, frame if chosen.transparent else None).save(file, encoding.codec, **extra)
    return left_out


def _image(photo: Photo, with_alpha: Frame | None) -> Image.Image:
    """with_alpha: the frame whose alpha, if any, the image gets."""
    if with_alpha is None or with_alpha.alpha is None or photo.pixels.ndim == 2:
        return Image.fromarray(photo.pixels)
    alpha = with_alpha.alpha[: photo.height, : photo.width]
    return Image.fromarray(np.dstack([photo.pixels, alpha]))
