import threading
import time

import pytest

from stream.slot import BoundedQueue, LiveSlot, Slot
from tests.waiting import PATIENCE_S


def test_a_slot_keeps_the_newest_and_counts_the_rest() -> None:
    slot: Slot[int] = Slot()
    for n in range(5):
        slot.put(n)
    slot.close()
    assert list(slot) == [4]
    assert slot.dropped == 4


def test_put_on_a_closed_slot_is_ignored() -> None:
    slot: Slot[int] = Slot()
    slot.close()
    slot.put(1)
    assert list(slot) == []


def live_slot(max_sound: int = 3) -> LiveSlot[str]:
    """Upper-case letters are frames, all others are packets of sound."""
    return LiveSlot(str.isupper, max_sound)


@pytest.mark.parametrize(
    ("put", "taken", "dropped", "sound_dropped"),
    [
        ("", "", 0, 0),
        ("ABC", "C", 2, 0),
        ("aAbc", "aAbc", 0, 0),
        ("aAbBc", "abBc", 1, 0),
        ("AaBbC", "abC", 2, 0),
        ("abcde", "cde", 0, 2),
        ("Aabcd", "Abcd", 0, 1),
        ("aAbcde", "Acde", 0, 2),
        ("aAbcdB", "bcdB", 1, 1),
    ],
)
def test_a_live_slot_keeps_the_newest_frame_and_the_sound_in_order(
    put: str, taken: str, dropped: int, sound_dropped: int
) -> None:
    slot = live_slot()
    assert all(slot.put(item) for item in put)
    slot.close()
    assert "".join(slot) == taken
    assert (slot.dropped, slot.sound_dropped) == (dropped, sound_dropped)


def test_a_live_slot_replaces_only_a_frame_that_waits() -> None:
    slot = live_slot()
    slot.put("A")
    slot.put("a")
    assert slot.take(0) == "A"
    slot.put("B")
    slot.close()
    assert list(slot) == ["a", "B"]
    assert slot.dropped == 0


def test_a_live_slot_compares_frames_by_identity() -> None:
    """Frames hold arrays, whose comparison is not a truth value."""

    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

    slot: LiveSlot[object] = LiveSlot(lambda item: isinstance(item, Incomparable))
    newest = Incomparable()
    for item in (Incomparable(), "a", Incomparable(), newest):
        slot.put(item)
    assert slot.take(0) == "a"
    assert slot.take(0) is newest


def test_a_live_slot_that_is_closed_accepts_nothing() -> None:
    slot = live_slot()
    slot.put("a")
    slot.cancel()
    assert not slot.put("A")
    assert not slot.put("b")
    assert list(slot) == []


def test_a_queue_loses_nothing_and_keeps_order_across_threads() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)

    def produce() -> None:
        for n in range(200):
            queue.put(n)
        queue.close()

    thread = threading.Thread(target=produce)
    thread.start()
    assert list(queue) == list(range(200))
    thread.join()


def test_a_full_queue_blocks_the_writer() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    written: list[int] = []

    def produce() -> None:
        for n in range(10):
            queue.put(n)
            written.append(n)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    time.sleep(0.1)
    assert written == [0, 1]
    queue.cancel()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_cancel_wakes_a_waiting_reader() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    thread = threading.Thread(target=lambda: list(queue), daemon=True)
    thread.start()
    queue.cancel()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_put_on_a_closed_queue_returns_false() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.close()
    assert queue.put(1) is False


@pytest.mark.clocked
def test_take_waits_until_its_timeout() -> None:
    slot: Slot[int] = Slot()
    began_s = time.monotonic()
    assert slot.take(0.05) is None
    assert time.monotonic() - began_s >= 0.05
    slot.put(7)
    assert slot.take(PATIENCE_S) == 7
    slot.close()
    assert slot.take(PATIENCE_S) is None
