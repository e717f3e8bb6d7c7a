"""The times at which subjects were not found, merged to ranges, and the warnings about them in the report of a file."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream.picture.timing import clock
from stream.pump import Warnings

_GAP_S = 1.0  # ranges that are less apart are one
_SHOWN = 5  # ranges in a warning


class Unsure(NamedTuple):
    """A range of a video, in seconds, in which a subject was not found."""

    name: str
    begin_s: float
    end_s: float


def add(ranges: list[Unsure], names: Iterable[str], time_s: float) -> None:
    """Add the time of a frame for these subjects. Frames come in order; nearly adjacent ones are merged."""
    for name in names:
        last = next((index for index in reversed(range(len(ranges))) if ranges[index].name == name), None)
        if last is not None and time_s - ranges[last].end_s < _GAP_S:
            ranges[last] = ranges[last]._replace(end_s=time_s)
        else:
            ranges.append(Unsure(name, time_s, time_s))


def warnings(ranges: Sequence[Unsure]) -> Warnings:
    """One for each subject. ranges: in any order."""
    return [("subject_not_found", _sentence(name, merged)) for name, merged in _merged(ranges).items()]


def _merged(ranges: Sequence[Unsure]) -> dict[str, list[Unsure]]:
    """By name, in order, those of several segments merged."""
    found: dict[str, list[Unsure]] = {}
    for each in sorted(ranges, key=lambda part: part.begin_s):
        mine = found.setdefault(each.name, [])
        if mine and each.begin_s - mine[-1].end_s < _GAP_S:
            mine[-1] = mine[-1]._replace(end_s=max(mine[-1].end_s, each.end_s))
        else:
            mine.append(each)
    return found


def _sentence(name: str, ranges: Sequence[Unsure]) -> str:
    times = [_times(each) for each in ranges[:_SHOWN]]
    more = f" and {len(ranges) - _SHOWN} more times" if len(ranges) > _SHOWN else ""
    return f"the subject {name} was not found at {', '.join(times)}{more}; check these times, and add a prompt there"


def _times(part: Unsure) -> str:
    begin, end = clock(part.begin_s), clock(part.end_s)
    return begin if begin == end else f"{begin}-{end}"
