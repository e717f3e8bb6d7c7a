from typing import Any

import numpy as np

from stream.picture.frames import Frame
from stream.records.options import Options, Temporal
from stream.settings import Settings
from tests.workers.engines.engine_runs import clip, run
from workers.edges import foreground
from workers.edges.shape import full_size
from workers.engines.chroma import Chroma
from workers.engines.selfie import Selfie
from workers.engines.with_foreground import WithForeground
from workers.live.device_thread import DeviceThread
from workers.steady.tuning import Tuning, choose


def test_colours_come_with_the_engines_own_alpha() -> None:
    frames = clip(count=3)
    plain = Selfie(Options(), Settings())
    for frame, got, wanted in zip(frames, run(WithForeground(plain), frames), run(plain, frames), strict=True):
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
    for got, wanted in zip(run(WithForeground(plain), frames), run(plain, frames), strict=True):
        assert got.foreground is not None
        assert wanted.foreground is not None
        np.testing.assert_array_equal(got.foreground, wanted.foreground)


def test_a_grey_frame_has_no_colours() -> None:
    frame = clip(count=1)[0]
    grey = frame.with_pixels(frame.planes()[0].copy(), gray=True)
    (result,) = run(WithForeground(Selfie(Options(), Settings())), [grey])
    assert result.foreground is None


class Able(Selfie):
    """Learns and steadies, in words."""

    def measure(self, frame: Frame) -> str:
        return f"learnt of {frame.pts}"

    def recall(self, measured: str) -> str:
        return f"knows: {measured}"

    def steadied(self, prepared: Any, frame: Frame, tuning: Tuning) -> Any:
        return prepared * 0 + 7


def test_what_an_engine_can_do_is_passed_on_by_all_that_wraps_it() -> None:
    frame, tuning = clip(count=1)[0], choose(Temporal.LIVE, 1.0, "selfie", live=True)
    assert tuning is not None
    able = Able(Options(), Settings())
    device = DeviceThread(WithForeground(able))
    assert device.measure(frame) == f"learnt of {frame.pts}"
    assert device.recall("this") == "knows: this"
    (plain,), (steadied,) = (
        device.infer([prepared], [None])
        for prepared in (device.prepare(frame), device.steadied(device.prepare(frame), frame, tuning))
    )
    (seven,) = able.infer([able.prepare(frame) * 0 + 7], [None])
    device.close()
    np.testing.assert_array_equal(steadied.alpha, seven.alpha)
    assert not np.array_equal(steadied.alpha, plain.alpha)
    assert steadied.foreground is not None


def test_an_engine_that_can_none_of_it_says_so() -> None:
    frame, tuning = clip(count=1)[0], choose(Temporal.LIVE, 1.0, "selfie", live=True)
    assert tuning is not None
    plain = Selfie(Options(), Settings())
    prepared = plain.prepare(frame)
    assert plain.measure(frame) == ""
    assert plain.recall("") is None
    assert plain.steadied(prepared, frame, tuning) is prepared
