"""A child process that runs a worker's tasks, so that a video that crashes the decoder or the engine does not end the
worker. The worker survives and reports which job crashed.

The child lives as long as the worker and keeps its engine between tasks. If the child dies, a new one is started for
the next task. The child ends with the worker, even if the worker is killed.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

from stream.errors import MatteboxError
from stream.picture.frames import Frame
from stream.records.choosers import CHOOSERS, ChooserRecord
from stream.records.engines import ENGINES, EngineRecord
from stream.records.job_store import JobTask
from stream.serve.die_with_parent import die_with_kernel, die_with_watcher
from stream.serve.heartbeat import Silence
from stream.settings import Settings
from stream.storage import Storage, keys, open_storage
from workers.device import threads
from workers.files.preview import write_jpeg
from workers.files.tasks import Outcome, Tasks
from workers.files.watcher import Watcher
from workers.files.workspace import Desk

_log = logging.getLogger(__name__)
_FIRST_PREVIEW_S, _PREVIEW_EVERY_S = 0.4, 2.0
_LOOK_S = 0.5
_STUCK_S = 600.0  # without progress: before the first frame, large weights may have to be downloaded and warmed up
_SILENT_S, _BEAT_S = 60.0, 1.0  # a child whose other threads run writes a heartbeat each second, at a low priority
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class ProcessDied(Exception):  # noqa: N818
    """The child process died while it ran a task."""


class _Shared:
    """State shared by both processes. stop: set to end the task. frames: number of frames that the task has finished.
    progress: counts steps of the task. beats: counts heartbeats of the process, which do not depend on the task."""

    def __init__(self, context: SpawnContext) -> None:
        self.stop: Any = context.Event()
        self.frames: Any = context.Value("q", 0, lock=False)
        self.progress: Any = context.Value("q", 0, lock=False)
        self.beats: Any = context.Value("q", 0, lock=False)


class TaskProcess:
    """The child process, seen from the worker. desk: the worker's folder.

    Call `run` on an event loop in the main thread: Linux kills the child when the thread that started it ends, not only
    when the process ends.
    """

    def __init__(self, settings: Settings, desk: Path) -> None:
        self._settings, self._desk = settings, desk
        self._context = multiprocessing.get_context("spawn")
        self._shared = _Shared(self._context)
        self._pool: ProcessPoolExecutor | None = None

    @property
    def frames(self) -> int:
        """Number of frames that the running task has finished."""
        return int(self._shared.frames.value)

    def stop(self) -> None:
        """End the running task, whose `run` then raises Stopped."""
        self._shared.stop.set()

    async def run(self, task: JobTask) -> Outcome:
        """Like `Tasks.run`. Also raises ProcessDied."""
        if self._pool is None:
            self._shared = _Shared(self._context)  # the old child may have died while it held the lock of `stop`
            self._pool = self._started()
        self._shared.stop.clear()
        self._shared.frames.value = 0
        try:
            running = asyncio.ensure_future(asyncio.wrap_future(self._pool.submit(_run, task)))
            await self._kill_when_stuck(running)
            return await running
        except BrokenProcessPool:
            self.close()
            raise ProcessDied from None

    async def _kill_when_stuck(self, running: "asyncio.Future[Outcome]") -> None:
        """Kill the child if its task makes no progress, because a decoder, a network or a disk hangs, or if it has no
        heartbeats, because it was stopped or all its threads wait for each other."""
        progress, beats = _Counter(self._shared.progress), _Counter(self._shared.beats)
        while not running.done():
            await asyncio.wait([running], timeout=_LOOK_S)
            stuck, silent = progress.unchanged_s() > _STUCK_S, beats.unchanged_s() > _SILENT_S
            if stuck or (silent and beats.value):
                what, limit_s = ("progress", _STUCK_S) if stuck else ("heartbeat", _SILENT_S)
                _log.warning("no %s of the task's process for %g s: it is killed", what, limit_s)
                for child in multiprocessing.active_children():
                    child.kill()
                return

    def _started(self) -> ProcessPoolExecutor:
        arguments = (os.getpid(), self._settings, self._desk, dict(ENGINES), dict(CHOOSERS), self._shared)
        return ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=arguments)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class _Counter:
    """How long a shared counter has not changed, while this process runs."""

    def __init__(self, shared: Any) -> None:
        self._shared, self.value = shared, int(shared.value)
        self._silence = Silence(time.monotonic())

    def unchanged_s(self) -> float:
        """In seconds; call it regularly."""
        before, self.value = self.value, int(self._shared.value)
        return self._silence.look(time.monotonic(), self.value != before)


# From here on: code that runs in the child process.


class _SharedWatcher(Watcher):
    """The watcher of the child's tasks: the worker can stop it, and reads its progress."""

    def __init__(self, shared: _Shared) -> None:
        super().__init__()
        self.stop, self._shared = shared.stop, shared

    def begin(self) -> None:
        """Reset the progress for the next task."""
        self.frames, self.newest = 0, None

    def tick(self, frame: Frame) -> None:
        super().tick(frame)
        self._shared.frames.value = self.frames

    def beat(self) -> None:
        self._shared.progress.value += 1


