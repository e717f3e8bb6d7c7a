"""The output formats, one record each, shared by web, workers, the command line and the pages.

Knows no codecs and imports no media library: the encoders are in `stream/sinks/encodings.py`.
"""

from dataclasses import dataclass
from typing import Literal

from stream.errors import UnsupportedOutput

FormatName = Literal["mp4", "webm", "mov", "mkv", "gif", "png", "png-picture", "jpg", "webp", "tif", "avif"]
"""The names in requests and records: the keys of `FORMATS`."""

DEFAULT: FormatName = "mp4"
PICTURE_DEFAULT: FormatName = "png-picture"
PICTURE = "%05d.png"
"""File name of a picture in a sequence; numbers start at 1."""
PICTURES = (".png", ".tif", ".tiff", ".exr")
"""The suffixes of pictures in a sequence that the command line writes; results of jobs have the first."""
READ_PICTURES = frozenset({*PICTURES, ".jpg", ".jpeg", ".dpx"})
"""The suffixes of pictures in a sequence as an input."""
TIMES = "timestamps.txt"
"""Name of the file with the times of a sequence's pictures, stored beside them."""


@dataclass(frozen=True)
class OutputFormat:
    """One output format.

    label: its display name. choice: its entry in a list of choices. suffix: file name suffix that selects it.
    mime: MIME type of a job's result. transparent: it supports transparency. played: browsers play or show it.
    pictures: a sequence of numbered pictures; as a job's result, a zip file of them. still: it holds one picture, the
    result for a picture; all others are for videos. piped: it can be written to a pipe, which cannot seek.
    aliases: further file name suffixes. matte: the format of a separate matte for it.
    """

    name: FormatName
    label: str
    choice: str
    suffix: str
    mime: str
    transparent: bool = True
    played: bool = False
    pictures: bool = False
    still: bool = False
    piped: bool = False
    aliases: tuple[str, ...] = ()
    matte: FormatName = "mkv"

    @property
    def result_suffix(self) -> str:
        """File name suffix of a job's result."""
        return ".zip" if self.pictures else self.suffix


FORMATS: dict[str, OutputFormat] = {
    "mp4": OutputFormat(
        "mp4", "MP4 (H.264)", "MP4 (H.264): plays everywhere", ".mp4", "video/mp4",
        transparent=False, played=True, piped=True, matte="mp4",
    ),
    "webm": OutputFormat(
        "webm", "WebM (VP9)", "WebM (VP9): transparency for browsers", ".webm", "video/webm", played=True, piped=True
    ),
    "mov": OutputFormat("mov", "MOV (ProRes)", "MOV (ProRes 4444): for editing", ".mov", "video/quicktime"),
    "mkv": OutputFormat(
        "mkv", "MKV (FFV1, lossless)", "MKV (FFV1): lossless", ".mkv", "video/x-matroska", piped=True
    ),
    "gif": OutputFormat("gif", "GIF", "GIF", ".gif", "image/gif", played=True),
    "png": OutputFormat("png", "PNG sequence", "PNG pictures in a zip file", ".png", "application/zip", pictures=True),
    "png-picture": OutputFormat(
        "png-picture", "PNG", "PNG: lossless, with transparency", ".png", "image/png",
        played=True, still=True, piped=True, matte="png-picture",
    ),
    "jpg": OutputFormat(
        "jpg", "JPEG", "JPEG: opens everywhere", ".jpg", "image/jpeg",
        transparent=False, played=True, still=True, piped=True, aliases=(".jpeg",), matte="png-picture",
    ),
    "webp": OutputFormat(
        "webp", "WebP", "WebP: small, with transparency", ".webp", "image/webp",
        played=True, still=True, piped=True, matte="png-picture",
    ),
    "tif": OutputFormat(
        "tif", "TIFF", "TIFF: for editing", ".tif", "image/tiff",
        still=True, piped=True, aliases=(".tiff",), matte="png-picture",
    ),
    "avif": OutputFormat(
        "avif", "AVIF", "AVIF: smallest, with transparency", ".avif", "image/avif",
        played=True, still=True, piped=True, matte="png-picture",
    ),
}  # fmt: skip

SUFFIXES = frozenset(name for f in FORMATS.values() for name in (f.suffix, *f.aliases))
VIDEO_SUFFIXES = frozenset(name for f in FORMATS.values() if not f.still for name in (f.suffix, *f.aliases))
"""The suffixes of output formats, by which damaged inputs are recognised: of all, and of those for videos."""
PICTURE_NAMES = " ".join(f.suffix for f in FORMATS.values() if f.still)
"""The suffixes of pictures that the command line writes, as text."""
_VIDEOS = " ".join(f.suffix for f in FORMATS.values() if not (f.pictures or f.still))
VIDEO_NAMES = f"{_VIDEOS}, a folder, {PICTURE}, %05d.tif or %05d.exr"
"""The output names for videos that the command line accepts, as text."""
NAMES = f"{VIDEO_NAMES} for a video; {PICTURE_NAMES} for a picture"
"""The output names that the command line accepts, as text."""


def still_for(suffix: str) -> OutputFormat | None:
    """The format of one picture that has this file name suffix, in lower case; None if there is none."""
    return next((f for f in FORMATS.values() if f.still and suffix in (f.suffix, *f.aliases)), None)


def for_input(chosen: OutputFormat, still: bool) -> OutputFormat:
    """The format for an input: for a picture, a format of sequences becomes that of one picture.

    still: the input is a picture. Raises UnsupportedOutput as `check_input`.
    """
    if still and chosen.pictures:
        chosen = still_for(chosen.suffix) or chosen
    check_input(chosen, still)
    return chosen


def check_input(chosen: OutputFormat, still: bool) -> None:
    """Raise UnsupportedOutput for a video format and a picture (`still`), and for a picture format and a video; the
    message lists those that fit."""
    if chosen.still != still:
        fitting = ", ".join(f.suffix for f in FORMATS.values() if f.still == still and not f.pictures)
        kind, held = ("picture", "video") if still else ("video", "one picture")
        fitting += "" if still else f", a folder or {PICTURE}"
        raise UnsupportedOutput(f"the input is a {kind}, and {chosen.label} is for {held}; use one of: {fitting}")


def check_alpha(chosen: OutputFormat) -> None:
    """Raise UnsupportedOutput if the format has no transparency; the message lists the formats that have."""
    if not chosen.transparent:
        fitting = [f for f in FORMATS.values() if f.transparent and f.still == chosen.still]
        transparent = ", ".join(f"{f.suffix} ({f.label})" for f in fitting)
        raise UnsupportedOutput(f"{chosen.label} does not support transparency; use one of: {transparent}")
