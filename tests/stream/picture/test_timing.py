import itertools
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from stream.picture.timing import ArrivalClock, Splices, Timeline, clock, parse_time, plausible_rate

MS = Fraction(1, 1000)


def place(*pts: int | None, origin: int = 0, step: int = 33) -> list[int]:
    line = Timeline(MS, step, Splices(origin * MS))
    return [line.place(p) for p in pts]


def test_good_times_pass_unchanged() -> None:
    assert place(0, 33, 100, 101) == [0, 33, 100, 101]


def test_times_start_at_the_origin() -> None:
    assert place(5000, 5033, origin=5000) == [0, 33]


def test_missing_times_are_filled_in_at_the_usual_step() -> None:
    assert place(None, None, 66, None) == [0, 33, 66, 99]


def test_a_repeated_time_moves_by_one_tick_only() -> None:
    assert place(0, 33, 33, 99) == [0, 33, 34, 99]


def test_a_jump_back_starts_a_new_recording_and_time_continues() -> None:
    assert place(90_000, 90_033, 0, 33, origin=90_000) == [0, 33, 66, 99]


def test_video_and_audio_of_a_concatenated_recording_shift_together() -> None:
    """The clock restarts after 800 ms; one audio packet of the old recording comes after the new recording's start."""
    splices = Splices(Fraction(0))
    picture, sound = Timeline(MS, 40, splices), Timeline(Fraction(1, 48_000), 1024, splices)
    assert [picture.place(p) for p in (0, 400, 800)] == [0, 400, 800]
    assert [sound.place(p * 48) for p in (0, 400, 800)] == [0, 400 * 48, 800 * 48]
    assert picture.place(0) == 840
    assert sound.place(822 * 48) == 822 * 48  # of the old recording
    assert sound.place(0) == 840 * 48
    assert picture.place(40) == 880
    assert sound.place(21 * 48) == 861 * 48


def test_a_jump_ahead_of_all_streams_is_left_out() -> None:
    splices = Splices(Fraction(0), leap_s=Fraction(10))
    picture, sound = Timeline(MS, 40, splices), Timeline(MS, 20, splices)
    for ticks in (0, 400, 800):
        assert picture.place_or_drop(ticks) == ticks
        assert sound.locate(ticks) == ticks
    assert picture.place_or_drop(60_000) == 840
    assert sound.locate(822) == 822  # of the recording before
    assert sound.locate(60_000) == 840
    assert sound.locate(60_020) == 860
    assert picture.place_or_drop(60_040) == 880
    assert Timeline(MS, 20, splices).locate(60_060) == 900, "a track that begins after the jump"
    assert (splices.leaps, splices.leapt_s) == ([(0.84, 59.16)], 59.16)


def test_a_stream_that_falls_behind_the_others_is_in_a_new_recording() -> None:
    splices = Splices(Fraction(0), leap_s=Fraction(10))
    picture, sound = Timeline(MS, 40, splices), Timeline(MS, 20, splices)
    assert [picture.place_or_drop(n) for n in range(0, 3000, 40)] == [*range(0, 3000, 40)]
    assert sound.locate(1000) == 1000  # as late as in broadcasts
    picture.announce(3000)  # to be decoded later than the sound of the next recording
    assert sound.locate(0) == 3040
    assert picture.place_or_drop(3000) == 3000
    assert picture.place_or_drop(10) == 3050
    assert splices.leaps == []


def test_a_pause_of_one_stream_or_between_slides_is_no_jump() -> None:
    splices = Splices(Fraction(0), leap_s=Fraction(10))
    picture, sound = Timeline(MS, 40, splices), Timeline(MS, 20, splices)
    assert picture.place(0) == 0
    assert [sound.locate(n) for n in range(0, 60_000, 400)] == list(range(0, 60_000, 400))
    assert picture.place(60_000) == 60_000
    slides = Timeline(MS, 20_000, Splices(Fraction(0), leap_s=Fraction(10)))
    assert [slides.place(n) for n in (0, 20_000, 40_000)] == [0, 20_000, 40_000]
    assert splices.leaps == []


def show(*pts: int | None, step: int = 40) -> list[int | None]:
    line = Timeline(MS, step, Splices(Fraction(0)))
    return [line.place_or_drop(p) for p in pts]


def test_frames_that_overlap_an_earlier_recording_are_dropped() -> None:
    assert show(0, 40, 80, 120, 160, 200, 40, 80, 120, 160, 200, 240) == [
        *(0, 40, 80, 120, 160, 200),
        *[None] * 5,
        240,
    ]


def test_recordings_of_less_than_half_a_second_play_one_after_the_other() -> None:
    assert show(*[0, 40, 80, 120, 160] * 3) == [*range(0, 600, 40)]


def test_frames_slightly_out_of_order_are_spaced() -> None:
    """Some files have the times of frames in the order of decoding."""
    assert show(0, 80, 40, 160, 120, 200) == [0, 80, 90, 160, 170, 200]
    assert show(0, 40, 40, 120) == [0, 40, 50, 120]


