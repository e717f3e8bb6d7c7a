"""The core: every frame with its own alpha, and never an unmatted one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from stream.errors import BackgroundError, EngineError
from stream.picture.frames import Frame, Plane
from stream.records.options import Options, Temporal
from stream.records.subjects import Subject
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from workers.engines.base import EngineState, Result
from workers.matte import Matte
from workers.scene.backgrounds import open_background
from workers.scene.composite import blend, flat, rgb_flat
from workers.steady.tuning import choose

COUNT = 24


@pytest.fixture(scope="module")
def pattern() -> PatternSource:
    return PatternSource(96, 64, COUNT, scene="room")


def matte(pattern: PatternSource, engine: Any = None, live: bool = False, **options: Any) -> Matte:
    chosen = Options(**options)
    backdrop = open_background(chosen.background, pattern.info.width, pattern.info.height, Settings())
    core = Matte(chosen, engine or TruthEngine(pattern), backdrop, live)
    core.open(pattern.info)
    return core


def all_of(core: Matte, frames: Iterable[Frame]) -> list[Frame]:
    out = [done for frame in frames for done in core(frame)]
    out += core.flush()
    core.close()
    return out


@pytest.mark.parametrize("batch", [1, 3, 5])
@pytest.mark.parametrize("live", [False, True])
def test_each_frame_is_composited_with_its_own_alpha(pattern: PatternSource, batch: int, live: bool) -> None:
    out = all_of(matte(pattern, TruthEngine(pattern, batch), live), pattern)
    assert [f.pts for f in out] == list(range(COUNT))
    for n, frame in enumerate(out):
        green = rgb_flat((0, 255, 0), 96, 64)
        assert np.array_equal(frame.pixels, blend(pattern.frame(n).pixels, green, pattern.alpha(n)))


def test_a_file_fills_the_engines_batch_and_a_live_video_never_waits(pattern: PatternSource) -> None:
    engine = TruthEngine(pattern, batch=5)
    all_of(matte(pattern, engine), pattern)
    assert engine.calls == [5, 5, 5, 5, 4]
    core = matte(pattern, TruthEngine(pattern, batch=5), live=True)
    assert [len(core(frame)) for frame in pattern] == [1] * COUNT
    core.close()


def test_a_recurrent_engine_gets_its_own_memory_back_in_order(pattern: PatternSource) -> None:
    class Counting(TruthEngine):
        def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
            assert [frame.pts for frame in prepared] == [states[0] or 0]
            return [replace(super().infer(prepared, states)[0], state=(states[0] or 0) + 1)]

    engine = Counting(pattern, batch=4)
    engine.recurrent = True
    assert len(all_of(matte(pattern, engine), pattern)) == COUNT


def test_a_file_fails_with_the_engine(pattern: PatternSource) -> None:
    core = matte(pattern, TruthEngine(pattern, fails_on=frozenset({7})))
    with pytest.raises(EngineError, match="truth failed: the model broke"):
        all_of(core, pattern)
    core.close()


@pytest.mark.parametrize("background", ["green", "blur", "none", "transparent"])
@pytest.mark.parametrize("view", ["composite", "matte", "side-by-side", "overlay", "stacked"])
def test_a_live_picture_without_a_matte_shows_nothing_of_the_room(background: str, view: str) -> None:
    """Two rooms that share no pixel give the same picture. (Background none shows the room on purpose.)"""
    if (background, view) == ("none", "composite"):
        return
    shown = []
    for level in (40, 220):
        room = Frame(np.full((96, 96), level, np.uint8), 0, Fraction(1, 30))
        pattern = PatternSource(96, 64, 1)
        engine = TruthEngine(pattern, fails_on=frozenset({0}))
        (out,) = all_of(matte(pattern, engine, True, background=background, view=view), [room])
        shown.append(out)
    assert np.array_equal(shown[0].pixels, shown[1].pixels)
    if view == "composite" and background == "green":
        assert np.array_equal(shown[0].pixels, rgb_flat((0, 255, 0), 96, 64))
    if view == "composite" and background == "blur":
        assert set(np.unique(shown[0].pixels)) == {126, 128}


@pytest.mark.parametrize("temporal", ["off", "live", "live+1"])
def test_a_slate_shows_the_background_alone_and_forgets_what_was(pattern: PatternSource, temporal: str) -> None:
    class Remembering(TruthEngine):
        def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
            known.append(states[0])
            return [replace(super().infer(prepared, states)[0], state="seen")]

    known: list[EngineState] = []
    core = matte(pattern, Remembering(pattern), True, temporal=temporal)
    slate = Frame(np.full((96, 96), 128, np.uint8), 2, Fraction(1, 30), slate=True)
    out = all_of(core, [pattern.frame(0), pattern.frame(1), slate, pattern.frame(3), pattern.frame(4)])
    assert [frame.pts for frame in out] == [0, 1, 2, 3, 4]
    assert [frame.slate for frame in out] == [False, False, True, False, False]
    assert np.array_equal(out[2].pixels, rgb_flat((0, 255, 0), 96, 64))
    assert known == [None, "seen", None, "seen"]
    assert (core.slates, core.covered) == (1, 0)


class Unreadable:
    """A backdrop whose file went away."""

    def at(self, frame: Frame, alpha: Plane) -> Plane | None:
        raise BackgroundError("gone.jpg cannot be read")

    def close(self) -> None: ...


def test_a_live_background_that_goes_away_gives_way_to_grey(pattern: PatternSource) -> None:
    core = Matte(Options(), TruthEngine(pattern), Unreadable(), live=True)
    core.open(pattern.info)
    out = all_of(core, pattern)
    grey = flat(126, 128, 128, 96, 64)
    assert np.array_equal(out[5].pixels, blend(pattern.frame(5).pixels, grey, pattern.alpha(5)))


def test_a_files_background_that_goes_away_ends_it(pattern: PatternSource) -> None:
    core = Matte(Options(), TruthEngine(pattern), Unreadable())
    core.open(pattern.info)
    with pytest.raises(BackgroundError, match="gone"):
        all_of(core, pattern)
    core.close()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("bad", [(5, 6), (3,), (23,)])
def test_a_damaged_frame_shows_the_last_good_result_at_its_own_time(
    pattern: PatternSource, live: bool, batch: int, bad: tuple[int, ...]
) -> None:
    frames = [replace(frame, damaged=frame.pts in bad) for frame in pattern]
    out = all_of(matte(pattern, TruthEngine(pattern, batch), live), frames)
    assert [f.pts for f in out] == list(range(COUNT))
    for n in bad:
        assert np.array_equal(out[n].pixels, out[bad[0] - 1].pixels)
    if bad[-1] + 1 < COUNT:
        assert not np.array_equal(out[bad[-1] + 1].pixels, out[bad[-1]].pixels)


def test_a_first_frame_that_is_damaged_is_matted_like_any(pattern: PatternSource) -> None:
    frames = [replace(frame, damaged=frame.pts == 0) for frame in pattern]
    assert len(all_of(matte(pattern), frames)) == COUNT


def test_small_mattes_are_brought_to_the_frames_size(pattern: PatternSource) -> None:
    class Small(TruthEngine):
        def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
            return [Result(np.array([[0.0, 1.0]], np.float32)) for _ in prepared]

    out = all_of(matte(pattern, Small(pattern), view="matte"), [pattern.frame(0)])
    row = out[0].pixels[10]
    assert out[0].pixels.shape == (64, 96)
    assert (row[0], row[-1]) == (0, 255)
    assert (np.diff(row.astype(int)) >= 0).all()
    assert abs(int(row[48]) - 128) <= 3


def test_options_engine_and_background_are_swapped_between_two_live_frames(pattern: PatternSource) -> None:
    closed = []

    class Owned(Unreadable):
        def at(self, frame: Frame, alpha: Plane) -> Plane | None:
            return rgb_flat((0, 255, 0), frame.width, frame.height)

        def close(self) -> None:
            closed.append(self)

    class Nothing(TruthEngine):
        def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
            assert list(states) == [None], "another engine's memory"
            return [Result(np.zeros((64, 96), np.float32))]

    first, blue = Owned(), rgb_flat((0, 0, 255), 96, 64)
    core = Matte(Options(), TruthEngine(pattern), first, live=True)
    core.open(pattern.info)
    core(pattern.frame(0))
    backdrop = open_background(Options(background="color:#0000ff").background, 96, 64, Settings())
    core.swap(Options(background="color:#0000ff"), backdrop=backdrop)
    (out,) = core(pattern.frame(1))
    assert np.array_equal(out.pixels, blend(pattern.frame(1).pixels, blue, pattern.alpha(1)))
    assert closed == [first]
    core.swap(Options(background="color:#0000ff"), engine=Nothing(pattern))
    assert np.array_equal(core(pattern.frame(2))[0].pixels, blue)
    assert core.swap(Options(view="side-by-side")).width == 2 * 96
    assert core(pattern.frame(3))[0].width == 2 * 96
    core.close()


DELAYS = {"off": 0, "live": 0, "live+1": 1, "offline": 6}


@pytest.mark.parametrize("mode", DELAYS)
@pytest.mark.parametrize("live", [False, True])
def test_colour_and_alpha_are_held_back_together(pattern: PatternSource, mode: str, live: bool) -> None:
    core = matte(pattern, live=live, temporal=mode, view="side-by-side")
    out = [core(frame) for frame in pattern]
    if live:
        assert [len(done) for done in out] == [0] * DELAYS[mode] + [1] * (COUNT - DELAYS[mode])
    frames = [frame for done in out for frame in done] + list(core.flush())
    core.close()
    assert [frame.pts for frame in frames] == list(range(COUNT))
    for n, frame in enumerate(frames):
        left, right = np.hsplit(frame.pixels[:64], 2)
        assert np.array_equal(left, pattern.frame(n).pixels[:64])
        inside = pattern.alpha(n) == 255
        assert np.abs(right[inside].astype(int) - left[inside]).mean() < 3


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live", "live+1", "offline"])
def test_after_a_failure_held_frames_leave_and_smoothing_starts_again(pattern: PatternSource, mode: str) -> None:
    """Nothing is lost or out of order, the failed frame is covered, and none of its neighbours is."""
    engine = TruthEngine(pattern, fails_on=frozenset({9}))
    out = all_of(matte(pattern, engine, live=True, temporal=mode), pattern)
    assert [frame.pts for frame in out] == list(range(COUNT))
    covered = [np.array_equal(frame.pixels, rgb_flat((0, 255, 0), 96, 64)) for frame in out]
    assert covered == [n == 9 for n in range(COUNT)]
    green = rgb_flat((0, 255, 0), 96, 64)
    if mode == "live":
        assert np.array_equal(out[10].pixels, blend(pattern.frame(10).pixels, green, pattern.alpha(10)))


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live+1", "offline"])
def test_damaged_frames_among_held_ones_repeat_the_frame_before_them(pattern: PatternSource, mode: str) -> None:
    frames = [replace(frame, damaged=frame.pts in (5, 6, 23)) for frame in pattern]
    out = all_of(matte(pattern, temporal=mode), frames)
    assert [frame.pts for frame in out] == list(range(COUNT))
    for n, same_as in ((5, 4), (6, 4), (23, 22)):
        assert np.array_equal(out[n].pixels, out[same_as].pixels)
    assert not np.array_equal(out[7].pixels, out[6].pixels)


@pytest.mark.long
def test_what_is_held_does_not_grow_with_the_video(pattern: PatternSource) -> None:
    core = matte(pattern, temporal="offline")
    waiting = [n - given for n, given in enumerate(accumulate(len(core(frame)) for frame in pattern), start=1)]
    filled = 2 * len(waiting) // 3
    tuning = choose(Temporal.OFFLINE, 0.5, "truth", live=False)
    assert tuning is not None
    assert max(waiting[filled:]) == max(waiting[:filled]) <= DELAYS["offline"] + 4 + tuning.burst
    core.flush()
    core.close()


class Prompted(TruthEngine):
    """Keeps the time of every prompted frame."""

    chooser = "double"

    def __init__(self, pattern: PatternSource) -> None:
        super().__init__(pattern)
        self.times_s: list[float] = []

    def prompted(self, prepared: Any, frame: Frame, subjects: Sequence[Subject]) -> Any:
        self.times_s.append(frame.time_s)
        return prepared


def test_prompts_refer_to_times_from_the_start_of_the_video(pattern: PatternSource) -> None:
    """Also if only a part of it is matted: the frames' own times begin at 0 there."""
    options, engine = Options.read(subjects=["point:0.5,0.5@12.5"]), Prompted(pattern)
    backdrop = open_background(options.background, 96, 64, Settings())
    core = Matte(options, engine, backdrop, start_s=12.5)
    core.open(pattern.info)
    out = all_of(core, pattern)
    own_s = [frame.time_s for frame in pattern]
    assert engine.times_s == pytest.approx([12.5 + time_s for time_s in own_s])
    assert [frame.time_s for frame in out] == own_s
