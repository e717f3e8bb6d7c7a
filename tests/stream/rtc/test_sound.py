"""The sound's delay: it follows the picture's, loses and reorders nothing, and holds a bounded number of packets."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from stream.rtc.aiortc_overrides import Encoded
from stream.rtc.sound import MAX_DELAY_S, ContinuousTime, FollowedDelay, SoundDelay

TICKS, STEP_S = 960, 0.02  # of one packet


class _Instant(selectors.DefaultSelector):
    """Waits by moving the clock."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0)


def run_in_virtual_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on an event loop in which no time passes but by waiting."""
    selector = _Instant()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work())


def packet(n: int, arrived_s: float | None = None, data: bytes = b"opus") -> Encoded:
    return Encoded("opus", data, n * TICKS, n * STEP_S if arrived_s is None else arrived_s)


class Line:
    """A `SoundDelay` and what it released: (packet number, seconds after its arrival)."""

    def __init__(self) -> None:
        self.target_s: float | None = 0.1
        self.released: list[tuple[int, float]] = []
        self.sent: list[tuple[int, float]] = []  # pts, arrival
        self.delay = SoundDelay(self._release, lambda: self.target_s)
        self._loop = asyncio.get_running_loop()

    def _release(self, packet: Any) -> None:
        assert bytes(packet) == b"opus"
        self.sent.append((packet.pts, packet.opaque))
        self.released.append((packet.pts // TICKS, self._loop.time() - packet.opaque))

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.released]

    async def feed(self, *numbers: int) -> None:
        """Put each packet at the time of its number."""
        for n in numbers:
            await asyncio.sleep(max(0.0, n * STEP_S - self._loop.time()))
            self.delay.put(packet(n))


def test_each_packet_leaves_after_the_pictures_delay() -> None:
    async def run() -> None:
        line = Line()
        await line.feed(*range(50))
        await asyncio.sleep(0.2)
        assert line.numbers == list(range(50))
        assert [held_s for _, held_s in line.released] == pytest.approx([0.1] * 50, abs=1e-6)
        assert line.delay.dropped == 0

    run_in_virtual_time(run)


@pytest.mark.parametrize("target_s", [0.16, 0.04])
def test_a_small_change_is_followed_in_small_steps(target_s: float) -> None:
    async def run() -> None:
        line = Line()
        await line.feed(*range(20))
        line.target_s = target_s
        await line.feed(*range(20, 300))
        await asyncio.sleep(0.2)
        assert line.numbers == list(range(300)), "nothing is lost"
        held = [held_s for _, held_s in line.released]
        steps = [later - earlier for earlier, later in pairwise(held)]
        assert max(map(abs, steps)) < 0.002, "receivers stretch 20 ms by 2 ms without a click"
        assert held[-1] == pytest.approx(target_s, abs=0.002)

    run_in_virtual_time(run)


def test_a_large_change_is_followed_at_once() -> None:
    """As when the smoothing of mattes is changed: the picture stops for a second, and later skips one."""

    async def run() -> None:
        line = Line()
        await line.feed(*range(20))
        line.target_s = 1.1
        await line.feed(*range(20, 120))
        assert line.released[-1][1] == pytest.approx(1.1, abs=0.02)
        line.target_s = 0.1
        await line.feed(*range(120, 140))
        await asyncio.sleep(0.2)
        assert line.numbers[-1] == 139
        assert line.released[-1][1] == pytest.approx(0.1, abs=0.02)
        assert line.numbers == sorted(line.numbers)
        assert max(held_s for number, held_s in line.released if number >= 115) < 0.4, "what is too late is skipped"
        assert line.delay.dropped == 140 - len(line.released)

    run_in_virtual_time(run)


def test_nothing_is_released_before_the_first_picture() -> None:
    async def run() -> None:
        line = Line()
        line.target_s = None
        await line.feed(*range(1000))
        assert line.released == []
        assert len(line.delay._held) <= MAX_DELAY_S / STEP_S + 1, "memory is bounded"
        line.target_s = 0.1
        await line.feed(1000, 1001)
        await asyncio.sleep(0.2)
        assert line.numbers[-1] == 1001
        assert max(held_s for _, held_s in line.released) < 0.4

    run_in_virtual_time(run)


def test_packets_out_of_order_are_put_in_order_and_duplicates_are_dropped() -> None:
    async def run() -> None:
        line = Line()
        for n in (0, 2, 1, 1, 3):
            line.delay.put(packet(n, arrived_s=0.0))
        await asyncio.sleep(0.2)
        line.delay.put(packet(2, arrived_s=0.0))
        assert line.numbers == [0, 1, 2, 3]
        assert line.delay.dropped == 2

    run_in_virtual_time(run)


def test_a_flood_is_not_kept() -> None:
    async def run() -> None:
        line = Line()
        for n in range(5000):
            line.delay.put(Encoded("opus", b"opus", n, 0.0))
        assert len(line.delay._held) == 1000
        assert line.delay.dropped == 4000

    run_in_virtual_time(run)


def test_no_delay_is_longer_than_the_limit() -> None:
    followed = FollowedDelay()
    assert followed.follow(60.0, 0.0) == MAX_DELAY_S


def moved_s(times: ContinuousTime, packets: list[Encoded]) -> list[float]:
    """How far each packet's new timestamp is ahead of its arrival, in seconds."""
    return [times(packet) / 48_000 - packet.arrived_s for packet in packets]


@pytest.mark.parametrize("restart", [10, -(10**6), 10**6])
def test_times_go_on_while_the_microphone_is_off(restart: int) -> None:
    """Chromium's timestamps stand still while its microphone is off; others may begin elsewhere."""
    times = ContinuousTime()
    assert moved_s(times, [packet(n) for n in range(10)]) == pytest.approx([0.0] * 10)
    again = [packet(restart + n, arrived_s=8.0 + n * STEP_S) for n in range(200)]
    assert moved_s(times, again) == pytest.approx([0.0] * 200, abs=0.061)


def test_lost_and_late_packets_do_not_change_the_times() -> None:
    times = ContinuousTime()
    numbers = [0, 1, 2, 60, 61, 200]  # losses, and a client whose timestamps do go on
    assert [times(packet(n)) for n in numbers] == [n * TICKS for n in numbers]
    stalled = [packet(n, arrived_s=201 * STEP_S + 0.4) for n in range(201, 221)]
    assert [times(sound) for sound in stalled] == [n * TICKS for n in range(201, 221)]


@pytest.mark.long
def test_drifting_clocks_do_not_change_the_times() -> None:
    times = ContinuousTime()
    two_hours = [packet(n, arrived_s=n * STEP_S * 1.0002) for n in range(2 * 3600 * 50)]
    assert all(times(sound) == sound.pts for sound in two_hours)


def test_a_burst_after_a_stall_is_not_played_late() -> None:
    async def run() -> None:
        line = Line()
        await line.feed(*range(50))
        await asyncio.sleep(3.0)
        for n in range(50, 200):  # three seconds at once
            line.delay.put(packet(n, arrived_s=4.0))
        await line.feed(*range(200, 300))
        await asyncio.sleep(0.2)
        pts = [pts for pts, _ in line.sent]
        assert pts == sorted(set(pts))
        late_s = [arrived_s - pts / 48_000 for pts, arrived_s in line.sent[-50:]]
        assert max(map(abs, late_s)) < 0.6
        assert line.delay.dropped > 90

    run_in_virtual_time(run)
