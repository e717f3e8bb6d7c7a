"""Cross-fades between backgrounds: gradual, of limited duration, and every backdrop is closed."""

from fractions import Fraction

import numpy as np
import pytest

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane
from workers.scene.composite import flat
from workers.scene.crossfade import FADE_S, Crossfade

ALPHA = np.zeros((4, 4), np.uint8)


class Grey:
    """A backdrop of one level that counts how often it is closed, and may fail."""

    def __init__(self, level: int, fails: bool = False) -> None:
        self.picture, self.fails, self.closed = flat(level, 128, 128, 4, 4), fails, 0

    def at(self, frame: Frame, alpha: Plane) -> Plane:
        if self.fails:
            raise BackgroundError("gone")
        return self.picture

    def close(self) -> None:
        self.closed += 1


def level(fade: Crossfade, time_s: float) -> int:
    picture = fade.at(Frame(flat(0, 128, 128, 4, 4), round(time_s * 1000), Fraction(1, 1000)), ALPHA)
    assert picture is not None
    return int(picture[0, 0])


def test_it_fades_from_one_to_the_other() -> None:
    old, new = Grey(20), Grey(220)
    fade = Crossfade(old)
    assert level(fade, 9.0) == 20
    fade.turn_to(new)
    levels = [level(fade, 10.0 + n / 30) for n in range(6)]
    assert levels == sorted(levels)
    assert 20 < levels[0] < 120, "it is visible in the next frame"
    assert levels[-1] == 220
    assert (old.closed, new.closed) == (1, 0)
    fade.close()
    assert new.closed == 1


def test_a_third_one_ends_the_first_fade() -> None:
    first, second, third = Grey(20), Grey(120), Grey(220)
    fade = Crossfade(first)
    fade.turn_to(second)
    level(fade, 0.0)
    fade.turn_to(third)
    assert first.closed == 1
    assert 120 < level(fade, 0.01) < 220
    fade.close()
    assert (second.closed, third.closed) == (1, 1)


def test_without_a_fade() -> None:
    old = Grey(20)
    fade = Crossfade(old)
    fade.turn_to(Grey(220), softly=False)
    assert old.closed == 1
    assert level(fade, 0.0) == 220


def test_a_jump_in_time_ends_the_fade() -> None:
    for jump_s in (-5.0, FADE_S, 100.0):
        fade = Crossfade(Grey(20))
        fade.turn_to(Grey(220))
        level(fade, 10.0)
        assert level(fade, 10.0 + jump_s) == 220


def test_a_failing_old_backdrop_is_dropped_and_a_failing_new_one_raises() -> None:
    old = Grey(20)
    fade = Crossfade(old)
    fade.turn_to(Grey(220))
    old.fails = True
    assert level(fade, 0.0) == 220
    assert old.closed == 1
    fade.turn_to(Grey(0, fails=True))
    with pytest.raises(BackgroundError):
        level(fade, 1.0)
