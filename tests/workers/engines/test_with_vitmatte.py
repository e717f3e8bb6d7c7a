"""Engines with ViTMatte: refined after smoothing, for files and pictures, refused for live video."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

from stream.errors import EngineError, UsageError
from stream.picture.frames import Alpha, Frame, Plane
from stream.picture.photo import Photo
from stream.records.options import Edges, Options, Refine
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from tests.tiny_vitmatte import tiny_vitmatte
from tests.workers.edges.oracle import Oracle
from tests.workers.engines.engine_runs import disc, over
from workers import engines
from workers.device import automatic
from workers.device.vitmatte import VitMatte
from workers.edges import detail, foreground
from workers.engines.base import Engine, EngineState, Result
from workers.engines.for_pictures import ForPictures, picture_options
from workers.engines.with_foreground import WithForeground
from workers.engines.with_vitmatte import WithVitMatte
from workers.live.device_thread import DeviceThread
from workers.matte import Matte
from workers.measure import evaluate
from workers.scene.backgrounds import open_background
from workers.steady.smooth import MattedFrame

VITMATTE = Options(edges=Edges(refine="vitmatte"))
WIDTH, HEIGHT, COUNT = 320, 240, 12


class Noisy(TruthEngine):
    """A coarse engine whose mattes flicker, for a white disc that moves in front of black."""

    name = "selfie"  # has the temporal smoothing of coarse mattes

    def __init__(self) -> None:
        super().__init__(PatternSource(16, 16, 1))

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [Result(self._flickering(frame)) for frame in prepared]

    def _flickering(self, frame: Frame) -> Alpha:
        small = disc(64, 48, _place(frame.pts))
        noise = np.random.default_rng(frame.pts).normal(0, 0.2, small.shape)
        return np.asarray(np.clip(small + noise * (small > 0) * (small < 1), 0, 1), np.float32)


def _place(number: int) -> float:
    return 0.45 + 0.008 * number


def _frames() -> list[Frame]:
    made = (over((255, 255, 255), disc(WIDTH, HEIGHT, _place(n)), (0, 0, 0)) for n in range(COUNT))
    return [Frame(frame.pixels, n, Fraction(1, 25)) for n, frame in enumerate(made)]


def _matted(engine: Any, options: Options, live: bool = False) -> list[Plane]:
    """The mattes of the frames, through the whole path."""
    backdrop = open_background(options.background, WIDTH, HEIGHT, Settings())
    core = Matte(options.model_copy(update={"view": "matte"}), engine, backdrop, live)
    frames = _frames()
    core.open(PatternSource(WIDTH, HEIGHT, COUNT).info)
    out = [done for frame in frames for done in core(frame)] + core.flush()
    core.close()
    assert [frame.pts for frame in out] == list(range(COUNT))
    return [frame.pixels for frame in out]


def _scores(mattes: Sequence[Plane]) -> tuple[float, float]:
    """(MAD, dtSSD)."""
    errors: list[evaluate.Ints] = [
        matte.astype(np.int16) - np.rint(disc(WIDTH, HEIGHT, _place(n)) * 255).astype(np.int16)
        for n, matte in enumerate(mattes)
    ]
    mad = float(np.mean([evaluate.mad(error) for error in errors]))
    return mad, float(np.mean([evaluate.dtssd(now, last) for last, now in pairwise(errors)]))


@pytest.mark.long
@pytest.mark.parametrize("temporal", ["off", "live", "offline"])
def test_smoothing_does_not_undo_it(temporal: str) -> None:
    """With a network that knows the truth, the result is the truth with every kind of smoothing."""
    options = VITMATTE.model_copy(update={"temporal": temporal})
    raw, refined = (
        _scores(_matted(engine, options)) for engine in (Noisy(), WithVitMatte(Noisy(), Oracle(), estimates=False))
    )
    assert refined[0] < raw[0] / 3
    assert refined[1] < raw[1] / 3
    assert refined[0] < 1.0


def test_the_colours_are_estimated_from_the_refined_matte() -> None:
    frame = over((255, 60, 60), disc(WIDTH, HEIGHT), (0, 90, 0))
    matted = MattedFrame(frame, Noisy()._flickering(frame))
    refined = WithVitMatte(Noisy(), Oracle(), estimates=True).refined(matted)
    np.testing.assert_array_equal(refined.alpha, detail.refine(frame, matted.alpha, Oracle(), 2))
    assert refined.foreground is not None
    np.testing.assert_array_equal(refined.foreground, foreground.estimate(frame.pixels, refined.alpha))
    kept = WithVitMatte(Noisy(), Oracle(), estimates=False).refined(matted)
    assert kept.foreground is None


class Broken:
    batch = 1

    def __call__(self, pictures: Plane, trimaps: Plane) -> Alpha:
        raise RuntimeError("no memory left")


@pytest.mark.long
def test_a_failure_ends_a_file_and_covers_live_video() -> None:
    engine: Any = WithVitMatte(Noisy(), Broken(), estimates=False)
    with pytest.raises(EngineError, match="no memory left"):
        _matted(engine, VITMATTE)
    assert not any(matte.any() for matte in _matted(engine, VITMATTE, live=True))


def test_all_wrappers_pass_it_on() -> None:
    frame = _frames()[0]
    matted = MattedFrame(frame, Noisy()._flickering(frame))
    refining: Any = WithVitMatte(Noisy(), Oracle(), estimates=False)
    device = DeviceThread(refining)
    expected = refining.refined(matted).alpha
    for wrapper in (device, WithForeground(refining), ForPictures(refining)):
        np.testing.assert_array_equal(wrapper.refined(matted).alpha, expected)
    device.close()
    plain: Engine = Noisy()
    assert plain.refined(matted) is matted


def test_a_picture_is_refined_at_its_full_size() -> None:
    """Also where the engine gets a smaller one, and in full quality."""
    width, height = 640, 480
    true = disc(width, height, _place(0))
    frame = over((255, 255, 255), true, (0, 0, 0))
    rgb = np.repeat(np.rint(true * 255).astype(np.uint8)[..., None], 3, axis=2)
    picture = Frame(frame.pixels, 0, Fraction(1), photo=Photo(rgb))
    engine: Any = ForPictures(WithVitMatte(Noisy(), Oracle(), estimates=False))
    options = picture_options(VITMATTE.model_copy(update={"view": "matte"}), "selfie")
    assert options.edges.refine is Refine.VITMATTE
    core = Matte(options, engine, open_background(options.background, width, height, Settings()))
    core.open(PatternSource(width, height, 1).info)
    (out,) = [*core(picture), *core.flush()]
    core.close()
    assert out.photo is not None
    assert out.photo.pixels.shape[:2] == (height, width)
    assert np.abs(out.photo.pixels.reshape(height, width, -1)[..., 0] - true * 255).mean() < 1.5


@pytest.mark.long
def test_the_engine_is_loaded_with_the_network_of_the_settings(tmp_path: Path) -> None:
    """The whole way equals the model called step by step."""
    folder = tiny_vitmatte(tmp_path / "weights")
    messages: list[str] = []
    settings = Settings(vitmatte=str(folder))
    engine = engines.load("chroma", VITMATTE, settings, messages.append)
    assert any(str(folder) in message for message in messages)
    frame = over((200, 60, 60), disc(WIDTH, HEIGHT), (0, 200, 0))
    (result,) = engine.infer([engine.prepare(frame)], [None])
    refined = engine.refined(MattedFrame(frame, result.alpha, result.foreground))
    expected = detail.refine(frame, result.alpha, VitMatte(folder, 1), 1)
    np.testing.assert_allclose(refined.alpha, expected, atol=1e-5)
    assert np.abs(refined.alpha - result.alpha).max() > 0.05
    assert refined.foreground is result.foreground, "the engine's own colours stay"


def test_live_video_is_refused() -> None:
    with pytest.raises(UsageError, match="vitmatte is too slow for live video; use on"):
        engines.choose(VITMATTE, live=True, settings=Settings(), has_cuda=lambda: False)
    assert engines.choose(VITMATTE, live=False, settings=Settings(), has_cuda=lambda: False)[0] == "rvm"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    present = automatic.importable
    monkeypatch.setattr("workers.engines.importable", lambda module: module != "transformers" and present(module))
    with pytest.raises(
        UsageError, match=r"edges.refine: vitmatte needs transformers; install it: .*mattebox\[subjects\]"
    ):
        engines.choose(VITMATTE, live=False, settings=Settings())


def test_videos_with_and_without_it_do_not_share_an_engine() -> None:
    assert engines.read_options(VITMATTE) != engines.read_options(Options())
    assert engines.read_options(Options(edges=Edges(refine="on", feather=2.0))) == engines.read_options(Options())
