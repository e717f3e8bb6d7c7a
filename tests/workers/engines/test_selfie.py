from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stream.picture.frames import Alpha, Frame
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, infer, run
from workers.engines.selfie import Selfie


@pytest.fixture(scope="module")
def selfie() -> Selfie:
    return Selfie(Options(), Settings())


def test_it_has_no_memory(selfie: Selfie) -> None:
    frames = clip(count=3)
    (alone,) = infer(selfie, frames[2:], [None])
    np.testing.assert_array_equal(run(selfie, frames)[2].alpha, alone.alpha)


def test_threads_get_their_own_results(selfie: Selfie) -> None:
    frames = clip(count=12)

    def alpha(frame: Frame) -> Alpha:
        return infer(selfie, [frame], [None])[0].alpha

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(alpha, frames))
    for one, frame in zip(results, frames, strict=True):
        np.testing.assert_array_equal(one, alpha(frame))
