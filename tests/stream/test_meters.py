"""Meters of live video: a stopwatch gives the mean time per run since it was last read."""

import time

import pytest

from stream.meters import Stopwatch


@pytest.mark.clocked
def test_a_stopwatch_gives_the_mean_and_resets() -> None:
    watch = Stopwatch()
    assert watch.take_ms() == 0.0
    for sleep_s in (0.02, 0.04):
        with watch:
            time.sleep(sleep_s)
    assert 30 <= watch.take_ms() < 300
    assert watch.take_ms() == 0.0


def test_a_run_that_raises_counts_too() -> None:
    watch = Stopwatch()
    try:
        with watch:
            time.sleep(0.01)
            raise ValueError
    except ValueError:
        pass
    assert watch.take_ms() >= 10
