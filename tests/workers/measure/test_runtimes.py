"""Measuring runtimes: the guard, with engines that are small real classes, and what is shown."""

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.errors import EngineError
from stream.picture.frames import Alpha, Frame, VideoInfo
from stream.records.options import Options
from stream.settings import Settings
from workers.engines import rvm
from workers.engines.base import Engine, EngineState, Result
from workers.measure.guard_clip import FRAMES, GuardClip
from workers.measure.runtimes import compare, findings, forced, measure_for, scores
from workers.runtimes import Choice, Precision, installed
from workers.runtimes.choice import SIZES, Measured, fastest, read

OWN, EXACT, REDUCED = Choice("onnxruntime"), Choice("openvino"), Choice("openvino", Precision.BFLOAT16)


class Threshold(Engine):
    """Bright is subject. error: added to alpha; shift: of pixels. Its own runtime is slower than the others."""

    name = "threshold"

    def __init__(self, slow: bool, error: float = 0.0, shift: int = 0) -> None:
        self.slow, self.error, self.shift = slow, error, shift

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [Result(self._alpha(frame)) for frame in prepared]

    def _alpha(self, frame: Frame) -> Alpha:
        if self.slow:
            time.sleep(0.01)
        luma = np.roll(frame.planes()[0], self.shift, axis=1).astype(np.float32)
        return np.asarray((cv2.blur(luma, (9, 9)) / 255 + self.error).clip(0, 1), np.float32)


class Failing(Threshold):
    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        raise EngineError("no such instruction")


def measured(exact: Engine, reduced: Engine) -> list[Measured]:
    def make(settings: Settings) -> Engine:
        if settings.runtime == "onnxruntime":
            return Threshold(slow=True)
        return reduced if settings.half else exact

    return compare([OWN, EXACT, REDUCED], make, GuardClip(96, 72), Settings(), lambda _: None)


@pytest.mark.long
def test_the_fastest_of_equal_ones_is_chosen() -> None:
    found = measured(Threshold(slow=True), Threshold(slow=False))
    assert fastest(found) == REDUCED
    assert [each.mean for each in found] == [0, 0, 0]
    assert all(each.accurate and each.ms > 0 for each in found)


@pytest.mark.long
@pytest.mark.parametrize("wrong", [{"error": 0.01}, {"shift": 2}])
def test_a_fast_one_with_wrong_mattes_is_refused(wrong: dict[str, float]) -> None:
    found = measured(Threshold(slow=False), Threshold(slow=False, **wrong))  # type: ignore[arg-type]
    assert not found[2].accurate
    assert found[2].mean > 0.001
    assert fastest(found) == EXACT


@pytest.mark.long
def test_one_that_fails_is_left_out() -> None:
    found = measured(Failing(slow=False), Threshold(slow=False))
    assert [(each.choice, each.error) for each in found if each.error] == [(EXACT, "no such instruction")]
    assert fastest(found) == REDUCED


def test_the_settings_give_an_engine_the_runtime() -> None:
    for choice, expected in ((OWN, "onnxruntime"), (EXACT, "openvino"), (REDUCED, "openvino")):
        assert forced(choice, OWN, Settings(runtime="")).runtime == expected
    assert [forced(choice, OWN, Settings()).half for choice in (EXACT, REDUCED)] == [False, True]


@pytest.mark.parametrize("size", [(96, 72), (96, 54), (54, 96)])
def test_the_clip_has_its_truth(size: tuple[int, int]) -> None:
    clip = GuardClip(*size)
    assert len(clip.frames) == len(clip.truth) == FRAMES
    assert {(frame.width, frame.height) for frame in clip.frames} == {size}
    assert {alpha.shape for alpha in clip.truth} == {size[::-1]}
    assert 0.05 < float(np.mean(clip.truth)) < 0.95
    assert scores(clip.truth, clip.truth) == (0, 0)


def test_doctor_names_what_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(findings(Settings(runtime="", cache_dir=tmp_path)))
    if installed("openvino"):
        assert [finding.name for finding in found] == [f"runtime rvm {w}x{h}" for w, h in SIZES]
        assert {finding.remedy for finding in found} == {"mattebox doctor --measure"}
    monkeypatch.setattr("workers.measure.runtimes.installed", lambda name: False)
    (missing,) = findings(Settings(runtime="", cache_dir=tmp_path))
    assert (missing.name, missing.ok) == ("openvino", None)
    assert "mattebox[openvino]" in missing.remedy


def test_a_file_is_measured_only_if_it_is_long(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(runtime="", cache_dir=tmp_path)
    for name, frames in (("rvm", 1799), ("rvm", None), ("selfie", 5000)):
        measure_for(name, VideoInfo(640, 480, Fraction(1, 30), Fraction(30), frames=frames), settings, said.append)
    forced = settings.model_copy(update={"runtime": "onnxruntime"})
    measure_for("rvm", VideoInfo(640, 480, Fraction(1, 30), Fraction(30), frames=5000), forced, said.append)
    assert not said
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_was_measured_is_stored_and_used(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "weights").symlink_to(Settings().cache_dir / "weights")
    settings, said = Settings(runtime="", cache_dir=tmp_path), list[str]()
    info = VideoInfo(640, 480, Fraction(1, 30), Fraction(30), frames=5000)
    measure_for("rvm", info, settings, said.append)
    assert len(said) == 2
    (case, *_) = rvm.cases()
    found = read(case, settings)
    assert found is not None
    assert [each.error for each in found] == [""] * len(found)
    assert found[1].accurate  # float32
    assert rvm.Rvm(Options(), settings).device == ("cpu" if fastest(found) == OWN else f"cpu ({fastest(found)})")
    measure_for("rvm", info, settings, said.append)
    assert len(said) == 2
