"""Meters of live video: what a stage takes is a mean over its rounds since it was last asked."""

import time

from stream.meters import Stopwatch


def test_a_stopwatch_tells_the_mean_and_begins_anew() -> None:
    watch = Stopwatch()
    assert watch.take_ms() == 0.0
    for sleep_s in (0.02, 0.04):
        with watch:
            time.sleep(sleep_s)
    assert 30 <= watch.take_ms() < 300
    assert watch.take_ms() == 0.0


def test_a_round_that_fails_counts_too() -> None:
    watch = Stopwatch()
    try:
        with watch:
            time.sleep(0.01)
            raise ValueError
    except ValueError:
        pass
    assert watch.take_ms() >= 10
