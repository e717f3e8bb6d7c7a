"""Several renditions of one matte, and what leaves where a frame has none."""

from dataclasses import replace

import numpy as np
import pytest

from stream.errors import BackgroundError
from stream.picture.frames import Frame, Plane
from stream.records.options import FeedOptions, Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from workers.edges.shape import EdgeState
from workers.rendition import Rendition, Renditions
from workers.scene.backgrounds import Drawn, open_background
from workers.scene.blur import GREY
from workers.scene.caption import caption
from workers.scene.composite import blend, flat, rgb_flat
from workers.steady.smooth import MattedFrame

PATTERN = PatternSource(96, 64, 4, scene="room")
GREEN, BLUE = rgb_flat((0, 255, 0), 96, 64), rgb_flat((0, 0, 255), 96, 64)
BLACK = np.zeros((64, 96), np.uint8)


def rendition(**options: object) -> Rendition:
    chosen = Options.read(**options)
    return Rendition(chosen, open_background(chosen.background, 96, 64, Settings()))


def renditions() -> Renditions:
    """On green, on blue, and the matte itself."""
    first, *others = rendition(), rendition(background="color:#0000ff"), rendition(view="matte")
    return Renditions(first, others, EdgeState(), live=False)


def drawn(shown: Renditions, number: int) -> Frame:
    alpha = (PATTERN.alpha(number) / 255).astype(np.float32)
    return shown.draw(MattedFrame(PATTERN.frame(number), alpha))


def test_all_are_drawn_from_one_alpha() -> None:
    first = drawn(renditions(), 1)
    frame, alpha = PATTERN.frame(1).pixels, PATTERN.alpha(1)
    expected = blend(frame, GREEN, alpha), blend(frame, BLUE, alpha), alpha
    for found, picture in zip((first, *first.others), expected, strict=True):
        assert np.array_equal(found.pixels, picture)


def test_what_comes_out_is_known_beforehand() -> None:
    info = renditions().shape(PATTERN.info)
    assert [each.gray for each in (info, *info.others)] == [False, False, True]


def test_a_frame_without_a_matte_shows_each_background_alone() -> None:
    shown = renditions()
    first = shown.cover(PATTERN.frame(1))
    for found, picture in zip((first, *first.others), (GREEN, BLUE, BLACK), strict=True):
        assert np.array_equal(found.pixels, picture)
    assert shown.covered == 1


def test_a_damaged_frame_repeats_the_last_result_at_its_own_time() -> None:
    shown = renditions()
    assert np.array_equal(shown.repeat(PATTERN.frame(0)).pixels, GREEN), "there is no result yet"
    last, again = drawn(shown, 1), shown.repeat(replace(PATTERN.frame(2), damaged=True))
    for before, found in zip((last, *last.others), (again, *again.others), strict=True):
        assert np.array_equal(found.pixels, before.pixels)
        assert (before.pts, found.pts) == (1, 2)


def test_frames_pass_where_no_rendition_needs_a_matte() -> None:
    untouched = rendition(background="none")
    shown = Renditions(untouched, [untouched], EdgeState(), live=False)
    assert shown.untouched
    first = shown.pass_on(PATTERN.frame(1))
    assert [found.pixels is first.pixels for found in first.others] == [True]
    assert not Renditions(untouched, [rendition()], EdgeState(), live=False).untouched


class Closing(Drawn):
    """A transparent backdrop that records whether it was closed."""

    closed = False

    def __init__(self) -> None:
        super().__init__(lambda frame, alpha: None)

    def close(self) -> None:
        self.closed = True


def test_further_renditions_may_change_and_those_left_out_are_closed() -> None:
    one, other = (Rendition(Options.read(view="stacked"), Closing()) for _ in range(2))
    shown = Renditions(rendition(), [one], EdgeState(), live=True)
    assert len(drawn(shown, 0).others) == 1
    shown.set_others([one, other])
    assert len(drawn(shown, 1).others) == 2
    shown.set_others([other])
    assert len(drawn(shown, 2).others) == 1
    assert [getattr(each.backdrop, "closed", None) for each in (one, other)] == [True, False]
    shown.close()
    assert getattr(other.backdrop, "closed", None)


