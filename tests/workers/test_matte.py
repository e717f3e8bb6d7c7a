"""The core: every frame with its own alpha, and never an unmatted one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import BackgroundError, EngineError
from stream.frames import Frame
from stream.session import Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from workers.composite import blend, rgb_flat
from workers.engines.base import Result, State
from workers.matte import Matte

COUNT = 24


@pytest.fixture(scope="module")
def pattern() -> PatternSource:
    return PatternSource(96, 64, COUNT, scene="room")


def matte(pattern: PatternSource, engine: Any = None, live: bool = False, **options: Any) -> Matte:
    core = Matte(Options(**options), engine or TruthEngine(pattern), Settings(), live)
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
        def infer(self, prepared: Sequence[Frame], states: Sequence[State]) -> list[Result]:
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
@pytest.mark.parametrize("view", ["composite", "side-by-side", "overlay", "stacked"])
def test_a_live_picture_without_a_matte_shows_nothing_of_the_room(
    pattern: PatternSource, background: str, view: str
) -> None:
    core = matte(pattern, TruthEngine(pattern, fails_on=frozenset({0, 3})), True, background=background, view=view)
    out = all_of(core, pattern)
    assert len(out) == COUNT
    room_a, room_b = (out[n] for n in (0, 3))
    assert np.array_equal(room_a.pixels, room_b.pixels)  # nothing that depends on the camera is in it
    if background != "none":
        assert not np.array_equal(out[1].pixels, room_a.pixels)


def test_a_damaged_frame_shows_the_last_good_result_at_its_own_time(pattern: PatternSource) -> None:
    frames = [replace(frame, damaged=frame.pts in (5, 6)) for frame in pattern]
    out = all_of(matte(pattern), frames)
    assert [f.pts for f in out] == list(range(COUNT))
    assert np.array_equal(out[5].pixels, out[4].pixels)
    assert np.array_equal(out[6].pixels, out[4].pixels)
    assert not np.array_equal(out[7].pixels, out[4].pixels)


def test_a_background_that_cannot_be_read_is_an_error_before_the_first_frame(
    pattern: PatternSource, tmp_path: Path
) -> None:
    core = Matte(Options(background=f"image:{tmp_path / 'none.jpg'}"), TruthEngine(pattern), Settings())
    with pytest.raises(BackgroundError, match=r"none\.jpg"):
        core.open(pattern.info)
    core.close()


def test_small_mattes_are_brought_to_the_frames_size(pattern: PatternSource) -> None:
    class Small(TruthEngine):
        def infer(self, prepared: Sequence[Frame], states: Sequence[State]) -> list[Result]:
            return [Result(np.array([[0.0, 1.0]], np.float32)) for _ in prepared]

    out = all_of(matte(pattern, Small(pattern), view="matte"), [pattern.frame(0)])
    row = out[0].pixels[10]
    assert out[0].pixels.shape == (64, 96)
    assert (row[0], row[-1]) == (0, 255)
    assert (np.diff(row.astype(int)) >= 0).all()
    assert abs(int(row[48]) - 128) <= 3
