"""Timecodes are counted as in SMPTE ST 12-1."""

from fractions import Fraction

import pytest

from stream.picture.timecode import shifted

NTSC = Fraction(30_000, 1001)


@pytest.mark.parametrize(
    ("timecode", "frames", "rate", "expected"),
    [
        ("01:00:00:00", 0, Fraction(25), "01:00:00:00"),
        ("01:00:00:24", 1, Fraction(25), "01:00:01:00"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("00:00:00;00", 107_892, NTSC, "01:00:00;00"),
        ("00:00:59;59", 1, 2 * NTSC, "00:01:00;04"),
        ("01:02:03.04", 0, NTSC, "01:02:03;04"),
        ("01:00:00:23", 1, Fraction(24_000, 1001), "01:00:01:00"),
    ],
)
def test_frames_are_counted(timecode: str, frames: int, rate: Fraction, expected: str) -> None:
    assert shifted(timecode, frames / rate, rate) == expected


@pytest.mark.parametrize("text", ["", "now", "1:2:3:4", "00:00:61:00", "00:00:00:25", "01:00:00:00\n01:00:00:00"])
def test_other_texts_are_not_timecodes(text: str) -> None:
    assert shifted(text, Fraction(0), Fraction(25)) == ""
