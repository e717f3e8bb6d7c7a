"""A worker's lease on a task. It is renewed, which also stores the progress, until the end of the task is reported.

A running task continues while Redis is unavailable. A job that Redis has lost is restored from the worker's copy.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace

from stream.errors import Fenced, NoJob, StoreDown
from stream.log import OncePerSecond
from stream.loops import Loops
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job
from stream.storage import Storage
from workers.files import tasks
from workers.files.plan import Plan
from workers.files.process import TaskProcess
from workers.files.reports import Report

_log = logging.getLogger(__name__)
_RENEW_S = 0.4  # so that a cancelled job is stopped within a second
_RETRY_S = 0.5  # pause before a report that did not reach Redis is retried
_LAST_TRY_S = 5.0  # a worker that is shutting down retries a report for so long


class TaskLease:
    """process: runs the task. leaving: set once the worker is asked to end."""

    def __init__(
        self, task: JobTask, store: JobStore, storage: Storage, process: TaskProcess, leaving: asyncio.Event
    ) -> None:
        self._task, self._store, self._storage = task, store, storage
        self._process, self._leaving = process, leaving
        self._lost = asyncio.Event()
        self._loops = Loops(_log, "the task continues")
        self._log = OncePerSecond(_log)

    async def keep(self) -> None:
        """Renew the lease until another worker owns the task, or the job has ended; then stop the task."""
        await asyncio.sleep(_RENEW_S)
        await self._loops.repeat(self._renew, _RENEW_S, until=self._lost)

    async def report(self, report: Report) -> Job | None:
        """Write the report, retrying while Redis is unavailable. None: the task no longer belongs to this worker."""
        until_s = time.monotonic() + _LAST_TRY_S
        while True:
            try:
                return await report(self._task)
            except NoJob:
                with suppress(StoreDown, Fenced):
                    self._task = replace(self._task, job=await self._restore())
                    continue
                return None
            except Fenced as exc:
                _log.info("%s", exc)
                return None
            except StoreDown as exc:
                self._log.warning("%s; retrying", exc)
                if self._leaving.is_set() and time.monotonic() > until_s:
                    return None
                await asyncio.sleep(_RETRY_S)

    async def _renew(self) -> None:
        try:
            self._task = replace(self._task, job=await self._renewed())
        except Fenced as exc:
            _log.info("%s", exc)
            self._process.stop()
            self._lost.set()

    async def _renewed(self) -> Job:
        try:
            return await self._store.renew(self._task, self._process.frames, self._leaving.is_set())
        except NoJob:
            return await self._restore()

    async def _restore(self) -> Job:
        """Restore a job that Redis has lost from this worker's copy. Raises Fenced if another worker was first."""
        _log.warning("job %s is unknown to Redis; restoring it", self._task.job.id)
        frames: tuple[int, ...] = ()
        done: list[str] = []
        if self._task.plan:
            plan = Plan.model_validate_json(self._task.plan)
            frames = plan.frames
            done = await asyncio.to_thread(tasks.finished, self._task.job, plan, self._storage)
        return await self._store.restore(self._task, frames, [name for name in done if name != self._task.name])
