"""Mattes smoothed on the device that computes them, as on a GPU: here on torch's CPU device, with scripted mattes."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("av")

from stream.picture.frames import Frame, VideoInfo
from stream.records.options import Options, Temporal
from stream.settings import Settings
from tests.workers.smoothing_clips import Clip, clip
from workers.engines.base import Engine, Result
from workers.engines.birefnet import Birefnet
from workers.live.device_thread import DeviceThread
from workers.matte import Matte
from workers.scene.backgrounds import open_background
from workers.steady.smooth_torch import DeviceSmoother
from workers.steady.tuning import choose

TUNING = choose(Temporal.LIVE, 1.0, "birefnet", live=True)


class Scripted(Birefnet):
    """Returns the mattes of a script, whatever the frames."""

    script: list[Any]

    def _alphas(self, pictures: Any, exact: bool) -> Any:
        alphas, self.script = self.script[: len(pictures)], self.script[len(pictures) :]
        return torch.stack(alphas)


@pytest.fixture(scope="module")
def still() -> Clip:
    return clip(lambda n: [320.0], 12)


@pytest.fixture
def engine(birefnet_weights: Path, still: Clip) -> Scripted:
    engine = Scripted(Options(foreground="keep"), Settings(birefnet=f"{birefnet_weights}@256x160", half=False))
    assert engine.smoother is None  # on a CPU
    engine.script = [torch.from_numpy(cv2.resize(alpha, (256, 160))) for alpha in still.raw]
    engine.smoother = DeviceSmoother()
    return engine


def prepared(engine: Birefnet, frame: Frame) -> Any:
    assert TUNING is not None
    return engine.steadied(engine.prepare(frame), frame, TUNING)


def mattes(engine: Engine, frames: Sequence[Frame], live: bool = True, **options: Any) -> list[Any]:
    """Luma of each frame in the view `matte`."""
    chosen = Options.read(view="matte", temporal_strength=1.0, **options)
    core = Matte(chosen, engine, open_background(chosen.background, 640, 360, Settings()), live)
    core.open(VideoInfo(640, 360, Fraction(1, 30), Fraction(30)))
    out = [done.pixels[:360] for frame in frames for done in core(frame)]
    out += [done.pixels[:360] for done in core.flush()]
    core.close()
    return out


def flicker(lumas: Sequence[Any]) -> float:
    """Mean change from frame to frame after the first few, in levels."""
    return float(np.abs(np.diff(np.stack(lumas[4:]).astype(int), axis=0)).mean())


class SteadyRecorder:
    """Records which results were smoothed already."""

    def __init__(self, engine: Birefnet) -> None:
        self.engine, self.steady = engine, list[bool]()
        self.name, self.batch, self.recurrent = engine.name, 1, engine.recurrent
        self.warmup_frames, self.device = 0, engine.device
        self.prepare, self.steadied, self.refined = engine.prepare, engine.steadied, engine.refined
        self.prompted, self.chooser = engine.prompted, engine.chooser
        self.measure, self.recall = engine.measure, engine.recall

    def infer(self, prepared: Sequence[Any], states: Sequence[Any]) -> list[Result]:
        results = self.engine.infer(prepared, states)
        self.steady += [result.steady for result in results]
        return results


@pytest.mark.long
def test_live_mattes_are_smoothed_once_on_the_device(engine: Scripted, still: Clip) -> None:
    script, recorder = engine.script, SteadyRecorder(engine)
    device = DeviceThread(recorder)
    on_device = mattes(device, still.frames)
    device.close()
    assert recorder.steady == [True] * 12
    engine.script, engine.smoother = script, None
    by_cpu = mattes(engine, still.frames)
    engine.script = script
    raw = mattes(engine, still.frames, temporal="off")
    assert flicker(on_device) < 0.8 * flicker(raw)
    assert flicker(on_device) == pytest.approx(flicker(by_cpu), rel=0.1)
    assert np.abs(np.stack(on_device).astype(int) - np.stack(by_cpu)).mean() < 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("live", "options"), [(False, {}), (True, {"temporal": "live+1"}), (True, {"temporal": "off"})]
)
def test_files_and_modes_with_look_ahead_are_smoothed_on_the_cpu(
    engine: Scripted, still: Clip, live: bool, options: dict[str, str]
) -> None:
    recorder = SteadyRecorder(engine)
    assert len(mattes(recorder, still.frames, live, **options)) == 12
    assert recorder.steady == [False] * 12


def test_smoothed_and_raw_videos_share_a_batch(engine: Scripted, still: Clip) -> None:
    states: list[Any] = [None, None]
    script = [torch.from_numpy(cv2.resize(alpha, (256, 160))) for alpha in still.raw for _ in range(2)]
    engine.script = list(script)
    for n, frame in enumerate(still.frames[:6]):
        smoothed, raw = engine.infer([prepared(engine, frame), engine.prepare(frame)], states)
        assert (smoothed.steady, raw.steady) == (True, False)
        np.testing.assert_array_equal(raw.alpha, script[2 * n].numpy())
        assert np.array_equal(smoothed.alpha, raw.alpha) == (n == 0)
        states = [smoothed.state, raw.state]
    engine.script = script[:2]
    (unsmoothed,) = engine.infer([engine.prepare(still.frames[6])], [states[0]])
    assert unsmoothed.state.smoothing is None  # smoothing starts over when it is requested again


class Broken(DeviceSmoother):
    def __call__(self, *_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.long
def test_after_a_device_failure_the_cpu_smooths_and_no_frame_is_lost(
    engine: Scripted, still: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    engine.smoother, script = Broken(), engine.script
    out = mattes(engine, still.frames)
    assert engine.smoother is None
    assert "smoothing on the device failed" in caplog.text
    engine.script = script
    assert np.array_equal(np.stack(out), np.stack(mattes(engine, still.frames)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_mattes_are_smoothed_by_graphs_and_match_the_cpu(birefnet_weights: Path, still: Clip) -> None:
    engine = Birefnet(Options(foreground="keep"), Settings(birefnet=f"{birefnet_weights}@256x160"))
    assert engine.smoother is not None
    recorder = SteadyRecorder(engine)
    device = DeviceThread(recorder)
    on_device = mattes(device, still.frames)
    device.close()
    assert recorder.steady == [True] * 12
    assert engine.smoother is not None  # nothing failed
    engine.smoother = None
    assert np.abs(np.stack(on_device).astype(int) - np.stack(mattes(engine, still.frames))).mean() < 1.0
