"""`class:` and `not:` on drawn pictures, the whole way through `Matte`, with a chooser that knows the classes."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from stream.errors import UsageError
from stream.picture.frames import Frame, VideoInfo
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.choosers.drawn_classes import DOG, HEIGHT, PERSON, WIDTH, DrawnClasses, drawn, mask
from workers.engines.base import Engine, EngineState, Result
from workers.engines.with_subjects import WithSubjects
from workers.matte import Matte
from workers.scene.backgrounds import open_background

INFO = VideoInfo(WIDTH, HEIGHT, Fraction(1, 25), Fraction(25))


class Everything(Engine):
    """Mattes the person and the dog: all that is not the grey of the wall."""

    name = "everything"

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def infer(self, prepared: Sequence[Frame], states: Sequence[EngineState]) -> list[Result]:
        return [Result((DrawnClasses().prepare(frame) > 0).astype(np.float32)) for frame in prepared]


def matted(frames: Sequence[Frame], *specs: str, live: bool = False) -> list[npt.NDArray[np.uint8]]:
    """The alpha of each frame, uint8."""
    options = Options.read(subjects=list(specs), background="transparent", temporal="off", edges={"refine": "off"})
    backdrop = open_background(options.background, WIDTH, HEIGHT, Settings())
    matte = Matte(options, WithSubjects(Everything(), DrawnClasses()), backdrop, live)
    try:
        matte.open(INFO)
        out = [done for frame in frames for done in matte(frame)] + matte.flush()
    finally:
        matte.close()
    return [np.zeros((HEIGHT, WIDTH), np.uint8) if each.alpha is None else each.alpha for each in out]


def assert_shows(alpha: npt.NDArray[np.uint8], expected: npt.NDArray[np.bool_]) -> None:
    """Except for 4 pixels at the borders, where the region is combined with the engine's edge."""
    inside, outside = eroded(expected), eroded(~expected)
    assert (alpha[inside] > 230).all()
    assert (alpha[outside] < 25).all()


def eroded(area: npt.NDArray[np.bool_], radius: int = 4) -> npt.NDArray[np.bool_]:
    padded = np.pad(area, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(windows.all((2, 3)))


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["class:person"], mask(PERSON)),
        (["class:Individual"], mask(PERSON)),
        (["class:person,dog"], mask(PERSON, DOG)),
        (["a=class:person", "b=class:dog"], mask(PERSON, DOG)),
        (["not:dog"], mask(PERSON)),
        (["not:class:person"], mask(DOG)),
        (["class:person,dog", "not:person"], mask(DOG)),
    ],
)
def test_classes_are_kept_and_removed(specs: list[str], expected: npt.NDArray[np.bool_]) -> None:
    for alpha in matted([drawn(0), drawn(1)], *specs):
        assert_shows(alpha, expected)


def test_without_subjects_the_chooser_is_not_asked() -> None:
    chooser = DrawnClasses()
    engine = WithSubjects(Everything(), chooser)
    (result,) = engine.infer([engine.prepare(drawn())], [None])
    assert chooser.asked == 0
    np.testing.assert_array_equal(result.alpha > 0.5, mask(PERSON, DOG))


def test_a_class_that_disappears_fades_out_and_is_reported() -> None:
    alphas = matted([drawn(pts, dog=pts < 2) for pts in range(30)], "class:dog")
    assert_shows(alphas[1], mask(DOG))
    assert (alphas[-1] < 25).all()


def test_a_typo_fails_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"'persn' is not a class of drawn; did you mean person\?"):
        matted([drawn()], "class:persn")


def test_a_typo_covers_live_video() -> None:
    """The mistake of one user ends neither the video nor the frames of others in the same batch."""
    for alpha in matted([drawn(0), drawn(1)], "class:persn", live=True):
        assert not alpha.any()
