"""Where web and workers meet: the records of file jobs in Redis, who works on what, and who comes next.

A job is cut into tasks: one plans it, one for each segment, one joins them. A task is a worker's as long as its fence
is the one in the record: `take_task` gives it with a lease, `renew` keeps it. A worker that is silent loses the task to
the next one; from then on the old owner is refused (Fenced). Leases, fences and grace are those of live video; tasks
wait in sorted sets and not in a stream, for a stream is first come, first served, and owners are to be treated alike.

Redis restarted with its data: nothing is lost. Flushed: a job that somebody works on is written again by `restore`;
jobs that only waited, webhooks not yet told and idempotency keys are gone. Knows nothing about media, files or HTTP.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.errors import BadMove, Fenced, NoJob
from stream.records import keys
from stream.records.jobs import Job, Media, StoredResult
from stream.records.link import SLICE_S, RedisLink

Warned = Sequence[tuple[str, str]]
_WORDS = frozenset({"id", "owner", "title", "source", "url", "webhook", "state", "reason", "detail"})


@dataclass(frozen=True)
class JobTask:
    """A part of a job that a worker has. name: "plan", the number of a segment such as "0003", or "join".

    plan: what the planner gave to `planned`, "" before. notes: what workers said of the tasks that are done, by name.
    """

    job: Job
    name: str
    worker: str
    fence: int
    plan: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def claim(self) -> tuple[str, str, str, int]:
        """What a worker shows to be let through."""
        return self.job.id, self.name, self.worker, self.fence


class JobStore:
    """The shared records. One object a process, for its event loop. Every method may raise StoreDown."""

    def __init__(self, redis: str | RedisLink) -> None:
        """The address of a Redis (see `RedisLink`), or a link that others use too. Raises UsageError."""
        self._link = RedisLink(redis) if isinstance(redis, str) else redis

    @property
    def link(self) -> RedisLink:
        """For another store of the same process."""
        return self._link

    async def close(self) -> None:
        await self._link.close()

    # Jobs: for those who submit them and watch.

    async def submit(self, job: Job, key: str = "") -> Job:
        """Queue it. With an idempotency key that the same owner gave in the last 24 h: the job made then."""
        name = keys.job_key(job.owner, key) if key else ""
        return self._job(await self._link.run("job_submit", name, *to_fields(job)), job.id)

    async def made_under(self, owner: str, key: str) -> Job | None:
        """The job that `submit` would give for this idempotency key, if there is one."""
        id = await self._link.ask("GET", keys.job_key(owner, key)) if key else None
        return await self.job(id) if id else None

    async def job(self, id: str) -> Job | None:
        found = await self._link.ask("HGETALL", keys.job(id))
        return from_fields(found) if found else None

    async def jobs(self, owner: str | None = None) -> list[Job]:
        """All that are kept, newest first; only those of `owner` if given: others' records are not even read."""
        index = keys.JOBS if owner is None else keys.jobs_of(owner)
        found = await self._all(await self._link.ask("ZRANGE", index, 0, -1))
        return sorted(found, key=lambda job: job.created_s, reverse=True)

    async def expired(self, before_s: float) -> list[Job]:
        """Those that ended before that time, in seconds since 1970, oldest first."""
        return await self._all(await self._link.ask("ZRANGEBYSCORE", keys.ENDED, "-inf", before_s))

    async def _all(self, ids: Sequence[str]) -> list[Job]:
        pipe = self._link.pipeline(transaction=False)
        for id in ids:
            pipe.execute_command("HGETALL", keys.job(id))
        found = await self._link.call(pipe.execute()) if ids else []
        return [from_fields(fields) for fields in found if fields]

    async def pause(self, id: str) -> Job:
        """Nothing more of it is taken; segments under way are finished. Raises NoJob, BadMove; so do the next three."""
        return await self._move(id, "pause")

    async def resume(self, id: str) -> Job:
        return await self._move(id, "resume")

    async def cancel(self, id: str) -> Job:
        """It is over; workers that have something of it are told when they next `renew`."""
        return await self._move(id, "cancel")

    async def retry(self, id: str) -> Job:
        """A failed one is queued again. What was finished stays so."""
        return await self._move(id, "retry")

    async def _move(self, id: str, move: str) -> Job:
        return self._job(await self._link.run("job_move", id, move), id)

    async def remove(self, id: str) -> None:
        """Forget a job that is over; its files are the caller's. Raises NoJob, BadMove."""
        _check(await self._link.run("job_remove", id), id)

    async def next_hook(self) -> tuple[Job, int] | None:
        """A job that has ended and whose webhook is to be told now, and how often that was tried. For 60 s nobody else
        gets it."""
        found = await self._link.run("job_hook")
        return (from_fields(found[0]), int(found[1])) if found else None

    async def hook_told(self, id: str) -> None:
        await self._link.ask("ZREM", keys.HOOKS, id)

    async def hook_later(self, id: str, delay_s: float) -> None:
        await self._link.run("job_hook_later", id, delay_s)

    async def reap_jobs(self) -> list[Job]:
        """Let tasks of workers that are gone wait again; gives the jobs that this failed (25 workers lost).

        For everybody to call, about once a second. A lapsed lease is noticed at one call and given up at a later one,
        3 s after, so that owners who could not reach Redis come first.
        """
        return [from_fields(fields) for fields in await self._link.run("job_reap")]

    # Tasks: for workers.

    async def take_task(self, worker: str, block_s: float) -> JobTask | None:
        """Wait up to `block_s` seconds for something to do. The worker must have nothing else of this store's.

        Owners come in turn: first who has fewest tasks under way, then who was served longest ago. Of one owner's jobs
        the one of higher priority comes first, then the older one.
        """
        until_s = time.monotonic() + block_s
        while True:
            if found := await self._link.run("job_take", worker):
                fields, name, fence, plan, notes = found
                pairs = dict(zip(notes[::2], notes[1::2], strict=True))
                return JobTask(from_fields(fields), name, worker, int(fence), plan, pairs)
            if (left_s := min(until_s - time.monotonic(), SLICE_S)) <= 0:
                return None
            await self._link.ask("BLPOP", keys.WAKE, left_s, wait_s=left_s)

    async def renew(self, task: JobTask, frames: int = 0, leaving: bool = False) -> Job:
        """Prolong the lease, each half second, and say how many frames are done. Raises NoJob, where Redis has lost it,
        and Fenced: it is somebody else's, or its job is over.

        leaving: the worker was told to go; if it is killed before the task's end, that is not the job's fault.
        """
        return self._job(await self._link.run("job_renew", *task.claim(), frames, "1" if leaving else ""), task.job.id)

    async def planned(
        self, task: JobTask, plan: str, frames: Sequence[int], media: Media, warnings: Warned = (), source: str = ""
    ) -> Job:
        """The job is cut into segments of so many frames each. source: the storage key of its video, where that is new.

        Raises NoJob, Fenced; so do the next ones.
        """
        id, _, worker, fence = task.claim()
        texts = (plan, media.model_dump_json(), json.dumps(warnings), source or task.job.source)
        return self._job(await self._link.run("job_planned", id, worker, fence, *texts, *frames), id)

    async def segment_done(self, task: JobTask, frames: int, note: str = "") -> Job:
        """Its file is in storage. The note is for whoever joins them."""
        return self._job(await self._link.run("job_done", *task.claim(), frames, note), task.job.id)

    async def joined(self, task: JobTask, results: Mapping[str, StoredResult], warnings: Warned = ()) -> Job:
        """The job is done."""
        id, _, worker, fence = task.claim()
        texts = json.dumps({name: result.model_dump() for name, result in results.items()}), json.dumps(warnings)
        return self._job(await self._link.run("job_joined", id, worker, fence, *texts), id)

    async def redo(self, task: JobTask, segments: Sequence[str]) -> Job:
        """These cannot be joined, for their files are lost: they wait again, and the join after them."""
        id, _, worker, fence = task.claim()
        return self._job(await self._link.run("job_redo", id, worker, fence, *segments), id)

    async def fail(self, task: JobTask, reason: str, detail: str, again: bool = False) -> Job:
        """It did not work. again: it may at another try, of which there are three; else the job has failed."""
        words = (reason, detail, "1" if again else "")
        return self._job(await self._link.run("job_fail", *task.claim(), *words), task.job.id)

    async def died(self, task: JobTask) -> Job:
        """It killed the process that worked on it; at the third time the job has failed: "poison"."""
        return self._job(await self._link.run("job_died", *task.claim()), task.job.id)

    async def hand_back(self, task: JobTask) -> Job:
        """Its worker goes; somebody else may take it."""
        return self._job(await self._link.run("job_hand_back", *task.claim()), task.job.id)

    async def restore(self, task: JobTask, frames: Sequence[int], done: Sequence[str]) -> Job:
        """Write the job again after Redis has lost it, as this worker knows it, and the worker's claim on its task.

        frames: of each segment of its plan, none before that. done: the segments whose files are in storage. Raises
        Fenced where somebody else wrote it and took this task.
        """
        lists: list[str | float] = [len(done), *done, len(frames), *frames]
        said = await self._link.run("job_restore", *task.claim(), task.plan, *lists, *to_fields(task.job))
        return self._job(said, task.job.id)

    async def dead(self, worker: str) -> list[Job]:
        """That worker's process is known to be gone: what it had waits again at once. As `reap_jobs`."""
        return [from_fields(fields) for fields in await self._link.run("job_dead", worker)]

    def _job(self, said: list[Any], id: str) -> Job:
        _check(said, id)
        return from_fields(said[1])


def to_fields(job: Job) -> list[str]:
    """Name, value, name, value …: words as they are, everything else as JSON."""
    values = job.model_dump(mode="json")
    pairs = ((name, value if name in _WORDS else json.dumps(value)) for name, value in values.items())
    return [text for pair in pairs for text in pair]


def from_fields(fields: Mapping[str, str] | Sequence[str]) -> Job:
    """The other way; fields of the store's own are passed over."""
    known = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
    names = (name for name in Job.model_fields if name in known)
    return Job.model_validate({name: known[name] if name in _WORDS else json.loads(known[name]) for name in names})


def _check(said: list[Any], id: str) -> None:
    match said:
        case ["gone"]:
            raise NoJob(f"no job {id}")
        case ["fenced", *_]:
            raise Fenced(f"this part of job {id} is somebody else's by now")
        case ["bad", state]:
            raise BadMove(f"job {id} is {state}")
