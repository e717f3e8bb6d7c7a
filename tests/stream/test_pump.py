import threading
from fractions import Fraction

import numpy as np
import pytest

from stream.frames import Frame
from stream.pump import pump
from tests.fakes import ListSink, ListSource, Unchanged


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((24, 16), np.uint8), n, Fraction(1, 30)) for n in range(count)]


def test_everything_arrives_in_order_and_all_is_closed() -> None:
    seen: list[Frame] = []
    source, sink = ListSource(frames(50)), ListSink()
    pump(source, Unchanged(), sink, seen.append)
    assert [i.pts for i in sink.items] == list(range(50))
    assert len(seen) == 50
    assert sink.state == "closed"
    assert source.closed


def test_frames_held_back_by_a_transform_come_out_at_the_end() -> None:
    sink = ListSink()
    pump(ListSource(frames(10)), Unchanged(delay=3), sink)
    assert [i.pts for i in sink.items] == list(range(10))


@pytest.mark.parametrize(
    ("source", "transform", "sink", "message"),
    [
        (ListSource(frames(5), ValueError("source broke")), Unchanged(), ListSink(), "source broke"),
        (ListSource(frames(50)), Unchanged(fails_at=3), ListSink(), "transform broke"),
        (ListSource(frames(50)), Unchanged(), ListSink(3, ValueError("sink broke")), "sink broke"),
    ],
)
def test_an_error_anywhere_stops_the_rest_and_aborts_the_sink(
    source: ListSource, transform: Unchanged, sink: ListSink, message: str
) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match=message):
        pump(source, transform, sink)
    assert sink.state == "aborted"
    assert source.closed
    assert threading.active_count() == before


def test_an_interrupt_in_the_caller_aborts_the_sink() -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    sink = ListSink(pause_s=0.001)
    with pytest.raises(KeyboardInterrupt):
        pump(ListSource(frames(1000)), Unchanged(), sink, interrupt)
    assert sink.state == "aborted"


def test_a_slow_sink_bounds_how_far_the_source_runs_ahead() -> None:
    taken = 0

    class Counting(ListSource):
        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal taken
            for item in super().__iter__():
                taken += 1
                yield item

    ahead = []

    class Slow(ListSink):
        def write(self, item) -> None:  # type: ignore[no-untyped-def]
            super().write(item)
            ahead.append(taken - len(self.items))

    pump(Counting(frames(200)), Unchanged(), Slow(pause_s=0.001))
    assert max(ahead) <= 20
