"""The output formats, one record each, shared by web, workers, the command line and the pages.

Knows no codecs and imports no media library: the encoders are in `stream/sinks/encodings.py`.
"""

from dataclasses import dataclass
from typing import Literal

from stream.errors import UnsupportedOutput

FormatName = Literal["mp4", "webm", "mov", "mkv", "gif", "png"]
"""The names in requests and records: the keys of `FORMATS`."""

DEFAULT: FormatName = "mp4"
PICTURE = "%05d.png"
"""File name of a picture in a sequence; numbers start at 1."""
TIMES = "timestamps.txt"
"""Name of the file with the times of a sequence's pictures, stored beside them."""


@dataclass(frozen=True)
class OutputFormat:
    """One output format.

    label: its display name. choice: its entry in a list of choices. suffix: file name suffix that selects it.
    mime: MIME type of a job's result. transparent: it supports transparency. played: browsers play it. pictures: a
    sequence of numbered pictures; as a job's result, a zip file of them. matte: the format of a separate matte for it.
    """

    name: FormatName
    label: str
    choice: str
    suffix: str
    mime: str
    transparent: bool = True
    played: bool = False
    pictures: bool = False
    matte: FormatName = "mkv"

    @property
    def result_suffix(self) -> str:
        """File name suffix of a job's result."""
        return ".zip" if self.pictures else self.suffix


FORMATS: dict[str, OutputFormat] = {
    "mp4": OutputFormat(
        "mp4", "MP4 (H.264)", "MP4 (H.264): plays everywhere", ".mp4", "video/mp4",
        transparent=False, played=True, matte="mp4",
    ),
    "webm": OutputFormat(
        "webm", "WebM (VP9)", "WebM (VP9): transparency for browsers", ".webm", "video/webm", played=True
    ),
    "mov": OutputFormat("mov", "MOV (ProRes)", "MOV (ProRes 4444): for editing", ".mov", "video/quicktime"),
    "mkv": OutputFormat("mkv", "MKV (FFV1, lossless)", "MKV (FFV1): lossless", ".mkv", "video/x-matroska"),
    "gif": OutputFormat("gif", "GIF", "GIF", ".gif", "image/gif", played=True),
    "png": OutputFormat("png", "PNG sequence", "PNG pictures in a zip file", ".png", "application/zip", pictures=True),
}  # fmt: skip

NAMES = f"{' '.join(f.suffix for f in FORMATS.values() if not f.pictures)}, a folder or {PICTURE}"
"""The output names that the command line accepts, as text."""


def check_alpha(chosen: OutputFormat) -> None:
    """Raise UnsupportedOutput if the format has no transparency; the message lists the formats that have."""
    if not chosen.transparent:
        transparent = ", ".join(f"{f.suffix} ({f.label})" for f in FORMATS.values() if f.transparent)
        raise UnsupportedOutput(f"{chosen.label} does not support transparency; use one of: {transparent}")
