"""The times at which subjects were not found, in the report of a file."""

from workers.choosers import unsure
from workers.choosers.unsure import Unsure


def test_frames_that_follow_each_other_are_one_range() -> None:
    ranges: list[Unsure] = []
    for n in (0, 1, 2, 60, 61, 300):
        unsure.add(ranges, ["ann"], n / 10)
    assert ranges == [Unsure("ann", 0.0, 0.2), Unsure("ann", 6.0, 6.1), Unsure("ann", 30.0, 30.0)]


def test_subjects_have_ranges_of_their_own() -> None:
    ranges: list[Unsure] = []
    for n, names in enumerate((["ann"], ["ann", "bob"], ["bob"])):
        unsure.add(ranges, names, n / 10)
    assert ranges == [Unsure("ann", 0.0, 0.1), Unsure("bob", 0.1, 0.2)]


def test_ranges_of_segments_are_merged_whatever_their_order() -> None:
    ranges = [Unsure("ann", 8.0, 9.0), Unsure("ann", 0.0, 8.0), Unsure("bob", 60.0, 61.0)]
    assert unsure.warnings(ranges) == [
        ("subject_not_found", "the subject ann was not found at 0:00-0:09; check these times, and add a prompt there"),
        ("subject_not_found", "the subject bob was not found at 1:00-1:01; check these times, and add a prompt there"),
    ]


def test_only_the_first_times_are_listed() -> None:
    ((_, sentence),) = unsure.warnings([Unsure("ann", 10.0 * n, 10.0 * n) for n in range(9)])
    assert "at 0:00, 0:10, 0:20, 0:30, 0:40 and 4 more times" in sentence


def test_nothing_is_reported_of_subjects_that_were_found() -> None:
    assert unsure.warnings([]) == []
