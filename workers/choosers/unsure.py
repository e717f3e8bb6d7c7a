"""The times at which subjects were not found: of a file merged to ranges, for the warnings in its report; of live video
those that are lost at the moment."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream.picture.timing import clock
from stream.pump import Warnings
from stream.records.subjects import Subject

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


class Lost:
    """Which subjects of live video are not found at the moment, and for so long that they have disappeared.

    after_s: how long that takes, in seconds of video. Written by one thread; any may read `names`.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._since_s: dict[str, float] = {}
        self.names: tuple[str, ...] = ()

    def see(self, unsure: Iterable[str], time_s: float = 0.0) -> None:
        """unsure: those that were not found in the frame of this time."""
        self._since_s = {name: self._since_s.get(name, time_s) for name in unsure}
        self.names = tuple(name for name, since_s in self._since_s.items() if time_s - since_s >= self._after_s)


def lost_sentence(names: Sequence[str], subjects: Sequence[Subject]) -> str:
    """That these subjects are lost, and what is seen of them; "" for none. subjects: all of the video."""
    lost = [subject for subject in subjects if subject.name in names]
    kept, removed = ([each.name for each in lost if each.keep is keep] for keep in (True, False))
    if len(subjects) == 1:
        kept, removed = ["the subject"][: len(kept)], ["what is to be removed"][: len(removed)]
    parts = [
        f"{_listed(kept)} lost: hidden until found again" if kept else "",
        f"{_listed(removed)} lost: not removed until found again" if removed else "",
    ]
    return "; ".join(filter(None, parts))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
