"""The device thread: every caller gets its own result, the oldest frame goes first, and no caller waits forever."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest

from stream.errors import EngineError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.serve.heartbeat import Health
from stream.settings import Settings
from stream.sources.pattern import PatternSource
from tests.fakes import TruthEngine
from tests.workers.engines.engine_runs import clip, run
from workers.engines.base import Engine, EngineState, Result
from workers.engines.chroma import Chroma
from workers.live import device_thread
from workers.live.device_thread import DeviceThread
from workers.matte import Matte
from workers.scene.backgrounds import open_background

LONG_S = 10.0  # a time limit that tests should not reach


class Slow(Engine):
    """Returns the number as alpha. A call takes `pause_s`, or until `gate` opens; fails on negative numbers."""

    name, device = "slow", "test"

    def __init__(self, batch: int = 1, pause_s: float = 0.0, gate: threading.Event | None = None) -> None:
        self.batch, self.pause_s, self.gate = batch, pause_s, gate
        self.calls: list[list[int]] = []
        self.began = threading.Event()

    def prepare(self, frame: Frame) -> int:
        return frame.pts

    def infer(self, prepared: Sequence[int], states: Sequence[EngineState]) -> list[Result]:
        self.calls.append(list(prepared))
        self.began.set()
        if self.gate is not None:
            assert self.gate.wait(LONG_S)
        time.sleep(self.pause_s)
        if min(prepared) < 0:
            raise ValueError(f"{min(prepared)} is negative")
        return [Result(np.full((1, 1), n, np.float32), n) for n in prepared]


def number(result: Result) -> int:
    return int(result.alpha[0, 0])


def held(batch: int, wait_s: float = 0.0) -> tuple[DeviceThread, Slow, threading.Event, "Future[Result]"]:
    """A device whose engine is busy with frame 0 until the gate opens."""
    gate = threading.Event()
    engine = Slow(batch, gate=gate)
    device = DeviceThread(engine, wait_s)
    first = device.submit(0, None)
    assert engine.began.wait(LONG_S)
    return device, engine, gate, first


def test_a_first_call_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_STUCK_S", 0.1), ("_NOTICEABLE_S", 0.1), ("_FIRST_CALL_S", 0.4)):
        monkeypatch.setattr(device_thread, name, value)
    device, _, gate, first = held(1)
    assert changes(device, Health.STUCK) == [Health.OK, Health.STARTING, Health.STUCK]
    gate.set()
    first.result(LONG_S)
    assert changes(device, Health.OK)[-1] is Health.OK
    device.close()


def test_a_call_that_does_not_return_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_thread, "_STUCK_S", 0.2)
    device, engine, gate, first = held(1)
    gate.set()
    first.result(LONG_S)
    device.infer([1], [None])
    gate.clear()
    engine.began.clear()
    second = device.submit(2, None)
    assert engine.began.wait(LONG_S)
    assert changes(device, Health.STUCK)[-2:] == [Health.OK, Health.STUCK]
    gate.set()
    second.result(LONG_S)
    device.close()


def test_a_slow_engine_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_thread, "_STUCK_S", 0.01)
    device = DeviceThread(Slow(pause_s=0.1))
    for n in range(3):
        device.infer([n], [None])
    result = device.submit(3, None)
    while not result.done():
        assert device.health() is Health.OK, "each call takes as long as those before"
    device.close()


def changes(device: DeviceThread, last: Health) -> list[Health]:
    """The health of a device until it is `last`, without repetitions."""
    seen = [device.health()]
    end_s = time.monotonic() + LONG_S
    while seen[-1] is not last:
        assert time.monotonic() < end_s, seen
        if (health := device.health()) is not seen[-1]:
            seen.append(health)
    return seen


def test_it_has_the_interface_of_its_engine() -> None:
    engine = Slow(batch=3)
    device = DeviceThread(engine)
    assert (device.name, device.batch, device.recurrent, device.warmup_frames, device.device) == (
        "slow",
        3,
        False,
        0,
        "test",
    )
    assert device.prepare(Frame(np.zeros((3, 2), np.uint8), 7, Fraction(1))) == 7
    assert [number(r) for r in device.infer([4, 5], [None, None])] == [4, 5]
    assert device.infer([], []) == []
    device.close()


def test_waiting_frames_are_batched_oldest_first() -> None:
    device, engine, gate, first = held(batch=3)
    later = [device.submit(n, None, video=n) for n in range(1, 6)]
    gate.set()
    assert [number(f.result(LONG_S)) for f in (first, *later)] == [0, 1, 2, 3, 4, 5]
    assert engine.calls == [[0], [1, 2, 3], [4, 5]]
    meter = device.meter()
    assert (meter.frames, meter.batches, meter.batch, meter.waiting) == (6, 3, 2.0, 0)
    assert meter.busy_s > 0
    assert 0 <= meter.wait_ms <= meter.late_ms
    device.close()


def test_many_threads_get_their_own_results() -> None:
    device = DeviceThread(Slow(batch=4, pause_s=0.001))

    def ask(video: int) -> list[int]:
        return [number(device.infer([1000 * video + n], [None])[0]) for n in range(40)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers == [[1000 * video + n for n in range(40)] for video in range(8)]
    assert device.meter().frames == 320
    assert device.meter().batch > 2
    device.close()


def test_under_overload_videos_get_equal_shares() -> None:
    device = DeviceThread(Slow(batch=2, pause_s=0.002))
    done, enough = [0] * 6, threading.Event()

    def send(video: int) -> None:
        device.submit(video, None, video).add_done_callback(answered)

    def answered(result: "Future[Result]") -> None:
        # runs in the device's thread, so that each video sends its next frame at once, on a busy machine too
        done[number(result.result())] += 1
        if sum(done) < 300:
            send(number(result.result()))
        else:
            enough.set()

    for video in range(6):
        send(video)
    assert enough.wait(LONG_S)
    device.close()
    assert max(done) - min(done) <= 1, done


def test_a_video_alone_does_not_wait() -> None:
    device = DeviceThread(Slow(batch=4), wait_s=LONG_S)
    began_s = time.monotonic()
    for n in range(20):
        device.infer([n], [None])
    assert time.monotonic() - began_s < LONG_S / 2
    device.close()


def test_a_batch_waits_for_an_active_video_but_not_forever() -> None:
    engine = Slow(batch=4)
    device = DeviceThread(engine, wait_s=0.1)
    device.submit(1, None, video="other").result(LONG_S)
    began_s = time.monotonic()
    lone = device.submit(2, None, video="mine")
    lone.result(LONG_S)
    assert 0.09 <= time.monotonic() - began_s < 2.0
    device.submit(3, None, video="other").result(LONG_S)
    pair = [device.submit(n, None, video=v) for n, v in ((4, "mine"), (5, "other"))]
    assert [number(f.result(LONG_S)) for f in pair] == [4, 5]
    assert engine.calls[-1] == [4, 5]
    device.close()


def test_an_engine_without_batches_never_waits() -> None:
    device = DeviceThread(Slow(batch=1), wait_s=LONG_S)
    began_s = time.monotonic()
    for n in range(6):
        device.submit(n, None, video=n % 2).result(LONG_S)
    assert time.monotonic() - began_s < LONG_S / 2
    device.close()


def test_a_frame_that_fails_does_not_affect_the_others() -> None:
    device, engine, gate, first = held(batch=4)
    futures = [device.submit(n, None, video=n) for n in (1, -2, 3)]
    gate.set()
    assert number(first.result(LONG_S)) == 0
    assert [number(f.result(LONG_S)) for f in (futures[0], futures[2])] == [1, 3]
    with pytest.raises(ValueError, match="-2 is negative"):
        futures[1].result(LONG_S)
    assert engine.calls == [[0], [1, -2, 3], [1], [-2], [3]]
    assert number(device.infer([9], [None])[0]) == 9  # and it continues
    device.close()


class Odd(Slow):
    """Its `batch` raises as often as `failures` says."""

    failures = 0

    @property
    def batch(self) -> int:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("odd")
        return 2

    @batch.setter
    def batch(self, _: int) -> None:
        """Ignored."""


def test_an_unexpected_error_fails_the_waiting_frames_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    engine = Odd()
    device = DeviceThread(engine)
    assert number(device.submit(1, None).result(LONG_S)) == 1
    engine.failures = 1
    with pytest.raises(RuntimeError, match="odd"):
        device.submit(2, None).result(LONG_S)
    assert "all waiting frames fail: RuntimeError('odd')" in caplog.text
    assert number(device.submit(3, None).result(LONG_S)) == 3
    device.close()


def test_frames_beyond_the_queue_limit_are_refused() -> None:
    gate = threading.Event()
    engine = Slow(gate=gate)
    device = DeviceThread(engine, most=2)
    first = device.submit(0, None)
    assert engine.began.wait(LONG_S)
    waiting = [device.submit(n, None) for n in (1, 2)]
    with pytest.raises(EngineError, match="overloaded"):
        device.submit(3, None)
    assert device.meter().waiting == 2
    gate.set()
    assert [number(f.result(LONG_S)) for f in (first, *waiting)] == [0, 1, 2]
    assert number(device.submit(4, None).result(LONG_S)) == 4
    device.close()


def test_a_cancelled_frame_is_not_run() -> None:
    device, engine, gate, first = held(batch=2)
    cancelled, kept = device.submit(1, None), device.submit(2, None)
    assert cancelled.cancel()
    gate.set()
    assert number(kept.result(LONG_S)) == 2
    assert number(first.result(LONG_S)) == 0
    assert engine.calls == [[0], [2]]
    device.close()


def test_closing_fails_waiting_frames_and_lets_the_running_one_finish() -> None:
    device, engine, gate, first = held(batch=1)
    waiting = device.submit(1, None)
    closing = threading.Thread(target=device.close)
    closing.start()
    with pytest.raises(EngineError, match="shut down"):
        waiting.result(LONG_S)
    gate.set()
    closing.join(LONG_S)
    assert not closing.is_alive()
    assert number(first.result(0)) == 0
    assert engine.calls == [[0]]
    with pytest.raises(EngineError, match="shut down"):
        device.submit(2, None)


def test_closing_does_not_wait_forever() -> None:
    device, _, gate, stuck = held(batch=1)
    began_s = time.monotonic()
    device.close(timeout_s=0.05)
    assert time.monotonic() - began_s < 2.0
    with pytest.raises(EngineError, match="shut down"):
        stuck.result(0)
    gate.set()  # its result is dropped now
    device.close()
    with suppress(EngineError):
        stuck.result(0)


def test_closing_an_idle_device_or_twice_ends_its_thread() -> None:
    device = DeviceThread(Slow())
    device.close()
    device.close()
    assert "device slow" not in {thread.name for thread in threading.enumerate()}


def test_a_shared_engine_gives_the_same_results_as_a_separate_one() -> None:
    engine = Chroma(Options(), Settings())
    videos = [list(PatternSource(96, 64, 8)), clip(96, 64, 8)]
    device = DeviceThread(engine)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda frames: run(device, frames), videos))
    device.close()
    for frames, results in zip(videos, together, strict=True):
        for result, expected in zip(results, run(engine, frames), strict=True):
            np.testing.assert_array_equal(result.alpha, expected.alpha)


@pytest.mark.parametrize("live", [False, True])
def test_the_core_can_use_it_as_an_engine(live: bool) -> None:
    pattern = PatternSource(96, 64, 12, scene="room")
    device = DeviceThread(TruthEngine(pattern, batch=3))
    outs = []
    for engine in (device, TruthEngine(pattern)):
        backdrop = open_background(Options().background, 96, 64, Settings())
        core = Matte(Options(), engine, backdrop, live)
        core.open(pattern.info)
        outs.append([done for frame in pattern for done in core(frame)] + core.flush())
        core.close()
    device.close()
    assert [f.pts for f in outs[0]] == list(range(12))
    for shared, separate in zip(*outs, strict=True):
        np.testing.assert_array_equal(shared.pixels, separate.pixels)
