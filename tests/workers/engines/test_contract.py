"""The contract of every engine in the registry."""

from dataclasses import replace

import numpy as np
import pytest

from stream.errors import UsageError
from stream.picture.frames import Frame
from stream.records.engines import ENGINES
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, disc, infer, over, run
from workers.engines import load
from workers.engines.base import Engine, Result

GREEN = (0, 177, 64)


def _params() -> list[object]:
    """All engines; large networks are long tests."""
    large = {name for name, record in ENGINES.items() if record.catalogue and record.heavy}
    return [pytest.param(name, marks=[pytest.mark.long] if name in large else []) for name in ENGINES]


@pytest.fixture(scope="module", params=_params())
def engine(request: pytest.FixtureRequest) -> Engine:
    record, settings = ENGINES[request.param], Settings()
    for module in record.modules:
        pytest.importorskip(module)
    if record.catalogue:  # small random weights stand for the published ones
        weights = request.getfixturevalue(f"{record.name}_weights")
        settings = settings.model_copy(update={"half": False, record.name: f"{weights}@96x64"})
    return load(record.name, Options(), settings)


def video(width: int, height: int, count: int = 4, start: float = 0.3) -> list[Frame]:
    alphas = [disc(width, height, start + 0.05 * i) for i in range(count)]
    return [replace(over((200, 160, 140), alpha, GREEN, noise=1.0), pts=i) for i, alpha in enumerate(alphas)]


def assert_same(actual: list[Result], expected: list[Result]) -> None:
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one.alpha, other.alpha, rtol=0, atol=1e-4)
        assert (one.foreground is None) == (other.foreground is None)
        if one.foreground is not None and other.foreground is not None:
            np.testing.assert_array_equal(one.foreground, other.foreground)


def test_it_has_the_required_attributes(engine: Engine) -> None:
    assert ENGINES[engine.name].name == engine.name
    assert engine.batch >= 1
    assert engine.warmup_frames >= 0
    assert isinstance(engine.recurrent, bool)
    assert engine.device


@pytest.mark.parametrize("size", [(2, 2), (4, 2), (2, 64), (64, 2), (46, 34), (144, 256), (320, 240)])
def test_alpha_is_finite_and_in_range_at_any_size(engine: Engine, size: tuple[int, int]) -> None:
    for frame, result in zip(video(*size, count=2), run(engine, video(*size, count=2)), strict=True):
        assert result.alpha.dtype == np.float32
        assert result.alpha.ndim == 2
        assert np.isfinite(result.alpha).all()
        assert result.alpha.min() >= 0.0
        assert result.alpha.max() <= 1.0
        assert result.foreground is None or result.foreground.shape == frame.pixels.shape
        assert result.foreground is None or result.foreground.dtype == np.uint8


@pytest.mark.long
def test_two_interleaved_videos_match_each_alone(engine: Engine) -> None:
    left, right = clip(160, 120, 4), video(160, 120)
    states, turns = [None, None], []
    for pair in zip(left, right, strict=True):
        for index, frame in enumerate(pair):
            turns += infer(engine, [frame], [states[index]])
            states[index] = turns[-1].state
    assert_same(turns[0::2], run(engine, left))
    assert_same(turns[1::2], run(engine, right))


@pytest.mark.long
def test_a_batch_matches_each_frame_alone(engine: Engine) -> None:
    """Two of the same size, one in portrait format, and one that starts later than the others."""
    videos = [clip(160, 120, 4), video(160, 120), video(120, 160), [*video(160, 120, 4, start=0.6)]]
    alone = [run(engine, frames) for frames in (*videos[:3], videos[3][1:])]
    states, batches = [None] * 4, []
    for step, frames in enumerate(zip(*videos, strict=True)):
        if step == 1:
            states[3] = None
        batches.append(infer(engine, frames, states))
        states = [result.state for result in batches[-1]]
    for index in range(3):
        assert_same([batch[index] for batch in batches], alone[index])
    assert_same([batch[3] for batch in batches[1:]], alone[3])


def test_it_does_not_modify_its_input(engine: Engine) -> None:
    frames = video(64, 48)
    before = [frame.pixels.copy() for frame in frames]
    results = run(engine, frames)
    first = results[0].alpha.copy()
    for frame, pixels in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels)
    infer(engine, frames[-1:], [None])
    np.testing.assert_array_equal(results[0].alpha, first)  # later calls do not modify earlier results either


def test_the_size_may_change_during_a_video(engine: Engine) -> None:
    old = run(engine, video(160, 120))
    (changed,) = infer(engine, video(96, 128, 1), [old[-1].state])
    assert np.isfinite(changed.alpha).all()
    (after,) = infer(engine, video(96, 128, 2)[1:], [changed.state])
    assert after.alpha.shape == changed.alpha.shape


def test_grey_frames_are_accepted(engine: Engine) -> None:
    frame = video(64, 48, 1)[0]
    luma = frame.planes()[0].copy()
    (result,) = infer(engine, [frame.with_pixels(luma, gray=True)], [None])
    assert np.isfinite(result.alpha).all()


def test_an_empty_batch_gives_no_results(engine: Engine) -> None:
    assert infer(engine, [], []) == []


def test_the_error_for_an_unknown_engine_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="rvm, selfie, chroma"):
        load("magic", Options(), Settings())
