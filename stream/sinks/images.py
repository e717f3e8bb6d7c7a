"""Sink for a folder of numbered pictures, with the frames' times in `timestamps.txt`."""

from pathlib import Path
from typing import Self

from stream.address import Address
from stream.errors import EncodeError, UsageError, disk_error, is_disk_trouble
from stream.picture.frames import Frame, Sound, VideoInfo
from stream.picture.numbering import Numbering
from stream.records.formats import PICTURE, PICTURES, TIMES
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks.encodings import Encoding, encoding_of
from stream.sinks.parts.left_out import left_out
from stream.sinks.parts.numbered_pictures import PictureOptions, picture_writer
from stream.sinks.parts.sequence import HEADER, PartialSequence, first_line

NO_SOUND = ("no_sound", "pictures hold no sound; the video's own was left out")


def folder_and_pattern(path: Path) -> tuple[Path, str]:
    """The folder of the pictures, and the pattern of their names, for an output's name. #### becomes %04d."""
    if path.suffix.lower() in PICTURES and not path.is_dir():
        numbering = Numbering.read(path.name)
        return path.parent.resolve(), str(numbering) if numbering else path.name
    return path.resolve(), PICTURE


class ImagesSink:
    """Writes a folder of PNGs: `OUT/` as 00001.png …, or `OUT/%05d.exr` for other names and kinds of files.

    Numbers start at 1, or at that of the first file of an input that is a sequence too. A picture has the size and the
    depth of `Frame.photo`, if the frame has one.
    An earlier sequence with the same names is replaced; other files in the folder are kept. timestamps.txt lists one
    time per frame in milliseconds, in mkvmerge's "timestamp format v2".
    """

    @classmethod
    def from_address(cls, address: Address, options: Options, settings: Settings) -> Self:
        return cls(address.path, encoding_of(address.path), settings)  # which keeps alpha

    def __init__(
        self, path: Path, chosen: Encoding, settings: Settings, pictures: PictureOptions | None = None
    ) -> None:
        """Raises UsageError, UnsupportedOutput, DiskError."""
        self.warnings: list[tuple[str, str]] = []
        folder, self._pattern = folder_and_pattern(path)
        numbering = Numbering.read(self._pattern)
        if numbering is None:
            raise UsageError(f"{path}: name a folder, or a pattern with a number in it, such as {PICTURE}")
        if folder == Path.cwd():
            raise UsageError(f"name a folder of its own for the pictures: pictures/{self._pattern}")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; a name without a suffix means a folder of pictures")
        self._format, self._numbering, self._pictures = chosen, numbering, pictures or PictureOptions()
        self._suffix = Path(self._pattern).suffix.lower()
        picture_writer(self._suffix, self._pictures, has_alpha=True)  # fails early if a package is missing
        self._partial = PartialSequence(folder, self._pattern)

    def open(self, info: VideoInfo) -> None:
        self._writer = picture_writer(self._suffix, self._pictures, info.has_alpha)
        self._first, self._times = info.first_number, list[str]()
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
        name = self._numbering.name(self._first + len(self._times))
        self._times.append(f"{item.time_s * 1000:.3f}")
        try:
            self._writer.write(item, self._partial.path / name)
        except Exception as exc:
            if isinstance(exc, OSError) and is_disk_trouble(exc):
                raise disk_error(exc, self._partial.final) from exc
            raise EncodeError(f"cannot write {self._partial.final / name}: {exc}") from exc

    def close(self) -> None:
        lines = [HEADER, *first_line(self._first), *self._times, ""]
        try:
            (self._partial.path / TIMES).write_text("\n".join(lines))
        except OSError as exc:
            raise disk_error(exc, self._partial.final) from exc
        self._partial.publish()

    def abort(self) -> None:
        self._partial.discard()
