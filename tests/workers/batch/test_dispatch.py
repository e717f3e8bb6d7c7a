"""The order of calls, and what follows from their outcomes."""

import pytest

from stream.records.jobs import POISON, Media
from stream.records.lifetimes import DELIVERIES, LOSSES, TRIES
from tests.workers.batch.test_intake import film, source
from workers.batch.calls import Call, Failed, Finished, Missing, Planned, Record, Segmented, Stopped
from workers.batch.dispatch import Dispatch
from workers.batch.films import Film

PLANNED = Planned(plan="{}", segments=("0000", "0001"), media=Media(), warnings=(), source="jobs/1/source", seconds=1.0)
SEGMENT = Segmented(note="n", frames=30, seconds=2.0, device="cpu")
RECORD = Record(
    input="a", output="b", engine="chroma", device="cpu", frames=1, seconds=1.0, width=2, height=2, duration_s=1.0,
    bytes=1, segments=1,
)  # fmt: skip
FAULT = Failed(code="engine", message="no memory", retry=True)


class Ends:
    """A dispatch, and the ends of its films."""

    def __init__(self) -> None:
        self.done: list[Film] = []
        self.failed: list[Failed] = []
        self.dispatch = Dispatch(lambda film, _: self.done.append(film), lambda _, failure: self.failed.append(failure))

    def next(self, task: str) -> Call:
        call = self.dispatch.next()
        assert call is not None
        assert call.task == task
        return call


@pytest.fixture
def ends() -> Ends:
    made = Ends()
    made.dispatch.open(film(), ("stale",))
    return made


def planned(ends: Ends, outcome: Planned = PLANNED) -> None:
    ends.dispatch.ended(ends.next("plan"), outcome)


def test_plan_segments_join(ends: Ends) -> None:
    first = ends.next("plan")
    assert ends.dispatch.next() is None
    assert first.stale == ("stale",)
    ends.dispatch.ended(first, PLANNED)
    calls = ends.next("0000"), ends.next("0001")
    assert ends.dispatch.next() is None
    assert calls[0].film.job.source == "jobs/1/source"
    for call in reversed(calls):
        ends.dispatch.ended(call, SEGMENT)
    join = ends.next("join")
    assert (join.notes, join.frames, join.seconds, join.device) == ({"0000": "n", "0001": "n"}, 60, 5.0, "cpu")
    ends.dispatch.ended(join, Finished(record=RECORD))
    assert [each.result for each in ends.done] == ["a.mkv"]
    assert len(ends.dispatch) == 0


def test_a_film_that_is_not_cut_is_done_by_its_first_call(ends: Ends) -> None:
    ends.dispatch.ended(ends.next("plan"), Finished(record=RECORD))
    assert (len(ends.done), len(ends.dispatch)) == (1, 0)


def test_the_film_opened_first_is_finished_first(ends: Ends) -> None:
    ends.dispatch.open(film(video=source("b.mp4")))
    first = ends.next("plan")
    assert ends.next("plan").film.result == "b.mkv"
    ends.dispatch.ended(first, PLANNED)
    assert ends.next("0000").film.result == "a.mkv"


def test_segments_of_an_earlier_run_are_not_made_again(ends: Ends) -> None:
    planned(ends, PLANNED.model_copy(update={"notes": {"0000": "old"}}))
    ends.dispatch.ended(ends.next("0001"), SEGMENT)
    assert ends.next("join").notes == {"0000": "old", "0001": "n"}


def test_nothing_but_the_join_is_missing_from_an_earlier_run(ends: Ends) -> None:
    planned(ends, PLANNED.model_copy(update={"notes": {"0000": "old", "0001": "old"}}))
    ends.next("join")


def test_segments_that_the_join_misses_are_made_again(ends: Ends) -> None:
    planned(ends, PLANNED.model_copy(update={"notes": {"0000": "old", "0001": "old"}}))
    ends.dispatch.ended(ends.next("join"), Missing(names=("0001",)))
    ends.dispatch.ended(ends.next("0001"), SEGMENT)
    ends.next("join")


def test_an_error_of_the_film_fails_it_at_once(ends: Ends) -> None:
    ends.dispatch.ended(ends.next("plan"), Failed(code="unreadable_media", message="text", retry=False))
    assert [each.code for each in ends.failed] == ["unreadable_media"]
    assert len(ends.dispatch) == 0


def test_an_error_of_a_node_is_tried_again(ends: Ends) -> None:
    for _ in range(TRIES - 1):
        ends.dispatch.ended(ends.next("plan"), FAULT)
        assert not ends.failed
    ends.dispatch.ended(ends.next("plan"), FAULT)
    assert ends.failed == [FAULT]


@pytest.mark.parametrize(("crashed", "limit"), [(True, DELIVERIES), (False, LOSSES)])
def test_lost_calls_run_again_until_the_film_is_to_blame(ends: Ends, crashed: bool, limit: int) -> None:
    for _ in range(limit - 1):
        ends.dispatch.lost(ends.next("plan"), crashed)
        assert not ends.failed
    ends.dispatch.lost(ends.next("plan"), crashed)
    assert [each.code for each in ends.failed] == [POISON]
    assert len(ends.dispatch) == 0


def test_faults_are_counted_by_task(ends: Ends) -> None:
    ends.dispatch.lost(ends.next("plan"), True)
    ends.dispatch.lost(ends.next("plan"), True)
    planned(ends)
    ends.dispatch.lost(ends.next("0000"), True)
    assert ends.next("0000").task == "0000"
    assert not ends.failed


def test_a_failed_film_waits_for_its_running_calls(ends: Ends) -> None:
    planned(ends)
    first, second = ends.next("0000"), ends.next("0001")
    ends.dispatch.ended(first, FAULT.model_copy(update={"retry": False}))
    assert (len(ends.failed), len(ends.dispatch)) == (1, 1)
    ends.dispatch.lost(second, True)
    assert (len(ends.failed), len(ends.dispatch)) == (1, 0)


def test_a_stopped_call_counts_as_nothing(ends: Ends) -> None:
    for _ in range(TRIES + DELIVERIES):
        ends.dispatch.ended(ends.next("plan"), Stopped())
    assert not ends.failed
