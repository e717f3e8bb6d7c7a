"""The times at which subjects were not found, in the report of a file and in the notice of live video."""

import pytest

from stream.records.subjects import parse_subjects
from workers.choosers import unsure
from workers.choosers.unsure import Lost, Unsure


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


def test_live_a_subject_is_lost_when_it_has_disappeared_until_it_is_found() -> None:
    lost, seen = Lost(0.5), list[tuple[str, ...]]()
    for n, names in enumerate([(), ("ann",), ("ann",), ("ann", "bob"), ("ann", "bob"), ("bob",), ("ann",), ()]):
        lost.see(names, n / 4)
        seen.append(lost.names)
    assert seen == [(), (), (), ("ann",), ("ann",), ("bob",), (), ()]
    lost.see(["ann"], 9.0)
    lost.see(["ann"], 1.0)  # the source began again
    assert lost.names == ()


@pytest.mark.parametrize(
    ("specs", "names", "expected"),
    [
        (["point:0.5,0.5"], [], ""),
        (["point:0.5,0.5"], ["subject"], "the subject is lost: hidden until found again"),
        (["not:car"], ["removed"], "what is to be removed is lost: not removed until found again"),
        (["ann=red", "bob=blue"], ["bob"], "bob is lost: hidden until found again"),
        (["ann=red", "bob=blue"], ["ann", "bob"], "ann and bob are lost: hidden until found again"),
        (["ann=red", "not:car"], ["ann", "removed"],
         "ann is lost: hidden until found again; removed is lost: not removed until found again"),
        (["ann=red"], ["withdrawn"], ""),
    ],
)  # fmt: skip
def test_the_sentence_says_what_is_seen_of_lost_subjects(specs: list[str], names: list[str], expected: str) -> None:
    assert unsure.lost_sentence(names, parse_subjects(specs)) == expected
