"""Queues in front of outputs: what they drop when an output is slow."""

import threading
import time
from fractions import Fraction
from typing import Any

from stream.sinks.live.packets import CLOCK, Packet
from stream.sinks.live.ring import FrameRing, PacketRing
from tests.feeding import frame


def video(number: int, key: bool = False) -> Packet:
    return Packet("video", b"", number, number, 1, CLOCK, key)


def sound(number: int) -> Packet:
    return Packet("sound", b"", number, number, 1, Fraction(1, 48_000))


def drain(ring: PacketRing) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while (packet := ring.take(0)) is not None:
        found.append((packet.kind, packet.dts))
    return found


def test_it_starts_with_a_keyframe_and_does_not_count_what_came_before() -> None:
    ring = PacketRing(10)
    for packet in [video(0), sound(0), video(1, key=True), sound(1)]:
        ring.put(packet)
    assert drain(ring) == [("video", 1), ("sound", 1)]
    assert ring.dropped == 0


def test_a_full_ring_drops_up_to_the_next_keyframe() -> None:
    ring = PacketRing(6)
    for number in range(7):
        ring.put(video(number, key=number in (0, 4)))
    assert drain(ring) == [("video", 4), ("video", 5), ("video", 6)]
    assert ring.dropped == 4


def test_without_a_keyframe_in_a_full_ring_everything_up_to_the_next_one_is_dropped() -> None:
    ring = PacketRing(4)
    for packet in [video(0, key=True), sound(0), video(1), sound(1), video(2), sound(2), video(3, key=True), sound(3)]:
        ring.put(packet)
    assert drain(ring) == [("video", 3), ("sound", 3)]
    assert ring.dropped == 3, "only pictures are counted"


def test_after_a_restart_it_waits_for_a_keyframe_again() -> None:
    ring = PacketRing(4)
    ring.put(video(0, key=True))
    ring.restart()
    ring.put(video(1))
    ring.put(video(2, key=True))
    assert drain(ring) == [("video", 2)]
    assert ring.dropped == 0


def test_a_slow_frame_output_loses_the_oldest_frames_and_no_sound() -> None:
    ring = FrameRing()
    packet = object()
    ring.put(packet)  # type: ignore[arg-type]
    for number in range(19):
        ring.put(frame(number))
    kept: list[Any] = []
    while (item := ring.take(0)) is not None:
        kept.append(item)
    assert kept[0] is packet
    assert [item.pts // 3600 for item in kept[1:]] == list(range(3, 19))
    assert ring.dropped == 3


def test_take_waits_for_an_item_and_ends_when_it_is_closed() -> None:
    ring = PacketRing(10)
    threading.Timer(0.05, lambda: ring.put(video(5, key=True))).start()
    taken = ring.take(10)
    assert taken is not None
    assert taken.dts == 5
    threading.Timer(0.05, ring.close).start()
    began_s = time.monotonic()
    assert ring.take(30) is None
    assert time.monotonic() - began_s < 25, "it did not wait for the whole time"
    assert ring.finished
    ring.put(video(6, key=True))
    assert ring.take(0) is None
