"""Colour above alpha of a live video: drawn only while wanted, from the composite's matte, and never with the room."""

from dataclasses import replace

import numpy as np
import pytest

from stream.picture.frames import Frame, Plane, split_i420
from stream.records.options import Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from workers.live.matte import LiveMatte
from workers.scene.composite import flat, stacked

NOTHING = stacked(flat(126, 128, 128, 96, 64), np.zeros((64, 96), np.uint8))
"""Alpha 0 everywhere, and no colour."""


@pytest.fixture(scope="module")
def pattern() -> PatternSource:
    return PatternSource(96, 64, 8, scene="room")


def opened(pattern: PatternSource, engine: TruthEngine | None, **options: object) -> LiveMatte:
    """A live matte that has a viewer of colour above alpha."""
    live = LiveMatte(Options.read(**options), engine, Settings(), lambda: True)
    live.open(pattern.info)
    return live


def stack_of(frames: list[Frame]) -> Plane:
    (frame,) = frames
    (stack,) = frame.others
    assert (stack.pts, stack.time_base) == (frame.pts, frame.time_base)
    return stack.pixels


def true_stack(pattern: PatternSource, n: int) -> Plane:
    return stacked(pattern.frame(n).pixels, pattern.alpha(n))


def test_nothing_is_black_and_alpha_0() -> None:
    y, u, v = split_i420(NOTHING)
    assert {*np.unique(y), *np.unique(u), *np.unique(v)} == {16, 128}


def test_it_is_drawn_only_while_someone_wants_it(pattern: PatternSource) -> None:
    wanted = [False, True, True, False]
    live = LiveMatte(Options(), TruthEngine(pattern), Settings(), lambda: wanted.pop(0))
    live.open(pattern.info)
    frames = [live(pattern.frame(n))[0] for n in range(4)]
    assert [len(frame.others) for frame in frames] == [0, 1, 1, 0]
    plain = LiveMatte(Options(), TruthEngine(pattern), Settings())
    plain.open(pattern.info)
    for n, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, plain(pattern.frame(n))[0].pixels), "the published view is the same"
    live.close()
    plain.close()


@pytest.mark.parametrize("background", ["green", "blur", "transparent", "none"])
@pytest.mark.parametrize("view", ["composite", "matte", "overlay", "side-by-side", "stacked"])
def test_the_published_background_and_view_do_not_matter(pattern: PatternSource, background: str, view: str) -> None:
    live = opened(pattern, TruthEngine(pattern), background=background, view=view)
    for n in range(2):
        assert np.array_equal(stack_of(live(pattern.frame(n))), true_stack(pattern, n))
    live.close()


def test_it_has_the_edges_of_the_composite_without_light_wrap(pattern: PatternSource) -> None:
    edges = {"expand": 4.0, "light_wrap": 1.0}
    live = opened(pattern, TruthEngine(pattern), view="matte", edges=edges)
    (frame,) = live(pattern.frame(0))
    assert frame.pixels.sum() > pattern.alpha(0).sum(), "the matte has grown"
    assert np.array_equal(frame.others[0].pixels, stacked(pattern.frame(0).pixels, frame.pixels))
    live.close()


def test_options_and_size_may_change(pattern: PatternSource) -> None:
    large = PatternSource(192, 128, 8, scene="room")
    live = opened(pattern, TruthEngine(pattern))
    live(pattern.frame(0))
    live.change(Options.read(background="color:#0000ff", view="matte"))
    assert np.array_equal(stack_of(live(pattern.frame(1))), true_stack(pattern, 1))
    live.set_engine(TruthEngine(large))
    assert np.array_equal(stack_of(live(large.frame(2))), true_stack(large, 2))
    live.close()


@pytest.mark.long
def test_the_delayed_smoothing_keeps_colour_and_alpha_of_one_frame(pattern: PatternSource) -> None:
    live = opened(pattern, TruthEngine(pattern), temporal="live+1", view="matte")
    out = [frame for n in range(5) for frame in live(pattern.frame(n))] + live.flush()
    assert [frame.pts for frame in out] == [0, 1, 2, 3, 4]
    for frame in out:
        assert np.array_equal(frame.others[0].pixels, stacked(pattern.frame(frame.pts).pixels, frame.pixels))
    live.close()


@pytest.mark.parametrize("background", ["green", "blur:0", "none", "transparent"])
@pytest.mark.parametrize("view", ["composite", "overlay", "side-by-side", "stacked"])
@pytest.mark.parametrize("cause", ["loading", "engine failed", "camera lost"])
def test_without_a_matte_nothing_is_shown(pattern: PatternSource, cause: str, background: str, view: str) -> None:
    engine = {"loading": None, "engine failed": TruthEngine(pattern, fails_on=frozenset({0}))}
    live = opened(pattern, engine.get(cause, TruthEngine(pattern)), background=background, view=view)
    frame = replace(pattern.frame(0), slate=cause == "camera lost")
    assert np.array_equal(stack_of(live(frame)), NOTHING)
    live.close()


def test_a_damaged_frame_right_after_a_viewer_joined_shows_nothing(pattern: PatternSource) -> None:
    wanted = [False, True]
    live = LiveMatte(Options(), TruthEngine(pattern), Settings(), lambda: wanted.pop(0))
    live.open(pattern.info)
    live(pattern.frame(0))
    assert np.array_equal(stack_of(live(replace(pattern.frame(1), damaged=True))), NOTHING)
    live.close()


def test_a_failed_frame_between_two_good_ones_shows_nothing(pattern: PatternSource) -> None:
    live = opened(pattern, TruthEngine(pattern, fails_on=frozenset({1})))
    stacks = [stack_of(live(pattern.frame(n))) for n in range(3)]
    assert np.array_equal(stacks[1], NOTHING)
    assert np.array_equal(stacks[2], true_stack(pattern, 2))
    live.close()


def test_the_owners_room_stays_as_it_is_when_the_engine_fails(pattern: PatternSource) -> None:
    """Background none needs no engine; a viewer of colour above alpha must not change what it shows."""
    live = opened(pattern, TruthEngine(pattern, fails_on=frozenset({0})), background="none")
    (frame,) = live(pattern.frame(0))
    assert np.array_equal(frame.pixels, pattern.frame(0).pixels)
    assert np.array_equal(frame.others[0].pixels, NOTHING)
    live.close()


def test_the_room_is_blanked_where_alpha_is_0(pattern: PatternSource) -> None:
    live = opened(pattern, TruthEngine(pattern))
    one, other = pattern.frame(0), pattern.frame(0).with_pixels(pattern.frame(0).pixels.copy())
    outside = pattern.alpha(0) == 0
    other.pixels[:64][outside] = 235 - other.pixels[:64][outside]
    assert not np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(stack_of(live(one)), stack_of(live(other))), "it does not depend on the room"
    live.close()
