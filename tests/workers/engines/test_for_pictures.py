"""Engines for still pictures: repeated for recurrent engines, reduced for huge pictures."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.records import engines as records
from stream.records.options import Edges, Options, Refine, Temporal
from stream.sources.pattern import PatternSource
from workers.engines.base import Engine, EngineState, Result
from workers.engines.for_pictures import ForPictures, picture_options, reduced


class Counting(Engine):
    """Alpha is the number of the pass; the foreground, if any, is the picture that it got."""

    name = "rvm"
    recurrent = True

    def __init__(self, colours: bool = False) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._colours = colours

    def prepare(self, frame: Frame) -> Frame:
        self.sizes.append((frame.width, frame.height))
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [
            Result(
                np.full((frame.height, frame.width), (state or 0) + 1, np.float32),
                (state or 0) + 1,
                frame.pixels if self._colours else None,
            )
            for frame, state in zip(prepared, states, strict=True)
        ]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines get at most 1,000 pixels."""
    monkeypatch.setitem(records.ENGINES, "rvm", replace(records.ENGINES["rvm"], still_px=1000))


def test_a_recurrent_engine_sees_the_picture_several_times() -> None:
    frame = PatternSource(64, 48, 1).frame(0)
    engine = ForPictures(Counting())
    (result,) = engine.infer([engine.prepare(frame)], [None])
    assert result.alpha[0, 0] == records.ENGINES["rvm"].still_passes > 1


@pytest.mark.usefixtures("_small")
def test_a_huge_picture_is_reduced_for_the_engine() -> None:
    frame, counting = PatternSource(80, 60, 1).frame(0), Counting(colours=True)
    engine = ForPictures(counting)
    (result,) = engine.infer([engine.prepare(frame)], [None])
    assert counting.sizes == [(36, 26)]
    assert result.alpha.shape == (26, 36)
    assert result.foreground is not None
    assert result.foreground.shape == frame.pixels.shape
    assert np.array_equal(result.foreground, frame.pixels), "estimated again at full size; here alpha is nowhere soft"


def test_reducing_keeps_colour_and_alpha() -> None:
    alpha = np.full((60, 80), 40, np.uint8)
    frame = Frame(np.full((90, 80), 100, np.uint8), 0, Fraction(1, 25), alpha)
    small = reduced(frame, 1200)
    assert (small.width, small.height) == (40, 30)
    assert np.unique(small.pixels).tolist() == [100]
    assert np.unique(np.asarray(small.alpha)).tolist() == [40]
    assert reduced(frame, 4800) is frame


def test_pictures_are_not_smoothed_over_time_and_coarse_mattes_are_refined() -> None:
    options = Options(temporal=Temporal.OFFLINE)
    assert picture_options(options, "rvm").temporal is Temporal.OFF
    assert picture_options(options, "rvm").edges.refine is Refine.AUTO
    assert picture_options(options, "selfie").edges.refine is Refine.ON
    kept = Options(edges=Edges(refine=Refine.OFF))
    assert picture_options(kept, "selfie").edges.refine is Refine.OFF
