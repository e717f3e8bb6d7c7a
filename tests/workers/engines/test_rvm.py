import numpy as np
import pytest

from stream.errors import EngineError
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, infer, run
from workers.engines.rvm import Rvm


@pytest.fixture(scope="module")
def rvm() -> Rvm:
    return Rvm(Options(), Settings())


def test_alpha_has_the_frame_size(rvm: Rvm) -> None:
    assert run(rvm, clip(240, 320, 1))[0].alpha.shape == (320, 240)


def test_the_recurrent_state_is_used(rvm: Rvm) -> None:
    frames = clip(count=4)
    (fresh,) = infer(rvm, frames[3:], [None])
    assert np.abs(run(rvm, frames)[3].alpha - fresh.alpha).max() > 0.01


def test_a_new_size_starts_over(rvm: Rvm) -> None:
    state = run(rvm, clip(160, 120, 3))[-1].state
    (changed,), (fresh,) = infer(rvm, clip(120, 160, 1), [state]), infer(rvm, clip(120, 160, 1), [None])
    np.testing.assert_array_equal(changed.alpha, fresh.alpha)


def test_a_failure_is_an_engine_error(rvm: Rvm) -> None:
    (frame,) = clip(160, 120, 1)
    (result,) = infer(rvm, [frame], [None])
    broken = type(result.state)(result.state.size, result.state.maps[::-1])
    with pytest.raises(EngineError, match="rvm"):
        infer(rvm, [frame], [broken])
