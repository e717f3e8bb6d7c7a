"""Names of numbered files, as compositors write them: `shot.%04d.exr` or `shot.####.exr`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

_NUMBER = re.compile(r"%(?:0([1-9]))?d|#{2,}")
_DIGITS = re.compile(r"\d+")
_LISTED = 8  # ranges in a text


@dataclass(frozen=True)
class Numbering:
    """Names with a number between `before` and `after`. digits: numbers have at least as many; 1: no leading zeros."""

    before: str
    digits: int
    after: str

    @classmethod
    def read(cls, name: str) -> "Numbering | None":
        """From a file name with one `%d`, `%04d` or `####`; None for any other name. A single # is no number."""
        found = _NUMBER.search(name)
        if found is None or "%" in (rest := name[: found.start()] + name[found.end() :]) or "##" in rest:
            return None
        digits = len(found[0]) if found[0].startswith("#") else int(found[1] or 1)
        return cls(name[: found.start()], digits, name[found.end() :])

    def name(self, number: int) -> str:
        """The name of the file with this number."""
        return f"{self.before}{number:0{self.digits}d}{self.after}"

    def number(self, name: str) -> int | None:
        """The number in a file's name; None if it is not a name of this numbering."""
        middle = name[len(self.before) : len(name) - len(self.after)]
        number = int(middle) if middle.isascii() and middle.isdigit() else None
        return number if number is not None and self.name(number) == name else None

    def __str__(self) -> str:
        return f"{self.before}%{f'0{self.digits}' if self.digits > 1 else ''}d{self.after}"


def groups(names: Iterable[str]) -> dict[Numbering, list[int]]:
    """The numberings of files by the last number in their names, each with its numbers in order. Names without a number
    are left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        matches = list(_DIGITS.finditer(name.rpartition(".")[0] or name))
        if matches and matches[-1][0].isascii():
            last = matches[-1]
            found.setdefault((name[: last.start()], name[last.end() :]), []).append(last[0])
    result = {}
    for (before, after), texts in found.items():
        shortest = min(map(len, texts))
        padded = any(len(text) > 1 and text.startswith("0") for text in texts) or len({*map(len, texts)}) == 1
        result[Numbering(before, shortest if padded else 1, after)] = sorted({int(text) for text in texts})
    return result


def missing(numbers: Iterable[int]) -> list[int]:
    """The numbers that are missing between the first and the last of increasing numbers."""
    return [number for before, after in pairwise(numbers) for number in range(before + 1, after)]


def as_ranges(numbers: Iterable[int]) -> str:
    """Increasing numbers as text, such as "3-7, 12"; of many ranges, the first ones."""
    ranges = [f"{first}-{last}" if last > first else str(first) for first, last in _ranges(numbers)]
    more = f" and {len(ranges) - _LISTED} more" if len(ranges) > _LISTED else ""
    return ", ".join(ranges[:_LISTED]) + more


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    begin = end = None
    for number in numbers:
        if begin is None or end is None:
            begin = end = number
        elif number == end + 1:
            end = number
        else:
            yield begin, end
            begin = end = number
    if begin is not None and end is not None:
        yield begin, end