def test_packets_that_overlap_keep_their_times_until_a_new_recording() -> None:
    line = Timeline(MS, 20, Splices(Fraction(0)))
    assert [line.locate(p) for p in (0, 20, 400, 100, 120, 140)] == [0, 20, 400, 100, 120, 140]
    assert [line.locate(p) for p in (420, 900, 380, 400)] == [420, 900, 920, 940]


@pytest.mark.parametrize("order", ["picture first", "sound first"])
def test_streams_that_step_back_by_about_half_a_second_stay_together(order: str) -> None:
    """One steps back by more than half a second and finds a new recording; the other one follows it."""
    splices = Splices(Fraction(0))
    picture, sound = Timeline(MS, 40, splices), Timeline(MS, 20, splices)
    for ticks in range(0, 1000, 40):
        picture.place_or_drop(ticks)
    for ticks in range(0, 1060, 20):
        sound.locate(ticks)
    first, second = (picture.place_or_drop, sound.locate) if order == "picture first" else (sound.locate, picture.place)
    first(490)
    second(490)
    assert picture.place_or_drop(1400) == sound.locate(1400)


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=1, max_size=60))
def test_frames_that_are_shown_have_increasing_times(pts: list[int | None]) -> None:
    shown = [time for time in show(*pts) if time is not None]
    assert all(b > a for a, b in itertools.pairwise(shown))


@pytest.mark.long
@given(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=1, max_size=60))
def test_placed_times_always_increase(pts: list[int | None]) -> None:
    placed = place(*pts)
    assert all(b > a for a, b in itertools.pairwise(placed))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1:30", 90), ("0:01:30.5", 90.5), ("100:00", None), (".5", 0.5), ("1:00:00", 3600)],
)
def test_the_usual_notations_of_times_are_parsed(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(UsageError):
            parse_time(text)
    else:
        assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-3", "1:2:3:4", "1e3", "nan"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


def test_an_implausible_rate_is_ignored() -> None:
    assert plausible_rate(Fraction(10**6), Fraction(30000, 1001)) == Fraction(30000, 1001)
    assert plausible_rate(None, Fraction(0)) == 30


def test_clock() -> None:
    assert [clock(s) for s in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]


def arrive(*times: tuple[float | None, float]) -> list[int]:
    line = ArrivalClock(MS)
    return [line.place(time_s, arrived_s) for time_s, arrived_s in times]


def test_live_frames_keep_the_spacing_of_the_source() -> None:
    assert arrive((5.0, 100.0), (5.04, 100.05), (5.08, 100.083), (5.12, 100.2)) == [0, 40, 80, 120]


def test_the_frame_with_the_least_delay_sets_the_clock() -> None:
    """Buffered frames come in a burst; their offset is not that of the frames that follow."""
    assert arrive((5.0, 100.0), (5.04, 100.001), (5.08, 100.002), (5.12, 100.042)) == [0, 1, 2, 42]


def test_a_live_source_may_have_no_clock_or_restart_it() -> None:
    assert arrive((None, 9.0), (None, 9.5), (0.0, 10.0), (0.04, 10.04), (77.0, 12.0)) == [0, 500, 1000, 1040, 3000]


def test_a_drifting_clock_is_corrected() -> None:
    slow = arrive(*((n * 0.99, n * 1.0) for n in range(200)))
    assert max(abs(ticks - 1000 * n) for n, ticks in enumerate(slow)) <= 510


@given(st.lists(st.tuples(st.none() | st.floats(-1e6, 1e6), st.floats(0, 1e3)), min_size=1))
def test_live_times_always_increase(times: list[tuple[float | None, float]]) -> None:
    placed = arrive(*times)
    assert all(a < b for a, b in itertools.pairwise(placed))


def test_after_a_pause_without_frames_the_clock_is_that_of_arrival() -> None:
    line = ArrivalClock(MS)
    line.place(5.0, 0.0)
    assert line.place(None, 2.0) == 2000
    line.restart()
    assert line.place(5.3, 2.1) == 2100


def test_sound_is_located_on_the_clock_of_the_frames() -> None:
    clock = ArrivalClock(Fraction(1, 1000))
    assert clock.locate(100.0) is None
    clock.place(100.0, 5.0)
    clock.place(100.04, 5.05)
    assert clock.locate(100.02) == pytest.approx(0.02, abs=1e-4)
    assert clock.elapsed_s(5.5) == pytest.approx(0.5)
    clock.restart()
    assert clock.locate(0.0) is None
    clock.place(7.0, 6.0)
    assert clock.locate(7.0) == pytest.approx(1.0), "the clock itself goes on"


@pytest.mark.long
@pytest.mark.parametrize("drift", [5e-5, -5e-5])
def test_a_source_whose_clock_drifts_never_leaps(drift: float) -> None:
    """Two days at a frame a second."""
    line = ArrivalClock(Fraction(1, 90_000))
    placed = [line.place(n * (1 - drift), float(n)) for n in range(2 * 86_400)]
    steps = [after - before for before, after in pairwise(placed)]
    assert max(abs(step - 90_000) for step in steps) < 900
    assert abs(placed[-1] / 90_000 - (len(placed) - 1)) < 0.01
