import numpy as np
import pytest

from stream.errors import EngineError
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, infer, run
from workers.engines.rvm import Rvm
from workers.runtimes.fallback import replaced


@pytest.fixture(scope="module")
def rvm() -> Rvm:
    return Rvm(Options(), Settings())


def test_alpha_has_the_frame_size(rvm: Rvm) -> None:
    assert run(rvm, clip(240, 320, 1))[0].alpha.shape == (320, 240)


@pytest.mark.long
def test_the_recurrent_state_is_used(rvm: Rvm) -> None:
    frames = clip(count=4)
    (fresh,) = infer(rvm, frames[3:], [None])
    assert np.abs(run(rvm, frames)[3].alpha - fresh.alpha).max() > 0.01


def test_a_new_size_starts_over(rvm: Rvm) -> None:
    state = run(rvm, clip(160, 120, 3))[-1].state
    (changed,), (fresh,) = infer(rvm, clip(120, 160, 1), [state]), infer(rvm, clip(120, 160, 1), [None])
    np.testing.assert_array_equal(changed.alpha, fresh.alpha)


def refuses_a_broken_state(engine: Rvm) -> None:
    (frame,) = clip(160, 120, 1)
    (result,) = infer(engine, [frame], [None])
    broken = type(result.state)(result.state.size, result.state.maps[::-1])
    with pytest.raises(EngineError, match="rvm"):
        infer(engine, [frame], [broken])


def test_a_failure_is_an_engine_error(rvm: Rvm) -> None:
    refuses_a_broken_state(rvm)


@pytest.fixture(scope="module")
def in_openvino() -> Rvm:
    pytest.importorskip("openvino")
    return Rvm(Options(), Settings(runtime="openvino", half=False))


@pytest.mark.long
def test_openvino_gives_the_same_mattes(rvm: Rvm, in_openvino: Rvm) -> None:
    assert (rvm.device, in_openvino.device) == ("cpu", "cpu (openvino, float32)")
    before = replaced()
    for size, failures in (((240, 320), 0), ((50, 34), 0), ((2, 64), 1)):  # OpenVINO does not take the smallest
        frames = clip(*size, 2)
        for expected, result in zip(run(rvm, frames), run(in_openvino, frames), strict=True):
            np.testing.assert_allclose(result.alpha, expected.alpha, rtol=0, atol=1e-5)
        assert replaced() == before + failures


@pytest.mark.long
def test_openvino_keeps_videos_apart_and_starts_over_at_a_new_size(in_openvino: Rvm) -> None:
    frames = clip(160, 120, 3)
    expected = run(in_openvino, frames)
    state = run(in_openvino, clip(120, 160, 2))[-1].state
    for frame, alone in zip(frames, expected, strict=True):
        (result,) = infer(in_openvino, [frame], [state])
        np.testing.assert_array_equal(result.alpha, alone.alpha)
        state = result.state


def test_openvino_reports_a_broken_state(in_openvino: Rvm) -> None:
    refuses_a_broken_state(in_openvino)
    infer(in_openvino, clip(160, 120, 1), [None])
