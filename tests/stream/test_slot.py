import threading
import time

from stream.slot import Line, Slot


def test_slot_keeps_the_newest_and_counts_the_rest() -> None:
    slot: Slot[int] = Slot()
    for n in range(5):
        slot.put(n)
    slot.close()
    assert list(slot) == [4]
    assert slot.dropped == 4


def test_slot_put_after_close_is_ignored() -> None:
    slot: Slot[int] = Slot()
    slot.close()
    slot.put(1)
    assert list(slot) == []


def test_line_loses_nothing_and_keeps_order_across_threads() -> None:
    line: Line[int] = Line(2)

    def produce() -> None:
        for n in range(200):
            line.put(n)
        line.close()

    thread = threading.Thread(target=produce)
    thread.start()
    assert list(line) == list(range(200))
    thread.join()


def test_line_makes_the_writer_wait_for_room() -> None:
    line: Line[int] = Line(2)
    written: list[int] = []

    def produce() -> None:
        for n in range(10):
            line.put(n)
            written.append(n)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    time.sleep(0.1)
    assert written == [0, 1]
    line.cancel()
    thread.join(5)
    assert not thread.is_alive()


def test_cancel_wakes_a_waiting_reader() -> None:
    line: Line[int] = Line(1)
    thread = threading.Thread(target=lambda: list(line), daemon=True)
    thread.start()
    line.cancel()
    thread.join(5)
    assert not thread.is_alive()


def test_put_on_a_closed_line_tells_the_producer_to_stop() -> None:
    line: Line[int] = Line(1)
    line.close()
    assert line.put(1) is False


def test_a_reader_may_wait_for_a_while_only() -> None:
    slot: Slot[int] = Slot()
    began_s = time.monotonic()
    assert slot.take(0.05) is None
    assert time.monotonic() - began_s >= 0.05
    slot.put(7)
    assert slot.take(10) == 7
    slot.close()
    assert slot.take(10) is None
