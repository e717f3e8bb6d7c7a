"""A picture sequence in a folder that is new, or that already has files in it.

A complete sequence has as many pictures as its `timestamps.txt` lists times. By this, a later sequence knows which
pictures it may replace: it keeps all others.
"""

import os
from pathlib import Path

from stream.errors import UsageError, disk_error
from stream.picture.numbering import Numbering
from stream.records.formats import TIMES
from stream.sinks.parts.partial import Partial

HEADER = "# timestamp format v2"
"""First line of `timestamps.txt`, as mkvmerge reads it."""
_FIRST = "# first number "  # a comment, for mkvmerge


def first_line(number: int) -> list[str]:
    """The line of `timestamps.txt` with the number of the first picture; none if that is 1."""
    return [] if number == 1 else [f"{_FIRST}{number}"]


class PartialSequence:
    """An incomplete sequence, to be written in the folder `path`. `publish` moves it to `final`.

    A new or empty folder appears at once and complete. In any other folder, the pictures of the previous sequence with
    the same names are replaced, and all other files are kept.
    """

    def __init__(self, folder: Path, pattern: str) -> None:
        """Raises UsageError if other pictures have the names of the sequence, DiskError."""
        self.final, self._pattern = folder, pattern
        self._into = folder.is_dir() and any(folder.iterdir())
        if self._into:
            previous_pictures(folder, pattern)
        self._partial = Partial(folder / TIMES if self._into else folder)
        self.path = self._partial.path

    def publish(self) -> None:
        """Raises DiskError, UsageError."""
        if not self._into:
            self._partial.publish()
            return
        try:
            self._replace_pictures()
        except OSError as exc:
            raise disk_error(exc, self.final) from exc
        finally:
            self._partial.discard()

    def _replace_pictures(self) -> None:
        """`timestamps.txt` is removed first and written last: without it, a sequence is incomplete."""
        surplus = previous_pictures(self.final, self._pattern)
        (self.final / TIMES).unlink(missing_ok=True)
        for new in sorted(self.path.iterdir(), key=lambda path: path.name == TIMES):
            os.replace(new, self.final / new.name)
            surplus.discard(new.name)
        for name in surplus:
            (self.final / name).unlink()

    def discard(self) -> None:
        self._partial.discard()


def previous_pictures(folder: Path, pattern: str) -> set[str]:
    """Names of the pictures in `folder` of a complete sequence with this pattern; empty if there is none.

    Raises UsageError for pictures with such names that no sequence in the folder lists, and for `timestamps.txt` of a
    sequence with other names.
    """
    names = {path.name for path in folder.iterdir()}
    own = {pattern % number for number in _listed(folder / TIMES)} & names
    other = [name for name in names - own if _is_numbered(name, pattern)]
    if not own and TIMES in names:
        other.append(TIMES)
    if other:
        raise UsageError(f"{folder} contains {min(other)}, which is not of an earlier output; name another folder")
    return own


def _listed(times: Path) -> range:
    """The numbers of the pictures that a `timestamps.txt` lists; none if it is missing or another program's."""
    try:
        header, *lines = times.read_text().splitlines()
        first = int(lines.pop(0).removeprefix(_FIRST)) if lines and lines[0].startswith(_FIRST) else 1
    except (OSError, ValueError):
        return range(0)
    return range(first, first + len(lines)) if header == HEADER else range(0)


def _is_numbered(name: str, pattern: str) -> bool:
    numbering = Numbering.read(pattern)
    return numbering is not None and numbering.number(name) is not None
