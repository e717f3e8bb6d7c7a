"""The picture of candidates: outlines, colours and numbers are where the candidates are."""

from fractions import Fraction

import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.records.candidates import Candidate, Outline
from workers.scene.candidate_picture import COLOURS, draw

WIDTH, HEIGHT = 640, 360


def grey(width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(np.full((height * 3 // 2, width), 128, np.uint8), 0, Fraction(1, 25))


def square(left: float, top: float, right: float, bottom: float) -> Outline:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def candidate(number: int, *outlines: Outline, subject: str = "point:0.5,0.5") -> Candidate:
    left, top, right, bottom = (*outlines[0][0], *outlines[0][2])
    box = (left, top, right - left, bottom - top)
    return Candidate(number=number, subject=subject, box=box, area=box[2] * box[3], score=0.9, outlines=outlines)


def near(pixel: object, colour: tuple[int, int, int], tolerance: int = 40) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() <= tolerance)


def test_a_candidate_has_an_outline_in_its_colour_and_the_rest_is_unchanged() -> None:
    plain, picture = draw(grey(), []), draw(grey(), [candidate(2, square(0.25, 0.25, 0.75, 0.75))])
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert near(picture[HEIGHT // 4, 240], COLOURS[1])
    assert near(picture[150, WIDTH // 4], COLOURS[1])
    np.testing.assert_array_equal(picture[:80], plain[:80])
    np.testing.assert_array_equal(picture[:, 500:], plain[:, 500:])
    inside = picture[110, 180].astype(int) - plain[110, 180]
    assert inside[0] > 5 > 0 > inside[2]  # a tint of orange


def test_a_hole_is_outlined_and_not_tinted() -> None:
    drawn = candidate(1, square(0.1, 0.1, 0.9, 0.9), square(0.3, 0.3, 0.7, 0.7))
    plain, picture = draw(grey(), []), draw(grey(), [drawn])
    np.testing.assert_array_equal(picture[180, 320], plain[180, 320])
    assert near(picture[180, round(0.3 * WIDTH)], COLOURS[0])


@pytest.mark.long
def test_the_label_is_inside_where_nothing_smaller_covers_it() -> None:
    large, small = square(0.0, 0.0, 1.0, 1.0), square(0.3, 0.2, 0.7, 0.8)
    one, both = draw(grey(), [candidate(1, large)]), draw(grey(), [candidate(1, large), candidate(2, small)])
    centre = slice(160, 200), slice(300, 340)
    assert one[centre].min() < 40  # the label's dark ground
    dark = (both.max(-1) < 40).astype(int)
    assert dark[70:290, 194:446].sum() > 50  # of the small one
    assert dark[:, :188].sum() + dark[:, 452:].sum() > 50  # of the large one, beside it


def test_labels_do_not_cover_each_other() -> None:
    same = [candidate(number, square(0.2, 0.2, 0.8, 0.8)) for number in (1, 2, 3)]
    picture = draw(grey(), same)
    dark = picture.max(-1) < 40
    alone = draw(grey(), same[:1]).max(-1) < 40
    assert dark[80:280, 140:500].sum() > 2.5 * alone[80:280, 140:500].sum()


def test_a_small_candidate_is_not_hidden_by_its_label() -> None:
    picture = draw(grey(), [candidate(1, square(0.5, 0.5, 0.51, 0.51))])
    assert picture[181, 322].min() > 60
    assert picture[150:179, 300:350].min() < 40


def test_a_class_is_named() -> None:
    plain = draw(grey(), [candidate(1, square(0.1, 0.1, 0.9, 0.9))])
    named = draw(grey(), [candidate(1, square(0.1, 0.1, 0.9, 0.9), subject="class:person")])
    assert (named.max(-1) < 40).sum() > (plain.max(-1) < 40).sum() + 400


@pytest.mark.long
@pytest.mark.parametrize("size", [(16, 16), (64, 16), (2400, 1200)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    drawn = [candidate(1, square(0.0, 0.0, 1.0, 1.0)), candidate(2, square(0.01, 0.01, 0.011, 0.011))]
    picture = draw(grey(*size), drawn)
    assert picture.dtype == np.uint8
    assert max(picture.shape) <= 1920
    assert picture.shape[1] / picture.shape[0] == pytest.approx(size[0] / size[1])


def test_transparent_places_show_a_checkerboard() -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert len(np.unique(draw(grey().with_pixels(grey().pixels, alpha), []))) > 1
    assert len(np.unique(draw(grey(), []))) == 1