class _Kept:
    """State that the child keeps from one task to the next."""

    def __init__(self, settings: Settings, desk: Path, shared: _Shared) -> None:
        self.watcher, self.desk = _SharedWatcher(shared), Desk(desk)
        self.storage = open_storage(settings, self.watcher.beat)
        self.tasks = Tasks(settings, self.storage, self.desk)


_kept: _Kept


def _begin(
    parent: int,
    settings: Settings,
    desk: Path,
    engines: Mapping[str, EngineRecord],
    choosers: Mapping[str, ChooserRecord],
    shared: _Shared,
) -> None:
    global _kept
    (die_with_kernel if sys.platform == "linux" else die_with_watcher)(parent)
    for number in _SIGNALS:  # a terminal sends them to every process; the worker decides when to stop
        signal.signal(number, signal.SIG_IGN)
    ENGINES.update(engines)
    CHOOSERS.update(choosers)
    threading.Thread(target=_beat, args=(shared,), name="heartbeats", daemon=True).start()
    threads.apply(settings)
    _kept = _Kept(settings, desk, shared)


def _beat(shared: _Shared) -> None:
    while True:
        shared.beats.value += 1
        time.sleep(_BEAT_S)


def _run(task: JobTask) -> Outcome:
    watcher = _kept.watcher
    watcher.begin()
    with _previews(watcher, _kept.storage, _kept.desk, task.job.id):
        return _kept.tasks.run(task, watcher)


@contextmanager
def _previews(watcher: Watcher, storage: Storage, desk: Desk, job: str) -> Iterator[None]:
    """Store a small still of the newest frame every two seconds, and at least one."""
    ended = threading.Event()

    def draw() -> None:
        shown: Frame | None = None
        wait_s, last = _FIRST_PREVIEW_S, False
        while not last:
            last, wait_s = ended.wait(wait_s), _PREVIEW_EVERY_S
            if (frame := watcher.newest) is not None and frame is not shown and not (last and shown):
                shown = frame
                _put(frame, storage, desk.path / keys.PREVIEW, keys.job_preview(job))

    drawing = threading.Thread(target=draw, name="previews")
    drawing.start()
    try:
        yield
    finally:
        ended.set()
        drawing.join()


def _put(frame: Frame, storage: Storage, path: Path, key: str) -> None:
    try:
        write_jpeg(frame, path)
        storage.put(key, path)
    except Exception as exc:  # noqa: BLE001 - a task can do without previews; a serious cause makes it fail too
        expected = isinstance(exc, OSError | MatteboxError)
        _log.warning("no preview %s: %s", key, exc, exc_info=None if expected else exc)
