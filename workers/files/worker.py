"""A worker for uploaded videos: one task after the other, each in a process apart, its lease renewed meanwhile.

Lives on the event loop. A running task does not need Redis: while that is away it goes on, and what could not be
written is written when it is back; a job that Redis has lost altogether is written again from what the worker knows. A
task that is another's by now, or whose job is over, is dropped without a word.
"""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from stream.errors import (
    DiskError,
    EngineError,
    Fenced,
    MatteboxError,
    NoJob,
    StoreDown,
    WeightsError,
    disk_error,
    is_disk_trouble,
)
from stream.log import OncePerSecond
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job, JobState
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from stream.settings import Settings
from stream.signals import endings
from stream.storage import Storage
from workers.files import tasks
from workers.files.apart import Apart, Died
from workers.files.plan import Plan
from workers.files.segments import Stopped
from workers.files.tasks import Outcome, PlanMade, ResultsJoined, SegmentDone, SegmentsMissing
from workers.files.workspace import Workspace

_log = logging.getLogger(__name__)
BEHIND = 10  # nice value of a program that works on files: live video goes first
_RENEW_S = 0.4  # and so a cancelled job is stopped within a second
_REAP_EVERY_S = 2.0
_BEAT_EVERY_S = 1.0
_TAKE_S = 1.0
_AGAIN_S = 0.5  # until a word that did not reach Redis is said again
_LAST_WORDS_S = 5.0  # for that, once the end was asked for
_MEDIA_REASONS = frozenset({"unreadable_media", "too_large", "no_video_stream", "bad_background"})
_REASONS = _MEDIA_REASONS | {"disk", "engine", "weights", "encode", "fetch"}


class FileWorker:
    """settings, store and storage are its caller's. Raises DiskError where its folder cannot be made."""

    def __init__(self, settings: Settings, store: JobStore, storage: Storage) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"[:128]
        self._settings, self._store, self._storage = settings, store, storage
        self._records, self._busy = LiveStore(store.link), False
        self._record = Worker(
            id=self.id, host=socket.gethostname(), pid=os.getpid(), kind="files", capacity=1, started_s=time.time()
        )
        self._space = Workspace(settings.data_dir / "work", self.id)
        self._apart = Apart(settings, self._space.path)
        self._log = OncePerSecond(_log)
        self._leaving = asyncio.Event()

    async def run_until_stopped(self) -> None:
        """`run` until SIGTERM, SIGINT or SIGHUP: what is under way is finished. A second one does not wait."""
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if self._leaving.is_set():
                os._exit(1)
            self._leaving.set()

        for number in endings():
            loop.add_signal_handler(number, asked)
        await self.run(self._leaving)

    async def run(self, stop: asyncio.Event) -> None:
        """Take and do tasks until `stop` is set, and then the one under way to its end."""
        self._leaving = stop
        rounds = [asyncio.create_task(self._reap()), asyncio.create_task(self._beat())]
        _log.info("worker %s takes files", self.id)
        try:
            while not stop.is_set():
                if (task := await self._take()) is not None:
                    self._busy = True
                    await (self._hand_back(task) if stop.is_set() else self._do(task))
                    self._busy = False
        finally:
            for one in rounds:
                one.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)
            with suppress(StoreDown):
                await self._records.leave(self.id)
            await asyncio.to_thread(self._apart.close)
            self._space.close()

    async def _beat(self) -> None:
        while True:
            now = {"state": "draining" if self._leaving.is_set() else "ready", "sessions": int(self._busy)}
            self._record = self._record.model_copy(update=now)
            with suppress(StoreDown):
                await self._records.beat(self._record)
            await asyncio.sleep(_BEAT_EVERY_S)

    async def _reap(self) -> None:
        """Tasks of workers that are gone wait again: at once where their folders on this machine tell."""
        while True:
            try:
                for name in await asyncio.to_thread(self._space.dead):
                    _log.warning("worker %s is gone", name)
                    await self._store.worker_lost(name)
                for job in await self._store.reap_jobs():
                    _log.warning("job %s: %s", job.id, job.reason)
            except StoreDown as exc:
                self._log.warning("%s", exc)
            await asyncio.sleep(_REAP_EVERY_S)

    async def _take(self) -> JobTask | None:
        try:
            return await self._store.take_task(self.id, _TAKE_S)
        except StoreDown as exc:
            self._log.warning("%s; nothing new is taken", exc)
            await asyncio.sleep(_AGAIN_S)
            return None

    async def _hand_back(self, task: JobTask) -> None:
        with suppress(StoreDown, NoJob, Fenced):
            await self._store.hand_back(task)

    async def _do(self, task: JobTask) -> None:
        _log.info("job %s: %s", task.job.id, task.name)
        hold = _TaskLease(task, self._store, self._storage, self._apart, self._leaving)
        keeping = asyncio.create_task(hold.keep())
        try:
            word = self._word(await self._apart.run(task))
        except Stopped:
            word = None
        except Died:
            _log.warning("job %s: %s killed the process that worked on it", task.job.id, task.name)
            self._space.clear()
            word = self._store.process_died
        except Exception as exc:  # noqa: BLE001 - whatever it was, the next job runs
            word = self._failure(task, exc)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        job = None if word is None else await hold.tell(word)
        await self._tidy(task.job.id, job)

    def _word(self, outcome: Outcome) -> "_Word":
        """What is to be written down of a task that went well."""
        store = self._store
        match outcome:
            case PlanMade(plan, media, warnings, source):
                text = plan.model_dump_json()
                return lambda task: store.planned(task, text, plan.frames, media, warnings, source)
            case SegmentDone(frames, note):
                return lambda task: store.segment_done(task, frames, tasks.written(note))
            case ResultsJoined(results, warnings):
                return lambda task: store.joined(task, results, warnings)
            case SegmentsMissing(names):
                return lambda task: store.redo(task, names)

    def _failure(self, task: JobTask, exc: Exception) -> "_Word":
        """What the job can do nothing for may go better another time, on another machine perhaps."""
        if isinstance(exc, OSError) and is_disk_trouble(exc):
            exc = disk_error(exc, "its files")
        known = isinstance(exc, MatteboxError)
        code = exc.code if isinstance(exc, MatteboxError) and exc.code in _REASONS else "failed"
        again = not known or isinstance(exc, EngineError | WeightsError)
        _log.warning("job %s: %s failed: %s", task.job.id, task.name, exc, exc_info=None if known else exc)
        detail = str(exc) if known else f"{type(exc).__name__}: {exc}"
        return lambda task: self._store.fail(task, code, detail, again)

    async def _tidy(self, id: str, job: Job | None) -> None:
        """Segments are of no use any more once they are joined, or nobody wants them."""
        with suppress(StoreDown, DiskError):
            job = job or await self._store.job(id)
            if job is None or job.state in (JobState.DONE, JobState.CANCELLED):
                await asyncio.to_thread(self._storage.remove_all, f"jobs/{id}/segments/")


