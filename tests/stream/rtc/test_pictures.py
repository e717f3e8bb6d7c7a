"""What encoders get of a frame: the published view and the stack, converted and scaled once each."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.rtc.h264_levels import blocks
from stream.rtc.pictures import Pictures, fitting
from stream.rtc.tracks import Variant
from workers.scene.composite import flat, stacked

PLAIN, SMALL = Frame(flat(100, 90, 200, 320, 192), 5, Fraction(1, 10)), Variant("H264", True, 300)
BOTH = replace(PLAIN, others=(PLAIN.with_pixels(stacked(PLAIN.pixels, np.full((192, 320), 255, np.uint8))),))


def test_each_is_converted_once_for_all_codecs_and_the_published_view_comes_first() -> None:
    variants = [SMALL, Variant("VP8", True), Variant("H264"), Variant("VP8"), Variant("H264", True)]
    made = dict(Pictures().of(BOTH, variants))
    assert [variant.stacked for variant in made] == [False, False, True, True, True]
    sizes = {variant: (picture.width, picture.height) for variant, picture in made.items()}
    assert sizes[Variant("H264")] == sizes[Variant("VP8")] == (320, 192)
    assert sizes[Variant("H264", True)] == sizes[Variant("VP8", True)] == (320, 384)
    assert sizes[SMALL] == (240, 288)
    assert len({id(picture) for picture in made.values()}) == 3
    assert {picture.pts for picture in made.values()} == {45_000}


def test_a_frame_without_a_stack_gives_none() -> None:
    assert [variant.stacked for variant, _ in Pictures().of(PLAIN, [Variant("VP8", True), Variant("VP8")])] == [False]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1080, 1920), (640, 480), (3000, 48), (96, 4000)])
@pytest.mark.parametrize("limit", [99, 3600, 8192])
def test_a_scaled_stack_fits_the_level_and_keeps_its_shape(size: tuple[int, int], limit: int) -> None:
    width, height = fitting(*size, limit)
    assert width % 2 == height % 2 == 0
    assert blocks(width, 2 * height) <= limit
    if (width, height) != size:
        assert (width % 16, height % 8) == (0, 0), "whole macroblocks: they do not cross the seam"
        assert width <= size[0]
        if limit >= 3600:
            assert abs(width / height * size[1] / size[0] - 1) < 0.06
            assert blocks(width, 2 * height) > 0.85 * limit


def test_720_lines_in_level_3_1() -> None:
    assert fitting(1280, 720, 3600) == (896, 504)
    assert fitting(1280, 720, 8192) == fitting(1280, 720, 0) == (1280, 720)
