"""When waiting jobs start: a simulation of the workers, which take tasks in the order of lua/job/take.lua.

A forecast contains a count and a time for each waiting job, and nothing of the jobs before it. Knows nothing about
Redis.
"""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from typing import Any

from stream.records import versions
from stream.records.jobs import PLAN, Media, Progress

READ_MOST = 500
"""Waiting jobs that are read for a forecast; the place of others is unknown."""
_STEPS = ((60.0, 5.0), (600.0, 30.0), (7200.0, 60.0))  # up to this many seconds, in steps of so many
_LONG_STEP_S = 600.0


@dataclass(frozen=True)
class Place:
    """ahead: the number of videos of which a task is taken before the first task of this one. starts_in_s: seconds
    until this one starts, rounded to what an estimate is good for; None: unknown."""

    ahead: int
    starts_in_s: float | None


@dataclass(frozen=True)
class WaitingJob:
    """A job with tasks that no worker has taken. frames: of each of these tasks; None: unknown. counted: whether users
    know it as a video; previews are not. started: whether a task of it is running."""

    id: str
    tasks: int = 1
    frames: float | None = None
    counted: bool = True
    started: bool = False


@dataclass(frozen=True)
class RunningTask:
    """A task that a worker runs. owner: an index of `Queue.owners`. frames: left to do; None: unknown. fps: of this
    worker; 0: unknown."""

    owner: int
    frames: float | None
    fps: float = 0.0


@dataclass(frozen=True)
class Queue:
    """owners: the waiting jobs of each owner in the order in which they are taken; the owner served longest ago is
    first. running: the tasks that workers run."""

    owners: Sequence[Sequence[WaitingJob]] = ()
    running: Sequence[RunningTask] = ()


def forecast(queue: Queue) -> dict[str, Place]:
    """The places of the waiting jobs of which no task is running, by id."""
    simulation = _Simulation(queue)
    while simulation.take():
        pass
    return simulation.places


@dataclass
class _Owner:
    number: int
    jobs: list[WaitingJob]
    served: int
    running: int = 0
    left: int = 0  # tasks of the first job

    def take(self, turn: int) -> tuple[WaitingJob, bool]:
        """The job whose task is next, and whether this is the first task taken of it here."""
        job, first = self.jobs[0], self.left == 0
        self.left = (job.tasks if first else self.left) - 1
        if not self.left:
            self.jobs.pop(0)
        self.running, self.served = self.running + 1, turn
        return job, first


@dataclass(order=True)
class _Worker:
    """free_s: when its task ends. sure: whether that is known."""

    free_s: float
    number: int
    sure: bool = field(compare=False)
    owner: _Owner | None = field(compare=False, default=None)


class _Simulation:
    """Workers take a task whenever they are free. A task of unknown length counts as one second, and no time is given
    for what follows it. Without any running task, there may be no worker: the order is that of one worker."""

    def __init__(self, queue: Queue) -> None:
        self.places: dict[str, Place] = {}
        self._owners = [_Owner(number, list(jobs), number) for number, jobs in enumerate(queue.owners)]
        self._turns = count(len(self._owners))
        self._ahead = 0
        rates = [task.fps for task in queue.running if task.fps > 0]
        self._fps = sum(rates) / len(rates) if rates else 0.0
        self._workers = [self._running(number, task) for number, task in enumerate(queue.running)]
        self._workers = self._workers or [_Worker(0.0, 0, sure=False)]
        heapq.heapify(self._workers)
        self._ranking: list[tuple[int, int, int]] = []
        for owner in self._owners:
            self._rank(owner)

    def _running(self, number: int, task: RunningTask) -> _Worker:
        owner = self._owners[task.owner]
        owner.running += 1
        seconds = self._seconds(task.frames, task.fps or self._fps)
        return _Worker(1.0 if seconds is None else seconds, number, seconds is not None, owner)

    @staticmethod
    def _seconds(frames: float | None, fps: float) -> float | None:
        return None if frames is None or fps <= 0 else frames / fps

    def take(self) -> bool:
        """The worker that is free first takes the next task. Returns False if there is none."""
        worker = self._workers[0]
        if worker.owner:
            worker.owner.running -= 1
            self._rank(worker.owner)
            worker.owner = None
        owner = self._next_owner()
        if owner is None:
            return False
        heapq.heappop(self._workers)
        job, first = owner.take(next(self._turns))
        self._rank(owner)
        if first:
            self._start(job, worker)
        seconds = self._seconds(job.frames, self._fps)
        free_s = worker.free_s + (1.0 if seconds is None else seconds)
        heapq.heappush(self._workers, _Worker(free_s, worker.number, worker.sure and seconds is not None, owner))
        return True

    def _rank(self, owner: _Owner) -> None:
        """Put the owner where its number of running tasks belongs. Its earlier entries are ignored from then on."""
        if owner.jobs:
            heapq.heappush(self._ranking, (owner.running, owner.served, owner.number))

    def _next_owner(self) -> _Owner | None:
        while self._ranking:
            running, served, number = heapq.heappop(self._ranking)
            owner = self._owners[number]
            if owner.jobs and (running, served) == (owner.running, owner.served):
                return owner
        return None

    def _start(self, job: WaitingJob, worker: _Worker) -> None:
        if not job.started:
            sure = all(other.sure for other in (worker, *self._workers))
            self.places[job.id] = Place(self._ahead, _rounded(worker.free_s) if sure else None)
        self._ahead += job.counted


