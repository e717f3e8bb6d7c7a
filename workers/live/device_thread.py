"""The device thread: schedule → run → deliver. All videos of a process share one engine, which gets their frames in
batches.

The oldest waiting frame goes first, together with others up to the engine's batch size. A batch that is not full waits
briefly, but only for videos that sent a frame recently. Knows nothing about how an engine works; an engine knows
nothing about videos.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from stream.errors import EngineError
from stream.log import OncePerSecond
from stream.picture.timing import RateMeter
from stream.serve.heartbeat import Health
from workers.engines.base import Engine, EngineState, Prepared, Result

_RECENT_S = 0.25  # a video that sent a frame within this time is expected to send another; some frames are late
_WAITS = 512  # frames whose waiting times are remembered
_CALLS = 512  # calls of the engine whose durations are remembered
_STUCK_S, _STUCK_TIMES = 5.0, 20.0  # a call is stuck after this time, and after this many times the slowest known call
_FIRST_CALL_S = 120.0  # limit for the first call with a number of frames: kernels are compiled and memory is allocated
_NOTICEABLE_S = 1.0  # a first call that runs this long is reported as STARTING


@dataclass(frozen=True, slots=True)
class DeviceMeters:
    """Load of the device. frames, batches, busy_s: since the start. batch: mean frames per call. waiting: frames in the
    queue now. rate: frames per second, recently. wait_ms, late_ms: median and 95th percentile of the time that the last
    512 frames waited in the queue."""

    frames: int
    batches: int
    batch: float
    busy_s: float
    waiting: int
    rate: float
    wait_ms: float
    late_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    prepared: Prepared
    state: EngineState
    video: Hashable
    result: "Future[Result]" = field(default_factory=Future)
    at_s: float = field(default_factory=time.monotonic)


class DeviceThread:
    """Wraps an engine so that many `Matte`, each in its own thread, can share it.

    wait_s: how long after the arrival of its oldest frame a batch waits to be filled. most: maximum number of waiting
    frames; more are refused, because a growing queue would delay all videos.
    """

    def __init__(self, engine: Engine, wait_s: float = 0.004, most: int = 64) -> None:
        self.name, self.batch, self.recurrent = engine.name, engine.batch, engine.recurrent
        self.warmup_frames, self.device, self.prepare = engine.warmup_frames, engine.device, engine.prepare
        self.measure, self.recall = engine.measure, engine.recall
        self.steadied, self.refined = engine.steadied, engine.refined
        self.prompted, self.chooser = engine.prompted, engine.chooser
        self._engine, self._wait_s, self._most = engine, wait_s, most
        self._changed = threading.Condition()  # guards all attributes below
        self._waiting: deque[_Ready] = deque()
        self._running: list[_Ready] = []
        self._seen_s: dict[Hashable, float] = {}  # when each video sent its last frame
        self._closed = False
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._batches, self._busy_s = 0, 0.0
        self._call: tuple[float, bool] | None = None  # when the engine was called, and whether for the first time
        self._sizes, self._first_s = set[int](), 0.0  # batch sizes so far; duration of the last first call with one
        self._calls_s = deque[float](maxlen=_CALLS)  # durations of the other calls
        self._rate, self._waits_s = RateMeter(), deque[float](maxlen=_WAITS)
        self._thread = threading.Thread(target=self._run, name=f"device {engine.name}", daemon=True)
        self._thread.start()

    def submit(self, prepared: Prepared, state: EngineState, video: Hashable = None) -> "Future[Result]":
        """Queue one frame. The future gets its result from the engine's `infer`.

        video: identifies the frame's video; by default the calling thread does. Raises EngineError if too many frames
        are waiting, or after `close`. The future raises the engine's error, or EngineError if `close` comes first.
        """
        (ready,) = self._enqueue([prepared], [state], video)
        return ready.result

    def infer(self, prepared: Sequence[Prepared], states: Sequence[EngineState]) -> list[Result]:
        """As `Engine.infer`, from any thread. Raises EngineError, and any error of the engine."""
        return [ready.result.result() for ready in self._enqueue(prepared, states, None)]

    def meter(self) -> DeviceMeters:
        with self._changed:
            waits_ms = 1000 * np.array(self._waits_s or [0.0])
            median, late = np.percentile(waits_ms, [50, 95])
            frames, batches = self._rate.count, self._batches
            batch = frames / batches if batches else 0.0
            waiting, rate = len(self._waiting), self._rate.recent
            return DeviceMeters(frames, batches, batch, self._busy_s, waiting, rate, float(median), float(late))

    def health(self) -> Health:
        """STUCK: the engine does not return from a call, as after a failure of a driver. STARTING: a first call."""
        with self._changed:
            call, slowest_s = self._call, max(self._calls_s, default=self._first_s)
        if call is None:
            return Health.OK
        lasts_s = time.monotonic() - call[0]
        if lasts_s > (_FIRST_CALL_S if call[1] else max(_STUCK_S, _STUCK_TIMES * slowest_s)):
            return Health.STUCK
        return Health.STARTING if call[1] and lasts_s > _NOTICEABLE_S else Health.OK

    def close(self, timeout_s: float = 5.0) -> None:
        """Fail the waiting frames and end the thread. If the engine does not return in time, its frames fail too."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            waiting = self._take_waiting()
        self._settle(waiting, [self._gone()] * len(waiting))
        self._thread.join(timeout_s)
        with self._changed:
            stuck = self._running
        self._settle(stuck, [self._gone()] * len(stuck))

    def _enqueue(self, prepared: Sequence[Prepared], states: Sequence[EngineState], video: Hashable) -> list[_Ready]:
        video = threading.get_ident() if video is None else video
        ready = [_Ready(p, s, video) for p, s in zip(prepared, states, strict=True)]
        with self._changed:
            if self._closed:
                raise self._gone()
            if len(self._waiting) + len(ready) > self._most:
                raise EngineError(f"overloaded: {len(self._waiting)} frames wait for {self.name}")
            self._seen_s[video] = time.monotonic()
            self._waiting.extend(ready)
            self._changed.notify_all()
        return ready

    def _run(self) -> None:
        while not self._closed:
            try:
                self._run_next()
            except Exception as exc:  # noqa: BLE001 - a bug; it must not end the thread, which all videos share
                self._log.warning("%s: all waiting frames fail: %r", self.name, exc)
                with self._changed:
                    failed = [*self._running, *self._take_waiting()]
                self._settle(failed, [exc] * len(failed))

    def _run_next(self) -> None:
        batch = self._next()
        began_s = time.monotonic()
        outcomes = self._attempt(batch)
        self._count(batch, began_s)
        self._settle(batch, outcomes)

    def _next(self) -> list[_Ready]:
        """The frames to run now: none if the device was closed, or if all their futures were cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._waiting:
                left_s = self._waiting[0].at_s + self._wait_s - time.monotonic()
                self._changed.wait_for(self._is_complete, max(0.0, left_s))
            taken = [self._waiting.popleft() for _ in range(min(self._engine.batch, len(self._waiting)))]
            self._running = [ready for ready in taken if ready.result.set_running_or_notify_cancel()]
            if self._running:
                self._call = time.monotonic(), len(self._running) not in self._sizes
            return self._running

    def _is_complete(self) -> bool:
        """Whether the waiting frames fill a batch, or include one of every active video."""
        since_s = time.monotonic() - _RECENT_S
        self._seen_s = {video: at_s for video, at_s in self._seen_s.items() if at_s >= since_s}
        waiting = {ready.video for ready in self._waiting}
        return self._closed or len(self._waiting) >= self._engine.batch or waiting >= self._seen_s.keys()

    def _take_waiting(self) -> list[_Ready]:
        """All waiting frames, except cancelled ones. Called with `_changed` held."""
        waiting = [ready for ready in self._waiting if ready.result.set_running_or_notify_cancel()]
        self._waiting.clear()
        return waiting

    def _attempt(self, batch: Sequence[_Ready]) -> list[Result | Exception]:
        """The result or exception of each frame. If a batch fails, each of its frames is run alone."""
        if not batch:
            return []
        try:
            results = self._engine.infer([ready.prepared for ready in batch], [ready.state for ready in batch])
            if len(results) != len(batch):
                raise EngineError(f"{self.name} gave {len(results)} results for {len(batch)} frames")
        except Exception as exc:  # noqa: BLE001 - any error of the engine goes to the caller's future
            return [exc] if len(batch) == 1 else [outcome for ready in batch for outcome in self._attempt([ready])]
        return list(results)

    def _count(self, batch: Sequence[_Ready], began_s: float) -> None:
        with self._changed:
            self._batches += bool(batch)
            self._busy_s += time.monotonic() - began_s
            if batch and len(batch) in self._sizes:
                self._calls_s.append(time.monotonic() - began_s)
            elif batch:
                self._sizes.add(len(batch))
                self._first_s = time.monotonic() - began_s
            self._call = None
            for ready in batch:
                self._rate.tick()
                self._waits_s.append(began_s - ready.at_s)

    def _settle(self, batch: Sequence[_Ready], outcomes: Sequence[Result | Exception]) -> None:
        """Set the outcomes of the frames' futures. A future that `close` has already failed is left unchanged."""
        with self._changed:
            left = [(ready.result, o) for ready, o in zip(batch, outcomes, strict=True) if not ready.result.done()]
            for result, outcome in left:
                if isinstance(outcome, Exception):
                    result.set_exception(outcome)
                else:
                    result.set_result(outcome)

    def _gone(self) -> EngineError:
        return EngineError(f"{self.name} is shut down")
