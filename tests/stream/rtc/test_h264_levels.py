"""The level of H.264 that is answered, and the largest picture that a viewer decodes."""

import pytest

from stream.rtc.h264_levels import blocks, max_blocks, with_level_for

BROWSER = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
STRICT = "packetization-mode=1;profile-level-id=42e01f"


@pytest.mark.parametrize(
    ("offered", "size", "level"),
    [
        (BROWSER, (640, 720), "42e01f"),  # level 3.1 is enough
        (BROWSER, (1280, 720), "42e01f"),
        (BROWSER, (1280, 1440), "42e028"),  # 4.0
        (BROWSER, (1920, 2176), "42e032"),  # 5.0
        (BROWSER, (8000, 9000), "42e034"),  # above every level: the highest
        (BROWSER.replace("42e01f", "64002a"), (1280, 1440), "64002a"),  # 4.2 is enough
        (BROWSER.replace("42e01f", "42001f"), (1280, 1440), "420028"),  # the profile stays
        (STRICT, (1280, 1440), "42e01f"),  # must not be exceeded
    ],
)
def test_a_level_that_allows_the_picture_is_answered(offered: str, size: tuple[int, int], level: str) -> None:
    answered = with_level_for(offered, *size)
    assert answered == offered.rpartition("=")[0] + f"={level}"


def test_an_offer_without_a_level_is_answered_as_one_of_3_1() -> None:
    assert with_level_for("level-asymmetry-allowed=1", 1280, 1440).endswith("profile-level-id=42e028")
    assert with_level_for("packetization-mode=1", 1280, 1440) == "packetization-mode=1"
    assert max_blocks("packetization-mode=1") == 3600


@pytest.mark.parametrize(
    ("offered", "limit"),
    [(BROWSER, 0), (STRICT, 3600), (STRICT.replace("1f", "28"), 8192), (STRICT.replace("1f", "0b"), 100)],
)
def test_without_asymmetry_the_offered_level_is_the_limit(offered: str, limit: int) -> None:
    assert max_blocks(offered) == limit


def test_a_stack_of_720_lines_exceeds_level_3_1() -> None:
    assert blocks(1280, 720) == max_blocks(STRICT)
    assert blocks(1280, 1440) == 7200
    assert blocks(17, 1) == 2
