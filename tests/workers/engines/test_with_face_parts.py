"""Parts of faces that an engine has lost, with a network that knows the colours of drawn hats and faces."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stream.errors import UsageError
from stream.picture.frames import Alpha, Frame
from stream.records.options import FacePart, Options, Temporal
from stream.settings import Settings
from tests.workers.engines.engine_runs import i420, infer, run
from workers.device.tensors import Area, Bytes, rgb_bytes
from workers.engines import load
from workers.engines.base import Engine, EngineState, Result
from workers.steady.tuning import choose

pytest.importorskip("transformers")

from workers.choosers.faces import FaceMaps
from workers.engines.with_face_parts import WithFaceParts

WALL, BODY, SKIN, HAT, GLASSES = (60, 60, 60), (40, 160, 60), (220, 160, 130), (200, 30, 40), (20, 20, 200)
WIDTH, HEIGHT = 192, 128
BODY_AT, SKIN_AT = (slice(72, 128), slice(60, 132)), (slice(40, 72), slice(80, 112))
HAT_AT, GLASSES_AT = (slice(20, 40), slice(74, 118)), (slice(48, 56), slice(80, 112))
BYSTANDER_AT = (slice(4, 14), slice(8, 30))


def drawn(shift: int = 0) -> Frame:
    """A person with a hat and glasses, and a hat far away, in front of a wall."""
    picture = np.full((HEIGHT, WIDTH, 3), WALL, np.float64)
    for (rows, columns), colour in ((BODY_AT, BODY), (SKIN_AT, SKIN), (HAT_AT, HAT), (GLASSES_AT, GLASSES)):
        picture[rows, columns.start + shift : columns.stop + shift] = colour
    picture[BYSTANDER_AT] = HAT
    return Frame(i420(picture), 0, Fraction(1, 25))


class Colours(Engine):
    """An engine that mattes certain colours."""

    name = "selfie"
    recurrent = False

    def __init__(self, *colours: tuple[int, int, int], foreground: bool = False) -> None:
        self._colours, self._foreground = colours, foreground

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [self._result(frame, state) for frame, state in zip(prepared, states, strict=True)]

    def _result(self, frame: Frame, state: EngineState) -> Result:
        alpha = np.maximum.reduce([near(whole(frame), colour) for colour in self._colours])
        foreground = np.full_like(frame.pixels, 128) if self._foreground else None
        return Result(alpha, (state or 0) + 1, foreground)


class KnownFaces:
    """Stands for the network: it knows the colour of every part. calls: heads that it got per call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def prepare(self, frame: Frame, area: Area) -> Bytes:
        return rgb_bytes(frame, 192, 192, area)

    def find(self, heads: Sequence[Bytes], keep: Sequence[FacePart]) -> list[FaceMaps]:
        self.calls.append(len(heads))
        colours = [{"hat": HAT, "glasses": GLASSES}[part] for part in keep]
        return [FaceMaps(np.maximum.reduce([near(head, c) for c in colours]), near(head, SKIN)) for head in heads]


def whole(frame: Frame) -> Bytes:
    return rgb_bytes(frame, frame.width, frame.height)


def near(picture: Bytes, colour: tuple[int, int, int]) -> Alpha:
    """1 where the picture has about this colour, else 0."""
    return np.asarray(np.abs(picture.astype(np.int64) - np.array(colour)).sum(-1) < 60, np.float32)


def mean_of(result: Result, at: tuple[slice, slice]) -> float:
    """The mean alpha of an area without its border of 3 pixels."""
    rows, columns = at
    return float(result.alpha[rows.start + 3 : rows.stop - 3, columns.start + 3 : columns.stop - 3].mean())