_Word = Callable[[JobTask], Awaitable[Job]]


class _TaskLease:
    """A task while a worker has it: its lease and its progress are kept up, and what comes of it is told."""

    def __init__(self, task: JobTask, store: JobStore, storage: Storage, apart: Apart, leaving: asyncio.Event) -> None:
        self._task, self._store, self._storage, self._apart, self._leaving = task, store, storage, apart, leaving
        self._log = OncePerSecond(_log)

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await self._renew()
            except Fenced as exc:
                _log.info("%s", exc)
                self._apart.stop()
                return
            except (StoreDown, DiskError) as exc:
                self._log.warning("%s; the task goes on", exc)

    async def _renew(self) -> None:
        try:
            job = await self._store.renew(self._task, self._apart.frames, self._leaving.is_set())
        except NoJob:
            job = await self._restore()
        self._task = replace(self._task, job=job)

    async def _restore(self) -> Job:
        """Redis has lost the job: write it as this worker knows it. Raises Fenced: somebody else was first."""
        _log.warning("job %s is unknown to Redis; it is written again", self._task.job.id)
        frames: tuple[int, ...] = ()
        done: list[str] = []
        if self._task.plan:
            plan = Plan.model_validate_json(self._task.plan)
            frames = plan.frames
            done = await asyncio.to_thread(tasks.finished, self._task.job, plan, self._storage)
        return await self._store.restore(self._task, frames, [name for name in done if name != self._task.name])

    async def tell(self, word: _Word) -> Job | None:
        """Have it written down, as soon as Redis can; None: nobody wants to know any more."""
        until_s = time.monotonic() + _LAST_WORDS_S
        while True:
            try:
                return await word(self._task)
            except NoJob:
                with suppress(StoreDown, Fenced):
                    self._task = replace(self._task, job=await self._restore())
                    continue
                return None
            except Fenced as exc:
                _log.info("%s", exc)
                return None
            except StoreDown as exc:
                self._log.warning("%s; trying again", exc)
                if self._leaving.is_set() and time.monotonic() > until_s:
                    return None
                await asyncio.sleep(_AGAIN_S)
