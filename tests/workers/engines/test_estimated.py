import numpy as np

from stream.records.options import Options
from stream.settings import Settings
from tests.workers.engines import clip, run
from workers.edges import foreground
from workers.edges.shape import full_size
from workers.engines.chroma import Chroma
from workers.engines.estimated import Estimated
from workers.engines.selfie import Selfie


def test_colours_come_with_the_engines_own_alpha() -> None:
    frames = clip(count=3)
    plain = Selfie(Options(), Settings())
    for frame, got, wanted in zip(frames, run(Estimated(plain), frames), run(plain, frames), strict=True):
        np.testing.assert_array_equal(got.alpha, wanted.alpha)
        assert got.foreground is not None
        np.testing.assert_array_equal(got.foreground, foreground.estimate(frame.pixels, wanted.alpha))
        changed = (got.foreground != frame.pixels)[: frame.height]
        full = full_size(wanted.alpha, frame)
        assert changed[(full > 64) & (full < 192)].mean() > 0.5


def test_an_engines_own_colours_stay() -> None:
    from tests.workers.engines.test_contract import video

    frames = video(96, 64)
    plain = Chroma(Options(), Settings())
    for got, wanted in zip(run(Estimated(plain), frames), run(plain, frames), strict=True):
        assert got.foreground is not None
        assert wanted.foreground is not None
        np.testing.assert_array_equal(got.foreground, wanted.foreground)


def test_a_grey_frame_has_no_colours() -> None:
    frame = clip(count=1)[0]
    grey = frame.with_pixels(frame.planes()[0].copy(), gray=True)
    (result,) = run(Estimated(Selfie(Options(), Settings())), [grey])
    assert result.foreground is None
