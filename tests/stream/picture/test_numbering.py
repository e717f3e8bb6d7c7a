import pytest

from stream.picture.numbering import Numbering, as_ranges, groups, missing


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("shot.%04d.exr", "shot.0007.exr"),
        ("shot.####.exr", "shot.0007.exr"),
        ("%d.png", "7.png"),
        ("a_##", "a_07"),
    ],
)
def test_names_of_a_pattern(pattern: str, name: str) -> None:
    numbering = Numbering.read(pattern)
    assert numbering is not None
    assert numbering.name(7) == name
    assert numbering.number(name) == 7
    assert numbering.number(f"x{name}") is None


@pytest.mark.parametrize(
    "name", ["shot.png", "take#1.png", "100%.png", "%s.png", "%04d_%04d.png", "%4d.png", "##_##.png"]
)
def test_names_that_are_no_pattern(name: str) -> None:
    assert Numbering.read(name) is None


def test_a_number_has_at_least_the_digits_of_the_pattern() -> None:
    numbering = Numbering("", 3, ".png")
    assert numbering.number("1000.png") == 1000
    assert numbering.number("0999.png") is None
    assert numbering.number("99.png") is None
    assert numbering.number("-01.png") is None
    assert numbering.number("٠٠١.png") is None
    assert str(numbering) == "%03d.png"


def test_files_are_grouped_by_their_last_number() -> None:
    found = groups(["s2_0009.exr", "s2_0010.exr", "a9.png", "a10.png", "readme", "v1.mp4", "b.0001.exr.tmp"])
    assert found[Numbering("s2_", 4, ".exr")] == [9, 10]
    assert found[Numbering("a", 1, ".png")] == [9, 10]


def test_missing_numbers_as_text() -> None:
    assert missing([1, 2, 5, 9]) == [3, 4, 6, 7, 8]
    assert as_ranges(missing([1, 2, 5, 9, 11])) == "3-4, 6-8, 10"
    assert as_ranges([]) == ""
    assert as_ranges(range(0, 20, 2)) == "0, 2, 4, 6, 8, 10, 12, 14 and 2 more"
