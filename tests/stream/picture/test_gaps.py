import random
from collections.abc import Sequence
from fractions import Fraction

import pytest

from stream.picture.gaps import Gap, GapFinder, Missing

MS = Fraction(1, 1000)


def missing(times: Sequence[int], tick: Fraction = MS, shift_s: float = 0.0) -> Missing:
    finder = GapFinder(tick, shift_s)
    for ticks in times:
        finder.take(ticks)
    return finder.missing()


def regular(rate: Fraction, numbers: Sequence[int], tick: Fraction = MS) -> list[int]:
    return [round(n / rate / tick) for n in numbers]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(60), Fraction(240)])
@pytest.mark.parametrize("tick", [MS, Fraction(1, 90_000), Fraction(1, 10**9)])
def test_missing_frames_are_counted_at_every_rate_and_clock(rate: Fraction, tick: Fraction) -> None:
    numbers = [*range(60), *range(108, 180), *range(200, 300)]
    found = missing(regular(rate, numbers, tick), tick)
    assert (found.frames, found.places, found.total) == (68, 2, 300)
    first = found.gaps[0]
    assert (first.begin_s, first.end_s) == pytest.approx((59 / rate, 108 / rate), abs=1e-3)


def test_a_video_without_gaps_has_none() -> None:
    assert missing(regular(Fraction(30), range(200))) == Missing(0, 0, (), 200)
    assert missing([]) == Missing(0, 0, (), 0)
    assert missing([0]) == Missing(0, 0, (), 1)


def phone(seed: int) -> list[int]:
    """30 frames a second, in the dark 20 and 15, with jitter."""
    draw, times = random.Random(seed), [0]
    for n in range(300):
        times.append(times[-1] + round(1000 / (30 if n % 150 < 90 else draw.choice([15, 20])) + draw.gauss(0, 1)))
    return times


VARIABLE = {
    "slide show": [n * 10_000 for n in range(40)],
    "one long still time": [n * 33 for n in range(30)] + [600_000 + n * 33 for n in range(30)],
    "a screen that moves and stands still": [
        still + n * 17 for still in range(0, 60_000, 2_000) for n in range(40 if still % 4000 else 70)
    ],
    "telecine": [n * 1000 // 60 for step in range(120) for n in (5 * step, 5 * step + 2)],
    "phone": phone(1),
    "another phone": phone(2),
    "too short to know": [0, 33, 67, 100, 600, 633],
    "24 and 60 frames a second": [*range(0, 5000, 42), *range(5000, 10_000, 17), 12_000],
}


@pytest.mark.parametrize("times", VARIABLE.values(), ids=VARIABLE)
def test_a_variable_rate_has_no_gaps(times: list[int]) -> None:
    assert missing(times).frames == 0


def test_single_frames_dropped_by_a_camera_are_not_gaps() -> None:
    assert missing(regular(Fraction(30), [n for n in range(900) if n % 30 != 7])).frames == 0


def test_gaps_are_found_in_spite_of_jitter() -> None:
    draw = random.Random(3)
    numbers = [*range(200), *range(230, 400)]
    found = missing([round(n * 3000 + draw.uniform(-120, 120)) for n in numbers], Fraction(1, 90_000))
    assert (found.frames, found.places) == (30, 1)


def test_frames_out_of_order_are_sorted_first() -> None:
    """As an encoder with B-frames stores them: 0 4 2 1 3 8 6 5 7 …"""
    numbers = [0] + [first + n for first in range(0, 200, 4) if not 80 <= first < 120 for n in (4, 2, 1, 3)]
    found = missing(regular(Fraction(2), numbers))
    assert (found.frames, found.places) == (40, 1)


def test_single_frames_at_the_edge_of_a_gap_are_counted_with_it() -> None:
    numbers = [n for n in range(180) if n not in (70, *range(72, 119))]
    assert missing(regular(Fraction(30), numbers)).frames == 48


def test_a_clock_that_restarts_is_not_a_gap_and_later_times_follow_on() -> None:
    part = [n for n in range(150) if n < 100 or n >= 130]
    times = regular(Fraction(30), part)
    found = missing([*times, *times], shift_s=2.0)
    assert (found.frames, found.places) == (60, 2)
    assert (found.gaps[0].begin_s, found.gaps[0].end_s) == pytest.approx((2 + 99 / 30, 2 + 130 / 30), abs=1e-3)
    assert found.gaps[1].begin_s == pytest.approx(2 + 149 / 30 + 99 / 30, abs=0.05)


def test_a_clock_that_jumps_forward_once_is_a_gap_only_if_it_is_shorter_than_the_video() -> None:
    assert missing([*range(0, 10_000, 40), *range(15_000, 25_000, 40)]).frames == 125
    assert missing([*range(0, 10_000, 40), *range(3_600_000, 3_610_000, 40)]).frames == 0


@pytest.mark.parametrize(("jumps_s", "frames"), [([], 899), ([30.1], 0), ([50.0], 899)])
def test_a_jump_of_the_clock_is_no_gap(jumps_s: list[float], frames: int) -> None:
    finder = GapFinder(MS, far_s=10)
    for ticks in regular(Fraction(30), [*range(900), *range(1800, 2700)]):
        finder.take(ticks)
    assert finder.missing(jumps_s).frames == pytest.approx(frames, abs=1)


@pytest.mark.parametrize(("untimed", "frames"), [(1, 40), (100, 0)])
def test_nothing_is_reported_where_many_frames_have_no_time(untimed: int, frames: int) -> None:
    """A damaged packet may have none."""
    finder = GapFinder(MS)
    for ticks in regular(Fraction(30), [*range(60), *range(100, 160)]):
        finder.take(ticks)
    for _ in range(untimed):
        finder.take_untimed()
    assert finder.missing().frames == frames


def test_memory_does_not_grow_with_the_video() -> None:
    draw, finder, now = random.Random(4), GapFinder(Fraction(1, 10**9)), 0
    for _ in range(20_000):
        finder.take(now)
        now += draw.randrange(1, 10**9)
    assert len(finder._classes) < 1200
    assert len(finder._long) <= 64


def test_the_sentence_lists_the_first_places() -> None:
    gaps = tuple(Gap(at, at + 1.6) for at in (1.0, 61.04, 3661.0))
    assert Missing(48, 1, gaps[:1], 180).sentence() == (
        "48 of about 180 frames were damaged or lost: they are missing in 1 place (0:01.0-0:02.6); "
        "sound and picture stay in sync"
    )
    text = Missing(200, 5, gaps, 9000).sentence(bad=3)
    assert "203 of about 9000 frames" in text
    assert "200 are missing in 5 places (0:01.0-0:02.6, 1:01.0-1:02.6, 1:01:01.0-1:01:02.6, …)" in text
    assert "the others show the last good frame" in text
