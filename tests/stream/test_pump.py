import signal
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.pump import Item, pump
from stream.slot import Slot
from tests.fakes import ListSink, ListSource, Unchanged
from tests.waiting import until


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((24, 16), np.uint8), n, Fraction(1, 30)) for n in range(count)]


def test_items_arrive_in_order_and_everything_is_closed() -> None:
    seen: list[Frame] = []
    source, sink = ListSource(frames(50)), ListSink()
    pump(source, Unchanged(), sink, seen.append)
    assert [i.pts for i in sink.items] == list(range(50))
    assert len(seen) == 50
    assert sink.state == "closed"
    assert source.closed


def test_frames_held_back_by_a_transform_are_flushed_at_the_end() -> None:
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


def test_a_slow_sink_limits_how_far_the_source_runs_ahead() -> None:
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


def test_the_first_error_is_the_one_raised() -> None:
    """The source fails; errors that follow from it are not shown to the user."""

    class BreaksOnFlush(Unchanged):
        def flush(self) -> list[Frame]:
            raise ValueError("a consequence")

    with pytest.raises(ValueError, match="source broke"):
        pump(ListSource(frames(3), ValueError("source broke")), BreaksOnFlush(), ListSink())


def test_a_sink_that_cannot_be_closed_is_aborted() -> None:
    class Full(ListSink):
        def close(self) -> None:
            raise OSError("disk full")

    sink, transform = Full(), Unchanged()
    with pytest.raises(OSError, match="disk full"):
        pump(ListSource(frames(3)), transform, sink)
    assert sink.state == "aborted"
    assert transform.closed


def test_the_source_is_closed_even_if_closing_the_transform_fails() -> None:
    class Stuck(Unchanged):
        def close(self) -> None:
            raise ValueError("will not close")

    source = ListSource(frames(3))
    with pytest.raises(ValueError, match="will not close"):
        pump(source, Stuck(), ListSink())
    assert source.closed


def test_a_second_interrupt_still_waits_for_the_writer() -> None:
    """Nothing is closed while a thread uses it, however often Ctrl-C is pressed."""

    class Writing(ListSink):
        busy, released = threading.Event(), threading.Event()
        aborted_while_busy = False

        def write(self, item: Item) -> None:
            self.busy.set()
            self.released.wait(10)
            self.busy.clear()

        def abort(self) -> None:
            self.aborted_while_busy = self.busy.is_set()
            super().abort()

    sink, main = Writing(), threading.get_ident()

    def interrupt_twice_while_it_writes() -> None:
        sink.busy.wait(10)
        for _ in range(2):
            time.sleep(0.2)
            signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.2)
        sink.released.set()

    helper = threading.Thread(target=interrupt_twice_while_it_writes)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        pump(ListSource(frames(1000)), Unchanged(), sink)
    helper.join()
    assert sink.released.is_set()
    assert sink.state == "aborted"
    assert not sink.aborted_while_busy


def test_an_interrupt_while_the_threads_start_waits_for_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes when the first thread runs, but its `start` has not returned yet."""

    class Reading(ListSource):
        reading = closed_while_reading = False

        def __iter__(self) -> Iterator[Item]:
            self.reading = True
            time.sleep(0.2)
            yield from super().__iter__()
            self.reading = False

        def close(self) -> None:
            self.closed_while_reading = self.reading
            super().close()

    def start_and_interrupt(thread: threading.Thread) -> None:
        monkeypatch.undo()  # only the first
        thread.start()
        until(lambda: source.reading)
        signal.raise_signal(signal.SIGINT)

    source, sink = Reading([]), ListSink()
    monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        pump(source, Unchanged(), sink)
    assert source.closed
    assert not source.closed_while_reading
    assert sink.state == "aborted"


def test_with_slots_every_stage_works_on_the_newest_frame() -> None:
    read: Slot[Item] = Slot()
    sink = ListSink(pause_s=0.01)

    class Paced(ListSource):
        def __iter__(self) -> Iterator[Item]:
            for item in self.items:
                time.sleep(0.001)
                yield item

    pump(Paced(frames(100)), Unchanged(), sink, read=read, written=Slot())
    times = [item.pts for item in sink.items if isinstance(item, Frame)]
    assert times == sorted(times)
    assert times[-1] == 99
    assert len(times) < 60
    assert max(b - a for a, b in pairwise(times)) > 1


def test_the_slots_of_source_and_sink_are_used_unless_others_are_given() -> None:
    class LiveSink(ListSink):
        slot: Slot[Item] = Slot()

    class LiveSource(ListSource):
        slot: Slot[Item] = Slot()

    sink, source = LiveSink(pause_s=0.01), LiveSource(frames(100))
    pump(source, Unchanged(), sink)
    assert sink.items[-1].pts == 99
    assert len(sink.items) + sink.slot.dropped + source.slot.dropped == 100
    assert len(sink.items) < 60
