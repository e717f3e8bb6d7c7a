"""A worker for file jobs: takes one task after the other and runs it in a child process.

Runs on the event loop. If another worker has taken over a task, or the job has ended, the task is dropped without a
report.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from stream.errors import DiskError, Fenced, NoJob, StoreDown
from stream.loops import Loops, start
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job, JobState
from stream.records.live_store import LiveStore
from stream.settings import Settings
from stream.storage import Storage, keys
from workers import choosers
from workers.files import plan, reports
from workers.files.lease import TaskLease
from workers.files.process import ProcessDied, TaskProcess
from workers.files.reports import Report
from workers.files.watcher import Stopped
from workers.files.workspace import Workspace
from workers.lifecycle import Lifecycle

_log = logging.getLogger(__name__)
BEHIND = 10  # nice value of a file worker: live video has priority
_TAKE_S = 0.25  # for a task, in one call; a worker that is shutting down waits for its end


class FileWorker:
    """store: is not closed by the worker. Raises DiskError if its folder cannot be created."""

    def __init__(self, settings: Settings, store: JobStore, storage: Storage) -> None:
        self._store, self._storage = store, storage
        self._loops = Loops(_log, "no new tasks are taken")
        self._life = Lifecycle("files", LiveStore(store.link), self._loops, self._meters)
        self._life.update(capacity=1, choosers=choosers.installed())
        self._space = Workspace(settings.data_dir / "work", self._life.worker_id)
        self._process = TaskProcess(settings, self._space.path)
        self._busy = False

    async def run_until_stopped(self) -> None:
        """`run` until SIGTERM, SIGINT or SIGHUP; a second signal ends the process at once."""
        await self._life.run_until_stopped(self.run)

    async def run(self, stop: asyncio.Event) -> None:
        """Take and run tasks until `stop` is set; the current task is completed."""
        _log.info("worker %s takes files", self._life.worker_id)
        try:
            async with self._life.serving(stop, self._reap):
                await self._loops.repeat(self._take, until=stop)
        finally:
            await asyncio.to_thread(self._process.close)
            self._space.close()

    def _meters(self) -> dict[str, object]:
        """Fields of `Worker`."""
        return {"sessions": int(self._busy)}

    async def _reap(self) -> None:
        """Queue the tasks of dead workers again: at once for workers of this machine, else when their leases expire."""
        for worker_id in await asyncio.to_thread(self._space.dead):
            _log.warning("worker %s is dead", worker_id)
            await self._store.worker_lost(worker_id)
        for job in await self._store.reap_jobs():
            _log.warning("job %s: %s", job.id, job.reason)

    async def _take(self) -> None:
        task = await self._store.take_task(self._life.worker_id, _TAKE_S)
        if task is None:
            return
        if not plan.is_known(task.plan):
            _log.warning("job %s was planned by a newer version, and is left to a newer worker", task.job.id)
            await self._hand_back(task, self._store.leave)
            return
        self._busy = True
        try:
            await (self._hand_back(task, self._store.hand_back) if self._life.leaving.is_set() else self._do(task))
        finally:
            self._busy = False

    async def _hand_back(self, task: JobTask, hand_back: Callable[[JobTask], Awaitable[object]]) -> None:
        with suppress(StoreDown, NoJob, Fenced):
            await hand_back(task)

    async def _do(self, task: JobTask) -> None:
        _log.info("job %s: %s", task.job.id, task.name)
        lease = TaskLease(task, self._store, self._storage, self._process, self._life.leaving)
        keeping = start(lease.keep(), _log)
        try:
            report = await self._run(task)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        job = None if report is None else await lease.report(report)
        await self._tidy(task.job.id, job)

    async def _run(self, task: JobTask) -> Report | None:
        """Run the task. Returns its report; None if it was stopped."""
        try:
            return reports.of_outcome(await self._process.run(task), self._store)
        except Stopped:
            return None
        except ProcessDied:
            _log.warning("job %s: %s killed the process that worked on it", task.job.id, task.name)
            self._space.clear()
            return self._store.process_died
        except Exception as exc:  # noqa: BLE001 - no error must prevent the next task
            return reports.of_failure(task, exc, self._store)

    async def _tidy(self, id: str, job: Job | None) -> None:
        """Remove the segments of the job if it is done or cancelled, or no longer exists."""
        with suppress(StoreDown, DiskError):
            job = job or await self._store.job(id)
            if job is None or job.state in (JobState.DONE, JobState.CANCELLED):
                await asyncio.to_thread(self._storage.remove_all, keys.job_segments(id))
