"""A live matte can be changed while it runs, and never shows the room."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane
from stream.records.options import Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from workers.live.matte import LiveMatte
from workers.scene.composite import blend, checkerboard, flat, rgb_flat
from workers.scene.crossfade import FADE_S

GREEN, BLUE = rgb_flat((0, 255, 0), 96, 64), rgb_flat((0, 0, 255), 96, 64)


@pytest.fixture(scope="module")
def pattern() -> PatternSource:
    return PatternSource(96, 64, 8, scene="room")


def matte(pattern: PatternSource, engine: TruthEngine | None, **options: object) -> LiveMatte:
    live = LiveMatte(Options.read(**options), engine, Settings())
    live.open(pattern.info)
    return live


def behind(pattern: PatternSource, n: int, background: Plane) -> Plane:
    return blend(pattern.frame(n).pixels, background, pattern.alpha(n))


def test_until_the_engine_is_loaded_the_background_is_shown(pattern: PatternSource) -> None:
    live = matte(pattern, None)
    (covered,) = live(pattern.frame(0))
    assert np.array_equal(covered.pixels, GREEN)
    live.set_engine(TruthEngine(pattern))
    assert np.array_equal(live(pattern.frame(1))[0].pixels, behind(pattern, 1, GREEN))
    assert (live.covered, live.matted) == (1, 1)
    live.close()


def test_a_new_background_fades_in_from_the_next_frame_on(pattern: PatternSource) -> None:
    live = matte(pattern, TruthEngine(pattern))
    live(pattern.frame(0))
    live.change(Options(background="color:#0000ff"))
    frames = (pattern.frame(n) for n in range(1, 8))
    mixed = live(next(frames))[0].pixels
    assert not np.array_equal(mixed, behind(pattern, 1, GREEN))
    assert not np.array_equal(mixed, behind(pattern, 1, BLUE))
    while (last := next(frames)).time_s < pattern.frame(1).time_s + FADE_S:
        live(last)
    assert np.array_equal(live(last)[0].pixels, behind(pattern, last.pts, BLUE))
    live.close()


def test_transparency_is_shown_as_a_checkerboard(pattern: PatternSource) -> None:
    live = matte(pattern, TruthEngine(pattern), background="transparent")
    assert np.array_equal(live(pattern.frame(0))[0].pixels, behind(pattern, 0, checkerboard(96, 64)))
    live.close()


def test_the_room_is_removed_without_a_fade(pattern: PatternSource) -> None:
    live = matte(pattern, TruthEngine(pattern), background="none")
    live(pattern.frame(0))
    live.change(Options(background="color:#0000ff"))
    assert np.array_equal(live(pattern.frame(1))[0].pixels, behind(pattern, 1, BLUE))
    live.close()


def test_an_unreadable_background_keeps_the_old_one(pattern: PatternSource, tmp_path: Path) -> None:
    live = matte(pattern, TruthEngine(pattern))
    live(pattern.frame(0))
    with pytest.raises(BackgroundError):
        live.change(Options(background=f"image:{tmp_path / 'none.png'}"))
    assert np.array_equal(live(pattern.frame(1))[0].pixels, behind(pattern, 1, GREEN))
    live.close()


def test_an_unreadable_first_background_is_grey(pattern: PatternSource, tmp_path: Path) -> None:
    live = matte(pattern, TruthEngine(pattern), background=f"image:{tmp_path / 'none.png'}")
    assert np.array_equal(live(pattern.frame(0))[0].pixels, behind(pattern, 0, flat(126, 128, 128, 96, 64)))
    live.close()


def test_changes_before_the_first_frame_are_applied(pattern: PatternSource) -> None:
    live = LiveMatte(Options(), TruthEngine(pattern), Settings())
    live.change(Options(background="color:#0000ff"))
    live.open(pattern.info)
    assert np.array_equal(live(pattern.frame(0))[0].pixels, behind(pattern, 0, BLUE))
    live.close()


def test_the_picture_may_change_its_size(pattern: PatternSource) -> None:
    large = PatternSource(192, 128, 8, scene="room")
    live = matte(pattern, TruthEngine(pattern), background="color:#0000ff")
    live(pattern.frame(0))
    live.change(Options())  # opened for the old size, not yet in use
    live.set_engine(TruthEngine(large))
    (out,) = live(large.frame(1))
    assert np.array_equal(out.pixels, blend(large.frame(1).pixels, rgb_flat((0, 255, 0), 192, 128), large.alpha(1)))
    live.close()


def test_a_failed_frame_shows_the_background_and_the_next_is_matted(pattern: PatternSource) -> None:
    live = matte(pattern, TruthEngine(pattern, fails_on=frozenset({1})))
    shown: list[Frame] = [live(pattern.frame(n))[0] for n in range(3)]
    assert np.array_equal(shown[1].pixels, GREEN)
    assert np.array_equal(shown[2].pixels, behind(pattern, 2, GREEN))
    assert live.covered == 1
    live.close()


def test_both_a_view_and_an_engine_may_change_at_once(pattern: PatternSource) -> None:
    live = matte(pattern, None)
    live.change(Options(view="matte"), TruthEngine(pattern))
    (out,) = live(replace(pattern.frame(3)))
    assert out.gray
    assert np.array_equal(out.pixels, pattern.alpha(3))
    live.close()


def test_no_engine_runs_for_background_none(pattern: PatternSource) -> None:
    engine = TruthEngine(pattern)
    live = matte(pattern, engine, background="none")
    assert np.array_equal(live(pattern.frame(1))[0].pixels, pattern.frame(1).pixels)
    assert engine.calls == []
    live.change(Options(background="color:#0000ff"))
    assert np.array_equal(live(pattern.frame(2))[0].pixels, behind(pattern, 2, BLUE))
    assert (len(engine.calls), live.matted) == (1, 1)
    live.close()


def test_the_count_of_mattes_never_decreases(pattern: PatternSource) -> None:
    live = matte(pattern, TruthEngine(pattern), background="none")
    seen, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            seen.append(live.matted)
            time.sleep(0)  # otherwise it blocks the interpreter for 5 ms each time

    watching = threading.Thread(target=watch)
    watching.start()
    for n in range(400):
        live(pattern.frame(n % 8))
        if n == 200:
            live.change(Options(background="color:#0000ff"))
    ended.set()
    watching.join()
    assert seen == sorted(seen)
    assert live.matted == 199
    live.close()
