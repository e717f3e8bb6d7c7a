"""Random sequences of steps by owners, two workers and dying workers on two jobs, checked against invariants."""

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.errors import BadMove, Fenced
from stream.records import redis_keys
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import JOB_MOVES, Job, JobState, Media, TaskCounts
from tests.servers import RedisServer
from tests.stream.records.jobs import new_job

WORKERS = ("w1", "w2")
STEPS = [
    *(f"{move} {n}" for move in ("pause", "resume", "cancel", "retry") for n in (0, 1)),
    *(f"{act} {worker}" for act in ("work", "fail", "break", "back", "die", "zombie") for worker in WORKERS),
]
STEPS += [step for step in STEPS if step.startswith("work")] * 4


class Play:
    """Two jobs of three segments, and the tasks each worker believes it owns. finished: accepted ends per task."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.held: dict[str, JobTask | None] = dict.fromkeys(WORKERS)
        self.lost: dict[str, JobTask | None] = dict.fromkeys(WORKERS)
        self.finished: Counter[tuple[str, str]] = Counter()
        self.states: dict[str, JobState] = {}

    async def begin(self) -> None:
        self.ids = [(await self._store.submit(new_job(owner=f"o{n}"))).id for n in range(2)]
        self.states = dict.fromkeys(self.ids, JobState.QUEUED)

    async def step(self, step: str) -> None:
        action, actor = step.split()
        try:
            await (self._owner(action, int(actor)) if actor in "01" else self._worker(action, actor))
        except (BadMove, Fenced):
            if action == "work":
                self.held[actor] = None
        for n, id in enumerate(self.ids):
            await self._check(await self._store.job(id))
            unfinished = [job.id for job in await self._store.unfinished(f"o{n}")]
            assert unfinished == ([] if self.states[id].final else [id])
        await self._check_counts()

    async def _owner(self, action: str, n: int) -> None:
        await getattr(self._store, action)(self.ids[n])

    async def _worker(self, action: str, worker: str) -> None:
        task = self.held[worker]
        if action == "zombie":
            await self._zombie(worker)
        elif task is None:
            self.held[worker] = await self._store.take_task(worker, 0)
        elif action == "work":
            await self._work(task)
            self.held[worker] = None
        else:
            self.held[worker], self.lost[worker] = None, task
            match action:
                case "fail" | "break":
                    await self._store.fail(task, "failed", "", again=action == "fail")
                case "back":
                    await self._store.hand_back(task)
                case "die":
                    await self._store.worker_lost(worker)

    async def _work(self, task: JobTask) -> None:
        match task.name:
            case "plan":
                await self._store.planned(task, "", [5, 5, 5], Media())
            case "join":
                await self._store.joined(task, {})
            case _:
                await self._store.segment_done(task, 5)
        self.finished[task.job.id, task.name] += 1

    async def _zombie(self, worker: str) -> None:
        """A worker cannot finish a task that it lost."""
        if (task := self.lost[worker]) is not None:
            with pytest.raises(Fenced):
                await self._work(task)

    async def _check(self, job: Job | None) -> None:
        assert job is not None
        before = self.states[job.id]
        steps = {before} | JOB_MOVES[before] | {second for first in JOB_MOVES[before] for second in JOB_MOVES[first]}
        assert job.state in steps
        self.states[job.id] = job.state
        assert all(count == 1 for count in self.finished.values())  # none was finished twice
        done = sum(name.isdigit() for id, name in self.finished if id == job.id)
        assert job.progress.segments_done == done
        assert job.progress.frames == 5 * done
        if job.state is JobState.DONE:  # none was left out
            assert {name for id, name in self.finished if id == job.id} == {"plan", "0000", "0001", "0002", "join"}

    async def _check_counts(self) -> None:
        """The counts of tasks are those of the lists that workers take them from."""
        open_to_workers = (JobState.QUEUED, JobState.RUNNING)
        lists = [redis_keys.PREFIX + f"todo:{id}" for id in self.ids if self.states[id] in open_to_workers]
        waiting = sum([int(await self._store.link.ask("LLEN", key)) for key in lists])
        running = int(await self._store.link.ask("ZCARD", redis_keys.PREFIX + "leases"))
        assert await self._store.tasks() == TaskCounts(waiting, running)

    async def end(self) -> None:
        """After any steps, all jobs that were not cancelled can be finished."""
        for worker in WORKERS:
            await self._store.worker_lost(worker)
        for id in self.ids:
            for move in (self._store.resume, self._store.retry):
                try:
                    await move(id)
                except BadMove:
                    continue
        while (task := await self._store.take_task("w3", 0)) is not None:
            await self._work(task)
        for id in self.ids:
            job = await self._store.job(id)
            assert job is not None
            assert job.state in (JobState.DONE, JobState.CANCELLED)
            self.states[id] = job.state  # several transitions later
            await self._check(job)
        assert await self._store.tasks() == TaskCounts(0, 0)


async def play(server: RedisServer, steps: list[str]) -> None:
    with server.client() as raw:
        raw.flushall()
    store = JobStore(server.url)
    game = Play(store)
    await game.begin()
    for step in steps:
        await game.step(step)
    await game.end()
    await store.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
def test_random_steps_keep_the_invariants(server: RedisServer, steps: list[str]) -> None:
    asyncio.run(play(server, steps))
