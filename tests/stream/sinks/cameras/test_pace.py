"""When a virtual camera gets its pictures, in simulated time."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

import pytest

from stream.sinks.cameras.pace import Pace

RATE = Fraction(30)
SECONDS = 20.0


def shown(arrivals_s: Iterable[float]) -> list[tuple[float, int | None]]:
    """(time, frame) of each picture that the camera's thread sends; None: the last one is repeated."""
    pace, now_s, sent = Pace(RATE, 0.0), 0.0, []
    waiting = list(enumerate(arrivals_s))
    while now_s < SECONDS:
        now_s = max(now_s, pace.earliest_s)
        arrived = [number for number, at_s in waiting if at_s <= now_s]
        if not arrived and waiting and waiting[0][1] <= pace.latest_s:
            now_s, arrived = waiting[0][1], [waiting[0][0]]
        if not arrived:
            now_s = max(now_s, pace.latest_s)
        newest = arrived[-1] if arrived else None
        waiting = [entry for entry in waiting if newest is None or entry[0] > newest]
        sent.append((now_s, newest))
        pace.sent(now_s, repeated=newest is None)
    return sent


def at_rate(rate: float, jitter_s: float = 0.0) -> list[float]:
    return [n / rate + jitter_s * (n * 7 % 5 - 2) / 2 for n in range(round(SECONDS * rate) + 1)]


@pytest.mark.parametrize("jitter_s", [0.0, 0.007])
def test_at_its_own_rate_every_frame_is_shown_once_and_at_once(jitter_s: float) -> None:
    arrivals = at_rate(30, jitter_s)
    sent = shown(arrivals)[:-1]
    numbers = [number for _, number in sent]
    assert numbers == [*range(numbers[0] or 0, (numbers[0] or 0) + len(numbers))]
    assert max(at_s - arrivals[number] for at_s, number in sent if number is not None) < 0.01


@pytest.mark.parametrize("rate", [5.0, 10.0, 15.0, 24.0, 29.97, 30.03, 50.0, 60.0, 90.0])
def test_the_rate_does_not_depend_on_that_of_the_frames(rate: float) -> None:
    sent = shown(at_rate(rate))
    assert len(sent) / SECONDS == pytest.approx(30, rel=0.01)
    assert min(after - before for (before, _), (after, _) in pairwise(sent)) > 0.008


def test_without_frames_the_last_picture_is_repeated_at_the_rate() -> None:
    assert len(shown([])) / SECONDS == pytest.approx(30, rel=0.01)


def test_after_a_pause_of_the_computer_pictures_are_not_sent_in_a_burst() -> None:
    pace = Pace(RATE, 0.0)
    pace.sent(100.0, repeated=True)
    assert pace.latest_s == pytest.approx(100 + 1 / 30)