def _rounded(seconds: float) -> float:
    step_s = next((step_s for most_s, step_s in _STEPS if seconds <= most_s), _LONG_STEP_S)
    return max(1, ceil(seconds / step_s)) * step_s


def read_queue(text: str) -> Queue:
    """The queue that lua/job/queue.lua returns."""
    found = json.loads(text)
    owners, running = found.get("owners", []), [_Record(fields) for fields in found.get("running", [])]
    of_job: dict[str, int] = {}  # the number of running tasks by job
    for record in running:
        of_job[record.id] = of_job.get(record.id, 0) + 1
    workers = max(1, len(running))
    lists = [[_Record(fields).waiting(workers, of_job) for fields in owner.get("jobs", [])] for owner in owners]
    for record in running:
        if record.task == PLAN and workers > 1:  # its segments will be taken first
            lists[record.owner].insert(0, record.planned_soon(workers))
    return Queue(lists, [record.running(of_job[record.id], workers) for record in running])


class _Record:
    """What the script tells of a job."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.id, self.task = fields["id"], fields.get("task", "")
        self.owner = int(fields.get("owner", 1)) - 1
        self._tasks, self._listed = int(fields["tasks"]), fields.get("listed") != "false"
        self._media = versions.read_json(Media, media) if (media := fields.get("media", "null")) != "null" else Media()
        self._start_s = float(fields.get("start_s", 0))
        self._end_s = float(fields["end_s"]) if fields.get("end_s", "null") != "null" else float("inf")
        self._planned = fields.get("of_frames") is not None
        self._progress = versions.read_json(Progress, fields.get("progress") or "{}")

    def waiting(self, workers: int, of_job: Mapping[str, int]) -> WaitingJob:
        """Before it is planned, it counts as one task for each worker, because it will be cut into several."""
        tasks = self._tasks if self._planned else workers
        return WaitingJob(self.id, tasks, self._each(workers), self._listed, self.id in of_job)

    def planned_soon(self, workers: int) -> WaitingJob:
        """The tasks of a job that is being planned, except the one that its worker will take."""
        return WaitingJob(self.id, workers - 1, self._each(workers), self._listed, started=True)

    def running(self, tasks: int, workers: int) -> RunningTask:
        """tasks: of this job that run."""
        if self.task == PLAN:
            return RunningTask(self.owner, self._each(workers))
        mine = max(0.0, self._left() - self._tasks * (self._each(workers) or 0)) / tasks
        return RunningTask(self.owner, mine, self._progress.fps / tasks)

    def _each(self, workers: int) -> float | None:
        """Frames of each waiting task; 0 for the join task, which has none."""
        if self._planned:
            progress = self._progress
            return min(progress.of_frames / max(1, progress.segments), self._left() / max(1, self._tasks))
        frames = self._length_s() * self._media.fps
        return frames / workers if frames > 0 else None

    def _left(self) -> int:
        return max(0, self._progress.of_frames - self._progress.frames)

    def _length_s(self) -> float:
        """Of the part to process. Before a job is planned, `media` is that of the whole video."""
        whole = self._media.duration_s
        return max(0.0, min(whole, self._end_s) - self._start_s)
