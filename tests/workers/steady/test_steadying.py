"""Mattes steadied where they are made, as on a GPU: here on torch's CPU device. The network is a script of mattes."""

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
from tests.workers.scenes import Clip, clip
from workers.engines.base import Engine, Result
from workers.engines.birefnet import Birefnet
from workers.live.device_thread import DeviceThread
from workers.matte import Matte
from workers.scene.backgrounds import open_background
from workers.steady.smooth_torch import Steadier
from workers.steady.tuning import choose

TUNING = choose(Temporal.LIVE, 1.0, "birefnet", live=True)


class Scripted(Birefnet):
    """Says of one frame after another what the script says, whatever it sees."""

    script: list[Any]

    def _alphas(self, pictures: Any, exact: bool) -> Any:
        alphas, self.script = self.script[: len(pictures)], self.script[len(pictures) :]
        return torch.stack(alphas)


@pytest.fixture(scope="module")
def still() -> Clip:
    return clip(lambda n: [320.0], 12)


@pytest.fixture
def engine(birefnet_weights: Path, still: Clip) -> Scripted:
    found = Scripted(Options(foreground="keep"), Settings(birefnet=f"{birefnet_weights}@256x160", half=False))
    assert found.steadier is None  # on a CPU
    found.script = [torch.from_numpy(cv2.resize(alpha, (256, 160))) for alpha in still.raw]
    found.steadier = Steadier()
    return found


def prepared(engine: Birefnet, frame: Frame) -> Any:
    assert TUNING is not None
    return engine.steadied(engine.prepare(frame), frame, TUNING)


def mattes(engine: Engine, frames: Sequence[Frame], live: bool = True, **options: Any) -> list[Any]:
    """Luma of the view matte of each frame."""
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


class Told:
    """Remembers which results were steady."""

    def __init__(self, engine: Birefnet) -> None:
        self.engine, self.steady = engine, list[bool]()
        self.name, self.batch, self.recurrent = engine.name, 1, engine.recurrent
        self.warmup_frames, self.device = 0, engine.device
        self.prepare, self.steadied = engine.prepare, engine.steadied
        self.measure, self.recall = engine.measure, engine.recall

    def infer(self, given: Sequence[Any], states: Sequence[Any]) -> list[Result]:
        results = self.engine.infer(given, states)
        self.steady += [result.steady for result in results]
        return results


def test_live_mattes_are_steadied_once_on_the_device(engine: Scripted, still: Clip) -> None:
    script, told = engine.script, Told(engine)
    device = DeviceThread(told)
    here = mattes(device, still.frames)
    device.close()
    assert told.steady == [True] * 12
    engine.script, engine.steadier = script, None
    by_cpu = mattes(engine, still.frames)
    engine.script = script
    raw = mattes(engine, still.frames, temporal="off")
    assert flicker(here) < 0.8 * flicker(raw)
    assert flicker(here) == pytest.approx(flicker(by_cpu), rel=0.1)
    assert np.abs(np.stack(here).astype(int) - np.stack(by_cpu)).mean() < 1.0


@pytest.mark.parametrize(
    ("live", "options"), [(False, {}), (True, {"temporal": "live+1"}), (True, {"temporal": "off"})]
)
def test_files_and_modes_that_look_ahead_are_steadied_by_the_cpu(
    engine: Scripted, still: Clip, live: bool, options: dict[str, str]
) -> None:
    told = Told(engine)
    assert len(mattes(told, still.frames, live, **options)) == 12
    assert told.steady == [False] * 12


def test_who_does_not_ask_gets_the_networks_matte_beside_who_does(engine: Scripted, still: Clip) -> None:
    states: list[Any] = [None, None]
    script = [torch.from_numpy(cv2.resize(alpha, (256, 160))) for alpha in still.raw for _ in range(2)]
    engine.script = list(script)
    for n, frame in enumerate(still.frames[:6]):
        asked, plain = engine.infer([prepared(engine, frame), engine.prepare(frame)], states)
        assert (asked.steady, plain.steady) == (True, False)
        np.testing.assert_array_equal(plain.alpha, script[2 * n].numpy())
        assert np.array_equal(asked.alpha, plain.alpha) == (n == 0)
        states = [asked.state, plain.state]
    engine.script = script[:2]
    (left,) = engine.infer([engine.prepare(still.frames[6])], [states[0]])
    assert left.state.steady is None  # who asks again begins anew


class Broken(Steadier):
    def __call__(self, *_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_where_the_device_cannot_the_cpu_goes_on_and_no_frame_is_lost(
    engine: Scripted, still: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    engine.steadier, script = Broken(), engine.script
    out = mattes(engine, still.frames)
    assert engine.steadier is None
    assert "steadying on the device failed" in caplog.text
    engine.script = script
    assert np.array_equal(np.stack(out), np.stack(mattes(engine, still.frames)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_mattes_are_steadied_by_graphs_and_as_the_cpu_does_it(birefnet_weights: Path, still: Clip) -> None:
    engine = Birefnet(Options(foreground="keep"), Settings(birefnet=f"{birefnet_weights}@256x160"))
    assert engine.steadier is not None
    told = Told(engine)
    device = DeviceThread(told)
    here = mattes(device, still.frames)
    device.close()
    assert told.steady == [True] * 12
    assert engine.steadier is not None  # nothing failed
    engine.steadier = None
    assert np.abs(np.stack(here).astype(int) - np.stack(mattes(engine, still.frames))).mean() < 1.0
