"""The records of file jobs in Redis, which web and workers share, and the scheduling of their tasks.

A job has one task that plans it, one per segment, and one that joins the segments. A worker owns a task while the
worker's copy has the fence of the record. `take_task` sets the fence and starts a lease, which `renew` extends. When
the lease expires, another worker may take the task; from then on calls of the old owner raise Fenced. Leases, fences
and grace periods work as for live video. Tasks wait in sorted sets, not in a stream: a stream is first come, first
served, but scheduling must be fair between owners.

When Redis restarts with its data, nothing is lost. When Redis was flushed, `restore` writes the jobs again of which a
worker is running a task; waiting jobs, undelivered webhooks and idempotency keys are lost. Knows nothing about media,
files or HTTP.
"""

import json
import re
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.errors import BadMove, Fenced, JobsTooLarge, NoJob, TooManyJobs
from stream.limits import RECORD_ID
from stream.records import jobs, versions
from stream.records.job_fields import from_fields, from_json, known_state, summary, to_fields
from stream.records.job_queue import READ_MOST, Place, forecast, read_queue
from stream.records.jobs import (
    Job,
    JobPage,
    JobState,
    JobSummary,
    JobTotals,
    Media,
    Quota,
    StoredResult,
    TaskCounts,
)
from stream.records.redis_link import SLICE_S, RedisLink

_BATCH = 50  # records read at once
_LEFT = 100  # jobs remembered that this version cannot process
_CURSOR = re.compile(f"([0-9]{{1,16}})_({RECORD_ID.pattern})")
Warnings = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class JobTask:
    """A task that a worker owns. name: "plan", the number of a segment such as "0003", or "join".

    plan: the text passed to `planned`, "" before. notes: for the join task, the notes of finished tasks, by name.
    """

    job: Job
    name: str
    worker: str
    fence: int
    plan: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def ownership(self) -> tuple[str, str, str, int]:
        """What proves the worker's ownership: job id, task name, worker, fence."""
        return self.job.id, self.name, self.worker, self.fence