@pytest.mark.parametrize(
    ("keep", "hat", "glasses"), [(("hat",), True, False), (("glasses",), False, True), (("hat", "glasses"), True, True)]
)
def test_lost_parts_are_added_and_only_those_asked_for(keep: tuple[FacePart, ...], hat: bool, glasses: bool) -> None:
    (result,) = run(WithFaceParts(Colours(BODY, SKIN), KnownFaces(), keep), [drawn()])
    assert mean_of(result, HAT_AT) == pytest.approx(float(hat), abs=0.05)
    assert mean_of(result, GLASSES_AT) == pytest.approx(float(glasses), abs=0.05)
    assert mean_of(result, SKIN_AT) > 0.5
    assert not result.alpha[BYSTANDER_AT].any()


def test_nothing_else_changes() -> None:
    frames = [drawn(), drawn()]
    near_hat = np.zeros((HEIGHT, WIDTH), np.bool_)
    near_hat[HAT_AT[0].start - 4 : HAT_AT[0].stop + 4, HAT_AT[1].start - 4 : HAT_AT[1].stop + 4] = True
    plain = run(Colours(BODY, SKIN), frames)
    for got, wanted in zip(run(WithFaceParts(Colours(BODY, SKIN), KnownFaces(), ["hat"]), frames), plain, strict=True):
        np.testing.assert_array_equal(got.alpha[~near_hat], wanted.alpha[~near_hat])
        assert got.state == wanted.state


def test_all_heads_of_a_batch_are_found_in_one_call() -> None:
    network = KnownFaces()
    engine = WithFaceParts(Colours(BODY, SKIN), network, ["hat"])
    frames = [drawn(), drawn(-20), drawn(30)]
    together = infer(engine, frames, [None] * 3)
    assert network.calls == [3]
    for one, (alone,) in zip(together, (run(engine, [frame]) for frame in frames), strict=True):
        np.testing.assert_array_equal(one.alpha, alone.alpha)


def test_a_matte_without_a_subject_needs_no_network() -> None:
    network = KnownFaces()
    (result,) = run(WithFaceParts(Colours((1, 2, 250)), network, ["hat"]), [drawn()])
    assert not result.alpha.any()
    assert network.calls == []


def test_added_parts_have_the_colours_of_the_picture() -> None:
    """The engine's foreground is of what it saw."""
    frame = drawn()
    (result,) = run(WithFaceParts(Colours(BODY, SKIN, foreground=True), KnownFaces(), ["hat"]), [frame])
    assert result.foreground is not None
    rows, columns = HAT_AT
    centre = (slice(rows.start + 4, rows.stop - 4), slice(columns.start + 4, columns.stop - 4))
    np.testing.assert_array_equal(result.foreground[: frame.height][centre], frame.planes()[0][centre])
    assert (result.foreground[: frame.height][90:120, 70:120] == 128).all()


def test_live_mattes_are_smoothed_after_parts_are_added() -> None:
    class Steadying(Colours):
        def steadied(self, prepared: Frame, frame: Frame, tuning: object) -> Frame:
            raise AssertionError("must not be asked")

    engine = WithFaceParts(Steadying(BODY), KnownFaces(), ["hat"])
    tuning = choose(Temporal.LIVE, 1.0, "selfie", live=True)
    assert tuning is not None
    prepared = engine.prepare(drawn())
    assert engine.steadied(prepared, drawn(), tuning) is prepared


def test_the_option_loads_the_network_and_adds_it_to_any_engine(tmp_path: Path) -> None:
    """The whole way with the real class, tiny: folder, loader, engine."""
    from tests.workers.choosers.tiny_segmenters import segformer

    segformer().save_pretrained(tmp_path)
    settings = Settings(faces=str(tmp_path), half=False, offline=True)
    plain = run(load("chroma", Options(), settings), [drawn()])
    engine = load("chroma", Options(keep=("hat", "hair")), settings)
    (result,) = run(engine, [drawn()])
    assert (result.alpha >= plain[0].alpha).all()
    assert engine.name == "chroma"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "workers.choosers.faces", None)
    with pytest.raises(UsageError, match=r"keep: needs .*; install it: .*mattebox\[subjects\]"):
        load("chroma", Options(keep=("hat",)), Settings())
