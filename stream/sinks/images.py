"""Sink for a folder of PNG images, numbered from 1, with the frames' times in `timestamps.txt`."""

import re
from pathlib import Path
from typing import Self

import av

from stream.address import Address
from stream.errors import UsageError, disk_error
from stream.picture.frames import Frame, Sound, VideoInfo, tag_bt709, to_av
from stream.records.formats import FORMATS, PICTURE, TIMES
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.encodings import Encoding, encoding_of
from stream.sinks.parts.left_out import left_out
from stream.sinks.parts.sequence import HEADER, PartialSequence

NO_SOUND = ("no_sound", "pictures hold no sound; the video's own was left out")
_NUMBERED = re.compile(r"[^%]*%(0\d)?d[^%]*")
_QUICK = {"compression_level": "1", "pred": "up"}  # a fifth of the time of the defaults, a fifth larger


def folder_and_pattern(path: Path) -> tuple[Path, str]:
    """The folder of the pictures, and the pattern of their names, for an output's name."""
    if path.suffix.lower() == FORMATS["png"].suffix and not path.is_dir():
        return path.parent.resolve(), path.name
    return path.resolve(), PICTURE


class ImagesSink:
    """Writes a folder of PNGs: `OUT/` as 00001.png …, or `OUT/%05d.png` for other names.

    An earlier sequence with the same names is replaced; other files in the folder are kept. timestamps.txt lists one
    time per frame in milliseconds, in mkvmerge's "timestamp format v2".
    """

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        return cls(address.path, encoding_of(address.path), settings)  # which keeps alpha

    def __init__(self, path: Path, chosen: Encoding, settings: Settings) -> None:
        self.warnings: list[tuple[str, str]] = []
        folder, self._pattern = folder_and_pattern(path)
        if not _NUMBERED.fullmatch(self._pattern):
            raise UsageError(f"{path}: name a folder, or a pattern with a number in it, such as {PICTURE}")
        if folder == Path.cwd():
            raise UsageError(f"name a folder of its own for the pictures: pictures/{self._pattern}")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; a name without a suffix means a folder of pictures")
        self._format = chosen
        self._partial = PartialSequence(folder, self._pattern)

    def open(self, info: VideoInfo) -> None:
        self._pix_fmt = self._format.pixels(info)
        self._encoder = av.VideoCodecContext.create("png", "w")
        self._encoder.width, self._encoder.height = info.width, info.height
        self._encoder.pix_fmt, self._encoder.time_base = self._pix_fmt, info.time_base
        self._encoder.options = _QUICK
        tag_bt709(self._encoder, full_range=True)
        self._times: list[str] = []
        if info.sound:
            self.warnings.append(NO_SOUND)
        self.warnings += left_out(self._format, info.extras)
        try:
            self._partial.path.mkdir()
        except OSError as exc:
            raise disk_error(exc, self._partial.final) from exc

    def write(self, item: Frame | Sound) -> None:
        if not isinstance(item, Frame):
            return
        packets = self._encoder.encode(to_av(item, self._pix_fmt))
        self._times.append(f"{item.time_s * 1000:.3f}")
        self._write(self._pattern % len(self._times), b"".join(bytes(p) for p in packets))

    def close(self) -> None:
        lines = [HEADER, *self._times, ""]
        self._write(TIMES, "\n".join(lines).encode())
        self._partial.publish()

    def abort(self) -> None:
        self._partial.discard()

    def _write(self, name: str, content: bytes) -> None:
        try:
            (self._partial.path / name).write_bytes(content)
        except OSError as exc:
            raise disk_error(exc, self._partial.final) from exc
