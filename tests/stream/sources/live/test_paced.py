"""Packets that arrive ahead of their times, in another order, and with jumps of the clock."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest

from stream.sources.live.paced import Paced

MS = Fraction(1, 1000)


@dataclass
class Stream:
    index: int


@dataclass
class Packet:
    stream: Stream
    dts: int | None
    time_base: Fraction = MS


def paced() -> Paced:
    return Paced([], 2, threading.Event())


def test_what_is_early_waits_and_nothing_else() -> None:
    pace = paced()
    assert pace.due_s(0, 50.0, 1000.0) == 1000.0
    assert pace.due_s(0, 50.5, 1000.1) == 1000.5
    assert pace.due_s(0, 51.0, 1003.0) == 1001.0, "late"
    assert pace.due_s(0, 53.5, 1003.0) == 1003.5, "a late packet does not change the pace"
    assert pace.due_s(1, 50.1, 1003.0) == 1000.1, "another stream"


@pytest.mark.parametrize("jump_s", [-40.0, -1.5, 3.5, 1e6])
def test_the_pace_goes_on_where_the_clock_jumps(jump_s: float) -> None:
    pace = paced()
    pace.due_s(0, 50.0, 1000.0)
    pace.due_s(0, 52.0, 1000.0)
    assert pace.due_s(0, 52.0 + jump_s, 1000.0) == pytest.approx(1002.0)
    assert pace.due_s(0, 52.2 + jump_s, 1000.0) == pytest.approx(1002.2)


def test_streams_that_follow_each_other_are_interleaved() -> None:
    """As in fragments of MP4: all pictures, then all sound."""
    video, sound = Stream(0), Stream(1)
    pictures = [Packet(video, n * 40) for n in range(10)]
    packets = [Packet(sound, n * 20) for n in range(1, 20)]
    times = [packet.dts or 0 for packet in Paced([*pictures, *packets], 2, threading.Event())]
    assert len(times) == 29
    assert times == sorted(times)


def test_an_error_is_raised_after_the_last_packet() -> None:
    def packets() -> Iterator[Packet]:
        yield Packet(Stream(0), 0)
        yield Packet(Stream(0), 20)
        raise OSError("lost")

    received = iter(Paced(packets(), 1, threading.Event()))
    assert [next(received).dts, next(received).dts] == [0, 20]
    with pytest.raises(OSError, match="lost"):
        next(received)


def test_it_can_be_stopped_while_it_waits() -> None:
    stopped = threading.Event()
    received = []
    for packet in Paced([Packet(Stream(0), 0), Packet(Stream(0), 2_900)], 1, stopped):
        received.append(packet.dts)
        stopped.set()
    assert received == [0]


def test_a_reader_that_leaves_early_stops_the_reading() -> None:
    read = []

    def packets() -> Iterator[Packet]:
        for n in range(100_000):
            read.append(n)
            yield Packet(Stream(0), n * 100)

    iterator = iter(Paced(packets(), 1, threading.Event()))
    assert next(iterator).dts == 0
    iterator.close()  # type: ignore[attr-defined]
    assert len(read) < 10_000, "only a second ahead"


def test_a_stream_whose_clock_jumps_later_is_not_held_back() -> None:
    pace = paced()
    for stream in (0, 1):
        pace.due_s(stream, 600.0, 1000.0)
    assert pace.due_s(0, 1.4, 1000.1) == pytest.approx(1000.1)
    assert pace.due_s(1, 600.1, 1000.1) == pytest.approx(1000.1), "still on the clock before the jump"
    assert pace.due_s(1, 1.5, 1000.2) == pytest.approx(1000.2)
    assert pace.due_s(0, 1.6, 1000.3) < 1001.0