class JobStore:
    """Store of the job records. One object per process, for its event loop. Every method may raise StoreDown."""

    def __init__(self, redis: str | RedisLink) -> None:
        """redis: the URL of a server (see `RedisLink`), or a shared link. Raises UsageError."""
        self._link = RedisLink(redis) if isinstance(redis, str) else redis
        self._left: deque[str] = deque(maxlen=_LEFT)
        self._keys = self._link.keys

    @property
    def link(self) -> RedisLink:
        """The connection, to share it with another store of this process."""
        return self._link

    async def close(self) -> None:
        await self._link.close()

    # Jobs: for clients that submit and watch them.

    async def submit(self, job: Job, key: str = "", quota: Quota | None = None) -> Job:
        """Queue a job. If the owner used the idempotency key in the last 24 h, returns the job created then instead.

        Raises TooManyJobs, JobsTooLarge: the quota is checked in the same step, so that simultaneous calls cannot
        exceed it.
        """
        name = self._keys.job_key(job.owner, key) if key else ""
        return self._job(await self._link.run("job/submit", name, *_limits(quota), *to_fields(job)), job.id)

    async def job(self, id: str) -> Job | None:
        found = await self._link.ask("HGETALL", self._keys.job(id))
        return from_fields(found) if found else None

    async def page(self, owner: str, limit: int, cursor: str = "") -> JobPage:
        """The owner's next `limit` listed jobs, newest first. cursor: from the page before; "" starts at the newest.

        Reads only the records of this page. Raises ValueError for an invalid cursor.
        """
        start = _place(cursor) if cursor else ("", "")
        created, id, *records = await self._link.run("job/page", owner, *start, limit)
        return JobPage([from_json(record) for record in records], f"{created}_{id}" if id else "")

    async def changes(self, owner: str, since: int) -> tuple[int, bool, list[str]]:
        """The owner's listed jobs that changed or were removed after the call that returned `since`; 0: before any.

        Returns the time for the next call, whether the ids are complete, and the ids. They are incomplete if that call
        was more than a minute ago.
        """
        now, complete, *ids = await self._link.run("job/changes", owner, since)
        return int(now), bool(complete), ids

    async def unfinished(self, owner: str) -> list[Job]:
        """The owner's jobs that have not ended, in no order."""
        return await self.read(list(await self._link.ask("SMEMBERS", self._keys.unfinished(owner))))

    async def expired(self, before_s: float) -> list[Job]:
        """Jobs that ended before that time, in seconds since 1970, oldest first."""
        return await self.read(await self._link.ask("ZRANGEBYSCORE", self._keys.ended, "-inf", before_s))

    async def forecast(self) -> dict[str, Place]:
        """The places in the queue of the jobs that wait to start, by id, of all owners; without those that are too far
        back."""
        return forecast(read_queue(await self._link.run("job/queue", READ_MOST)))

    async def totals(self) -> JobTotals:
        """The numbers of jobs by state, and their speed, of all owners. Takes the same time for any number of jobs.

        After an upgrade from a version that did not count them, jobs are added little by little.
        """
        speed, *states = await self._link.run("job/totals")
        counts: Counter[JobState] = Counter()
        for state, count in zip(states[::2], states[1::2], strict=True):
            counts[known_state(state)] += int(count)
        return JobTotals(counts, int(speed) / 1000)

    async def summaries(self) -> list[JobSummary]:
        """All jobs of all owners, in no order. Reads all of their records."""
        ids = await self._link.ask("ZRANGE", self._keys.jobs, 0, -1)
        found = await self._each(ids, "HMGET", "state", "source", "ended_s")
        return [summary(id, fields) for id, fields in zip(ids, found, strict=True) if fields[0]]

    async def tasks(self) -> TaskCounts:
        """The numbers of tasks that wait and that run, of all owners. Takes the same time for any number of jobs."""
        waiting, running = await self._link.run("job/tasks")
        return TaskCounts(int(waiting), int(running))

    async def read(self, ids: Sequence[str]) -> list[Job]:
        """The jobs with these ids that exist."""
        return [from_fields(fields) for fields in await self._each(ids, "HGETALL") if fields]

    async def _each(self, ids: Sequence[str], command: str, *fields: str) -> list[Any]:
        """The replies to a command on each record. In batches, so that long replies do not hold up others."""
        replies: list[Any] = []
        for start in range(0, len(ids), _BATCH):
            pipe = self._link.pipeline(transaction=False)
            for id in ids[start : start + _BATCH]:
                pipe.execute_command(command, self._keys.job(id), *fields)
            replies += await self._link.call(pipe.execute())
        return replies

    async def pause(self, id: str) -> Job:
        """Hand out no more tasks of a job; running tasks are finished. Raises NoJob, BadMove, as do the next three."""
        return await self._move(id, "pause")

    async def resume(self, id: str) -> Job:
        return await self._move(id, "resume")

    async def cancel(self, id: str) -> Job:
        """End the job; workers with tasks of it get Fenced at their next `renew`."""
        return await self._move(id, "cancel")

    async def retry(self, id: str, quota: Quota | None = None) -> Job:
        """Queue a failed job again, keeping its finished segments. Raises TooManyJobs, JobsTooLarge too."""
        return await self._move(id, "retry", *_limits(quota))

    async def _move(self, id: str, move: str, *limits: str) -> Job:
        return self._job(await self._link.run("job/move", id, move, *limits), id)

    async def remove(self, id: str) -> None:
        """Remove the record of an ended job; the caller removes its files. Raises NoJob, BadMove."""
        _check(await self._link.run("job/remove", id), id)

    async def next_hook(self) -> tuple[Job, int] | None:
        """An ended job whose webhook is due, and the number of earlier attempts. For 60 s no other caller gets this
        webhook."""
        found = await self._link.run("job/hook")
        return (from_json(found[0]), int(found[1])) if found else None

    async def hook_delivered(self, id: str) -> None:
        await self._link.ask("ZREM", self._keys.hooks, id)

    async def postpone_hook(self, id: str, delay_s: float) -> None:
        await self._link.run("job/postpone_hook", id, delay_s)

    async def reap_jobs(self) -> list[Job]:
        """Queue the tasks of lost workers again. Returns the jobs that failed, because a task has lost 25 workers.

        Called by all processes, about once a second. The first call after a lease expired only marks the task; a call
        3 s later queues it. A worker that could not reach Redis can renew the lease in between.
        """
        return [from_json(record) for record in await self._link.run("job/reap")]

    # Tasks: for workers.

    async def take_task(self, worker: str, block_s: float) -> JobTask | None:
        """Wait up to `block_s` seconds for a task and take it. The worker must not own another task.

        Tasks of jobs that this version cannot process are left to other workers. Fair between owners: the owner with
        the fewest running tasks is first, among equals the owner served longest ago. Of an owner's jobs, the job with
        the highest priority is first, among equals the oldest.
        """
        until_s = time.monotonic() + block_s
        while True:
            if found := await self._link.run("job/take", worker, versions.understood(), *self._left):
                record, name, fence, plan, notes = found
                pairs = dict(zip(notes[::2], notes[1::2], strict=True))
                task = JobTask(from_json(record), name, worker, int(fence), plan, pairs)
                if not task.job.newer:
                    return task
                await self.leave(task)
                continue
            if (left_s := min(until_s - time.monotonic(), SLICE_S)) <= 0:
                return None
            woken = await self._link.ask("BLPOP", self._keys.wake, left_s, wait_s=left_s)
            if not woken and time.monotonic() >= until_s:
                return None

    async def renew(self, task: JobTask, frames: int = 0, leaving: bool = False) -> Job:
        """Renew the lease, every half second, and report the number of finished frames. Raises NoJob if Redis has lost
        the job, and Fenced if another worker owns the task or the job has ended.

        leaving: the worker is shutting down; if it is killed before the task ends, the job is not blamed.
        """
        return self._job(
            await self._link.run("job/renew", *task.ownership(), frames, "1" if leaving else ""), task.job.id
        )

    async def planned(
        self, task: JobTask, plan: str, frames: Sequence[int], media: Media, warnings: Warnings = (), source: str = ""
    ) -> Job:
        """Finish the planning task. frames: the number of frames of each segment. source: the storage key of the video;
        "" keeps the one in the record. Raises NoJob, Fenced, as do the next methods.
        """
        id, _, worker, fence = task.ownership()
        texts = (plan, versions.dump_json(media), json.dumps(warnings), source or task.job.source)
        return self._job(await self._link.run("job/planned", id, worker, fence, *texts, *frames), id)

    async def segment_done(self, task: JobTask, frames: int, note: str = "") -> Job:
        """Finish a segment whose file is in storage. note: for the join task."""
        return self._job(await self._link.run("job/segment_done", *task.ownership(), frames, note), task.job.id)

    async def joined(self, task: JobTask, results: Mapping[str, StoredResult], warnings: Warnings = ()) -> Job:
        """Finish the join task, and with it the job."""
        id, _, worker, fence = task.ownership()
        texts = json.dumps({name: versions.dump(result) for name, result in results.items()}), json.dumps(warnings)
        return self._job(await self._link.run("job/joined", id, worker, fence, *texts), id)

    async def redo(self, task: JobTask, segments: Sequence[str]) -> Job:
        """Queue these segments again, because their files are lost, and then the join task."""
        id, _, worker, fence = task.ownership()
        return self._job(await self._link.run("job/redo", id, worker, fence, *segments), id)

    async def fail(self, task: JobTask, reason: str, detail: str, again: bool = False) -> Job:
        """Report that the task failed. again: try it again, up to three times in all; otherwise the job fails."""
        arguments = (reason, detail, "1" if again else "")
        return self._job(await self._link.run("job/fail", *task.ownership(), *arguments), task.job.id)

    async def process_died(self, task: JobTask) -> Job:
        """Report that the task killed its process; the third time the job fails with "poison"."""
        return self._job(await self._link.run("job/process_died", *task.ownership()), task.job.id)

    async def hand_back(self, task: JobTask) -> Job:
        """Give the task back, because its worker is shutting down."""
        return self._job(await self._link.run("job/hand_back", *task.ownership()), task.job.id)

    async def leave(self, task: JobTask) -> None:
        """Give the task back, because a newer version has stored the job in a way that this one does not know. This
        store takes no more tasks of the job; others may."""
        self._left.append(task.job.id)
        await self.hand_back(task)

    async def restore(self, task: JobTask, frames: Sequence[int], done: Sequence[str]) -> Job:
        """Restore a job that Redis has lost from this worker's copy, with the worker's ownership of its task.

        frames: of each planned segment, empty before planning. done: the segments whose files are in storage. Raises
        Fenced if the job was restored already and another worker took this task.
        """
        lists: list[str | float] = [len(done), *done, len(frames), *frames]
        reply = await self._link.run("job/restore", *task.ownership(), task.plan, *lists, *to_fields(task.job))
        return self._job(reply, task.job.id)

    async def worker_lost(self, worker: str) -> list[Job]:
        """As `reap_jobs`, but at once, for the tasks of one worker that is known to be dead."""
        return [from_json(record) for record in await self._link.run("job/worker_lost", worker)]

    def _job(self, reply: list[Any], id: str) -> Job:
        _check(reply, id)
        return from_json(reply[1])


def _limits(quota: Quota | None) -> tuple[str, str]:
    return (str(quota.unfinished), str(quota.bytes)) if quota else ("", "")


def _place(cursor: str) -> tuple[str, str]:
    """Creation time and id of the last job before a page. Raises ValueError."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError("this is not a cursor of this list")
    return match[1], match[2]


def _check(reply: list[Any], id: str) -> None:
    match reply:
        case [jobs.TOO_MANY, limit]:
            raise TooManyJobs(f"you have {limit} unfinished jobs, which is the limit")
        case [jobs.OVER_QUOTA, used, limit]:
            message = f"your jobs use {int(used):,} of {int(limit):,} bytes; remove some, or wait until they expire"
            raise JobsTooLarge(message)
        case ["gone"]:
            raise NoJob(f"no job {id}")
        case ["fenced", *_]:
            raise Fenced(f"this task of job {id} is no longer owned by this worker")
        case ["bad", state]:
            raise BadMove(f"job {id} is {state}")