def test_a_rendition_that_shows_frames_unchanged_is_not_covered() -> None:
    shown = Renditions(rendition(background="none"), [rendition()], EdgeState(), live=True)
    assert not shown.untouched
    first = shown.cover(PATTERN.frame(1))
    assert np.array_equal(first.pixels, PATTERN.frame(1).pixels)
    assert np.array_equal(first.others[0].pixels, GREEN)


SLATE = replace(PATTERN.frame(1), slate=True)


def with_text(text: str, **options: object) -> tuple[Renditions, list[int]]:
    """Renditions with a slate's text, and how often their background was asked for."""
    chosen = FeedOptions.read(slate=text, **options)
    opened, asked = open_background(chosen.background, 96, 64, Settings()), [0]

    def draw(frame: Frame, alpha: Plane) -> Plane | None:
        asked[0] += 1
        return opened.at(frame, alpha)

    return Renditions(Rendition(chosen, Drawn(draw)), (), EdgeState(), live=True), asked


def test_a_slate_without_a_text_is_the_background() -> None:
    shown = renditions()
    for found, picture in zip((first := shown.slate(SLATE), *first.others), (GREEN, BLUE, BLACK), strict=True):
        assert np.array_equal(found.pixels, picture)
    assert (shown.slates, shown.covered) == (1, 0)


@pytest.mark.parametrize("background", ["color:#0000ff", "none", "blur", "blur:0"])
def test_the_text_of_a_slate_is_in_front_of_the_background_and_of_no_room(background: str) -> None:
    shown, _ = with_text("Back", background=background)
    text, grey = caption("Back", 96, 64), flat(*GREY, 96, 64)
    behind = BLUE if background.startswith("color") else grey
    assert np.array_equal(shown.slate(SLATE).pixels, blend(text.pixels, behind, text.alpha))
    assert np.array_equal(shown.cover(PATTERN.frame(1)).pixels, behind) or background == "none", "of slates only"


@pytest.mark.parametrize(("view", "part"), [("matte", (0, 64)), ("stacked", (64, 128))])
def test_the_text_of_a_slate_is_the_subject_of_its_matte(view: str, part: tuple[int, int]) -> None:
    shown, _ = with_text("Back", view=view)
    alpha, found = caption("Back", 96, 64).alpha, shown.slate(SLATE).pixels[slice(*part)]
    expected = alpha if view == "matte" else np.rint(16 + alpha * (219 / 255))
    assert np.array_equal(found, expected)


def test_the_text_of_a_slate_is_opaque_in_transparent_outputs() -> None:
    shown, _ = with_text("Back", background="transparent")
    alpha = shown.slate(SLATE).alpha
    assert alpha is not None
    assert np.array_equal(alpha, caption("Back", 96, 64).alpha)


def test_a_slate_is_drawn_once_while_nothing_changes() -> None:
    shown, asked = with_text("Back")
    first = shown.slate(SLATE)
    again = shown.slate(replace(SLATE, pts=7))
    assert again.pixels is first.pixels
    assert (again.pts, again.slate, asked[0]) == (7, True, 2)


def test_a_slate_follows_its_background_and_its_text() -> None:
    pictures = [GREEN, GREEN, BLUE]
    shown = Renditions(
        Rendition(FeedOptions.read(slate="Back"), Drawn(lambda *_: pictures.pop(0))), (), EdgeState(), True
    )
    first, same, other = (shown.slate(SLATE) for _ in range(3))
    assert same.pixels is first.pixels
    assert not np.array_equal(other.pixels, first.pixels)
    shown.swap(FeedOptions.read(slate=""), Drawn(lambda *_: BLUE))
    assert np.array_equal(shown.slate(SLATE).pixels, BLUE)
    shown.swap(FeedOptions.read(slate="Back"), None)
    assert np.array_equal(shown.slate(SLATE).pixels, other.pixels)
    large = PatternSource(192, 128, 1).frame(0)
    shown.swap(FeedOptions.read(slate="Back"), Drawn(lambda *_: rgb_flat((0, 0, 255), 192, 128)))
    assert shown.slate(replace(large, slate=True)).width == 192


def test_a_slate_with_a_background_that_cannot_be_read_is_grey() -> None:
    def fail(*_: object) -> Plane:
        raise BackgroundError("gone.jpg cannot be read")

    shown = Renditions(Rendition(FeedOptions.read(slate=""), Drawn(fail)), (), EdgeState(), True)
    assert np.array_equal(shown.slate(SLATE).pixels, flat(*GREY, 96, 64))
