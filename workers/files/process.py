"""The work on files in a process of its own: a video that kills it ends no worker, and whose fault it was is known.

That process lives as long as the worker and keeps its engine; when it dies a new one is started for the next task. It
ends with the worker, even if that is killed.
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
from pathlib import Path
from typing import Any

from stream.errors import DiskError
from stream.picture.frames import Frame
from stream.records.job_store import JobTask
from stream.serve.lifeline import die_with_kernel, die_with_watcher
from stream.settings import Settings
from stream.storage import Storage, open_storage
from workers.device import threads
from workers.engines import ENGINES
from workers.files.preview import write_jpeg
from workers.files.segments import Watcher
from workers.files.tasks import Outcome, Tasks
from workers.files.workspace import Desk

_log = logging.getLogger(__name__)
_FIRST_PREVIEW_S, _PREVIEW_EVERY_S = 0.4, 2.0
_STUCK_S, _LOOK_S = 600.0, 0.5  # a large network may have to be fetched and warmed up before the first frame
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Died(Exception):  # noqa: N818
    """The process that did a task is gone."""


class Apart:
    """desk: the worker's folder. Lives on the event loop, in the main thread: to Linux a parent is a thread."""

    def __init__(self, settings: Settings, desk: Path) -> None:
        self._settings, self._desk = settings, desk
        self._context = multiprocessing.get_context("spawn")
        self._stop, self._frames = self._context.Event(), self._context.Value("q", 0, lock=False)
        self._beats = self._context.Value("q", 0, lock=False)
        self._pool: ProcessPoolExecutor | None = None

    @property
    def frames(self) -> int:
        """Of the task that runs, done so far."""
        return int(self._frames.value)

    def stop(self) -> None:
        """End the task that runs: `Stopped`."""
        self._stop.set()

    async def run(self, task: JobTask) -> Outcome:
        """As `Tasks.run`. Raises Died too."""
        if self._pool is None:
            self._stop = self._context.Event()  # who died may have held the lock of the old one
            self._pool = self._started()
        self._stop.clear()
        self._frames.value = 0
        try:
            running = asyncio.ensure_future(asyncio.wrap_future(self._pool.submit(_run, task)))
            await self._kill_when_stuck(running)
            return await running
        except BrokenProcessPool:
            self.close()
            raise Died from None

    async def _kill_when_stuck(self, running: "asyncio.Future[Outcome]") -> None:
        """A decoder, a network or a disk that hangs would hold its task for ever."""
        beats, since_s = -1, time.monotonic()
        while not running.done():
            await asyncio.wait([running], timeout=_LOOK_S)
            if self._beats.value != beats:
                beats, since_s = self._beats.value, time.monotonic()
            elif time.monotonic() - since_s > _STUCK_S:
                _log.warning("not a sign of life in %g s: the process is ended", _STUCK_S)
                for child in multiprocessing.active_children():
                    child.kill()
                return

    def _started(self) -> ProcessPoolExecutor:
        given = (os.getpid(), self._settings, self._desk, dict(ENGINES), self._stop, self._frames, self._beats)
        return ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=given)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


# In the process apart.

_here: "_Here"


class _Here:
    """What that process keeps from one task to the next."""

    def __init__(self, settings: Settings, desk: Path, watcher: "_Shared") -> None:
        self.storage, self.desk, self.watcher = open_storage(settings, watcher.beat), Desk(desk), watcher
        self.tasks = Tasks(settings, self.storage, self.desk)


def _begin(
    parent: int, settings: Settings, desk: Path, known: Mapping[str, str], stop: Any, frames: Any, beats: Any
) -> None:
    global _here
    (die_with_kernel if sys.platform == "linux" else die_with_watcher)(parent)
    for number in _SIGNALS:  # a terminal sends them to everybody; the worker says when to stop
        signal.signal(number, signal.SIG_IGN)
    ENGINES.update(known)
    threads.apply(settings)
    _here = _Here(settings, desk, _Shared(stop, frames, beats))


def _run(task: JobTask) -> Outcome:
    watcher = _here.watcher
    watcher.begin()
    with _previews(watcher, _here.storage, _here.desk, task.job.id):
        return _here.tasks.run(task, watcher)


class _Shared(Watcher):
    """Heard and told across the border of the process."""

    def __init__(self, stop: Any, frames: Any, beats: Any) -> None:
        super().__init__()
        self.stop, self._count, self._beats = stop, frames, beats

    def begin(self) -> None:
        """Of the next task nothing is done."""
        self.frames, self.newest = 0, None

    def tick(self, frame: Frame) -> None:
        super().tick(frame)
        self._count.value = self.frames

    def beat(self) -> None:
        self._beats.value += 1


@contextmanager
def _previews(watcher: Watcher, storage: Storage, desk: Desk, job: str) -> Iterator[None]:
    """Puts a small still of the newest frame into storage every other second, and one at least."""
    ended = threading.Event()

    def draw() -> None:
        shown: Frame | None = None
        wait_s, last = _FIRST_PREVIEW_S, False
        while not last:
            last, wait_s = ended.wait(wait_s), _PREVIEW_EVERY_S
            if (frame := watcher.newest) is not None and frame is not shown and not (last and shown):
                shown = frame
                _put(frame, storage, desk.path / "preview.jpg", f"jobs/{job}/preview.jpg")

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
    except (OSError, DiskError) as exc:  # the task itself will say so, if it matters
        _log.warning("no preview: %s", exc)
