"""Several renditions of one matte, and what leaves where a frame has none."""

from dataclasses import replace

import numpy as np

from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from workers.edges.shape import EdgeState
from workers.rendition import Rendition, Renditions
from workers.scene.backgrounds import Drawn, open_background
from workers.scene.composite import blend, rgb_flat
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
