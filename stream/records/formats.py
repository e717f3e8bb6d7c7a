"""The formats of results, as web, workers, clients and the pages know them: one record each, in one table.

Knows no codec and loads no media library: how each is encoded stands in `stream/sinks/formats.py`.
"""

from dataclasses import dataclass
from typing import Literal

from stream.errors import UnsupportedOutput

FormatName = Literal["mp4", "webm", "mov", "mkv", "gif", "png"]
"""As requests and records name them: the keys of `FORMATS`."""

DEFAULT: FormatName = "mp4"
PICTURE = "%05d.png"
"""Name of a picture in a sequence, by its number from 1."""
TIMES = "timestamps.txt"
"""Beside the pictures of a sequence: their times."""


@dataclass(frozen=True)
class OutputFormat:
    """One kind of output.

    label: its name for people. choice: its line in a list to choose from. suffix: of a file's name that asks for it.
    mime: of a job's result. transparent: can it hold transparency? played: do browsers play it? pictures: is it a
    sequence of numbered pictures, and as a job's result a zip of them? matte: the format in which its matte is given
    beside it.
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
        """Of the file that a job's result is."""
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
    "png": OutputFormat("png", "PNG sequence", "PNG pictures, in a zip", ".png", "application/zip", pictures=True),
}  # fmt: skip

NAMES = f"{' '.join(f.suffix for f in FORMATS.values() if not f.pictures)}, a folder or {PICTURE}"
"""The names of outputs that the command line understands, in words."""


def check_alpha(chosen: OutputFormat) -> None:
    """Raise UnsupportedOutput where transparency cannot be kept, naming the formats that keep it."""
    if not chosen.transparent:
        able = ", ".join(f"{f.suffix} ({f.label})" for f in FORMATS.values() if f.transparent)
        raise UnsupportedOutput(f"{chosen.label} cannot be transparent; these can: {able}")
