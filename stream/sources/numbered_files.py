"""Finds the files of a picture sequence: by a pattern such as `shot.%04d.exr`, or the only sequence in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UnreadableMedia
from stream.picture.numbering import Numbering, groups
from stream.records.formats import READ_PICTURES

MANY = 100
"""From this number of files on, a list of names is taken for a sequence that a shell has written out."""


@dataclass(frozen=True)
class NumberedFiles:
    """The files of a sequence in `folder`. numbers: those that exist, in order; at least one."""

    folder: Path
    numbering: Numbering
    numbers: Sequence[int]

    def path(self, number: int) -> Path:
        return self.folder / self.numbering.name(number)

    @property
    def pattern(self) -> Path:
        return self.folder / str(self.numbering)


def is_pattern(path: Path) -> bool:
    """Whether the path means a sequence: its name is a pattern of a supported kind, and no file's name."""
    return path.suffix.lower() in READ_PICTURES and Numbering.read(path.name) is not None and not path.exists()


def find(path: Path) -> NumberedFiles:
    """The sequence that a pattern or a folder stands for. Raises UnreadableMedia."""
    return _in_folder(path) if path.is_dir() else _by_pattern(path)


def holds_sequence(folder: Path) -> bool:
    """Whether a folder has exactly one sequence of at least two files."""
    return len(_sequences(folder)) == 1


def sequence_among(paths: Sequence[Path], least: int) -> NumberedFiles | None:
    """The first sequence of at least `least` files that is among these paths; None if there is none."""
    for folder in dict.fromkeys(path.parent for path in paths):
        names = [p.name for p in paths if p.parent == folder and p.suffix.lower() in READ_PICTURES]
        for numbering, numbers in groups(names).items():
            if len(numbers) >= least:
                return NumberedFiles(folder, numbering, numbers)
    return None


def _by_pattern(path: Path) -> NumberedFiles:
    numbering = Numbering.read(path.name)
    if numbering is None:
        raise UnreadableMedia(f"{path} is no sequence: write one number as %04d or ####")
    numbers = sorted(n for name in _names(path.parent) if (n := numbering.number(name)) is not None)
    if not numbers:
        raise UnreadableMedia(f"{path}: no file has a name such as {numbering.name(1)}{_nearest(path)}")
    return NumberedFiles(path.parent, numbering, numbers)


def _nearest(path: Path) -> str:
    """A hint at the sequences that the folder of a pattern without files has."""
    others = [str(numbering) for numbering in _sequences(path.parent)]
    return f"; the folder has {', '.join(others[:3])}" if others else ""


def _in_folder(folder: Path) -> NumberedFiles:
    found = _sequences(folder)
    if len(found) != 1:
        names = ", ".join(str(numbering) for numbering in list(found)[:3])
        what = f"has {len(found)} sequences: name one of them, such as {names}" if found else "has no picture sequence"
        raise UnreadableMedia(f"{folder} {what}")
    ((numbering, numbers),) = found.items()
    return NumberedFiles(folder, numbering, numbers)


def _sequences(folder: Path) -> dict[Numbering, list[int]]:
    names = [name for name in _names(folder) if Path(name).suffix.lower() in READ_PICTURES and not name.startswith(".")]
    return {numbering: numbers for numbering, numbers in groups(names).items() if len(numbers) > 1}


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as exc:
        raise UnreadableMedia(f"{folder} cannot be read: {exc.strerror}") from None
