"""The forecast of when waiting jobs start: by rule, and against the order in which workers really take tasks."""

from typing import Any

import pytest

from stream.records.job_queue import Place, Queue, RunningTask, WaitingJob, forecast
from stream.records.job_store import JobStore
from stream.records.jobs import Job, Media
from tests.servers import RedisServer, asynctest
from tests.stream.records.jobs import job_store, new_job, planned, taken

FILM = Media(duration_s=10, fps=30)  # 300 frames


def job(id: str, **fields: Any) -> WaitingJob:
    return WaitingJob(id, frames=300, **fields)


def test_nothing_is_known_of_the_time_while_no_worker_runs_anything() -> None:
    assert forecast(Queue()) == {}
    assert forecast(Queue([[job("a"), job("b")]])) == {"a": Place(0, None), "b": Place(1, None)}


def test_the_time_is_the_work_ahead_divided_by_the_measured_rate() -> None:
    found = forecast(Queue([[job("a"), job("b")]], [RunningTask(0, 600, 10)]))
    assert found == {"a": Place(0, 60), "b": Place(1, 90)}


def test_two_workers_at_different_rates() -> None:
    """They are free after 20 s and 30 s; both do 300 frames at 15 fps, the mean, in 20 s."""
    running = [RunningTask(0, 400, 20), RunningTask(0, 300, 10)]
    found = forecast(Queue([[job("a"), job("b"), job("c")]], running))
    assert found == {"a": Place(0, 20), "b": Place(1, 30), "c": Place(2, 40)}


def test_owners_take_turns() -> None:
    """The first owner was served longest ago, but already runs a task, unlike the second."""
    queue = Queue(
        [[job("a1"), job("a2"), job("a3")], [job("b1"), job("b2")]], [RunningTask(0, 0, 10), RunningTask(0, 0, 10)]
    )
    order = sorted(forecast(queue).items(), key=lambda item: item[1].ahead)
    assert [id for id, _ in order] == ["b1", "a1", "b2", "a2", "a3"]


def test_all_tasks_of_an_earlier_job_are_before_a_later_job_of_its_owner_but_not_before_others() -> None:
    queue = Queue([[job("long", tasks=4, started=True), job("a")], [job("b")]], [RunningTask(0, 300, 10)])
    assert forecast(queue) == {"b": Place(1, 60), "a": Place(2, 180)}


def test_previews_take_time_but_are_not_counted() -> None:
    queue = Queue([[job("preview", counted=False), job("a")]], [RunningTask(0, 300, 10)])
    assert forecast(queue)["a"] == Place(0, 60)


@pytest.mark.parametrize(
    ("queue", "known"),
    [
        (Queue([[job("a")]], [RunningTask(0, 300, 0)]), {"a": False}),
        (Queue([[job("a"), job("b")]], [RunningTask(0, 300, 0), RunningTask(0, 300, 10)]), {"a": True, "b": True}),
        (Queue([[job("a")]], [RunningTask(0, None, 10), RunningTask(0, 300, 10)]), {"a": False}),
        (Queue([[WaitingJob("link"), job("a")]], [RunningTask(0, 0, 9)]), {"link": True, "a": False}),
    ],
)  # fmt: skip
def test_no_time_is_given_that_depends_on_something_unknown(queue: Queue, known: dict[str, bool]) -> None:
    assert {id: place.starts_in_s is not None for id, place in forecast(queue).items()} == known


@pytest.mark.parametrize(
    ("frames", "shown_s"),
    [(0, 5), (51, 10), (600, 60), (601, 90), (6010, 660), (40_000, 4020), (100_000, 10_200)],
)
def test_times_are_rounded_up_to_what_an_estimate_is_good_for(frames: int, shown_s: float) -> None:
    assert forecast(Queue([[job("a")]], [RunningTask(0, frames, 10)]))["a"].starts_in_s == shown_s


async def order_taken(store: JobStore, waiting: list[Job]) -> list[str]:
    """The ids of these jobs in the order in which one worker really takes their first tasks."""
    seen: list[str] = []
    while len(seen) < len(waiting):
        task = await taken(store)
        if task.name == "plan":
            seen.append(task.job.id)
            await store.planned(task, "", [300], FILM)
        elif task.name == "join":
            await store.joined(task, {})
        else:
            await store.segment_done(task, 300)
    return seen


@asynctest
async def test_the_places_are_those_in_which_workers_take_the_jobs(server: RedisServer) -> None:
    async with job_store(server) as store:
        mixed = [("ann", 5), ("ann", 5), ("bob", 5), ("ann", 9), ("cleo", 5), ("bob", 0), ("ann", 0)]
        waiting = [await store.submit(new_job(owner=owner, priority=high, media=FILM)) for owner, high in mixed]
        found = await store.forecast()
        assert sorted(place.ahead for place in found.values()) == list(range(7))
        order = sorted(found, key=lambda id: found[id].ahead)
        assert order == await order_taken(store, waiting)


@asynctest
async def test_the_time_follows_from_the_progress_of_the_running_job(
    server: RedisServer,
) -> None:
    async with job_store(server) as store:
        first = await planned(store, 3, owner="ann", media=FILM)
        task = await taken(store)
        waiting = await store.submit(new_job(owner="ann", media=FILM, start_s=4.0, end_s=9.0))
        last = await store.submit(new_job(owner="ann", media=FILM))
        assert await store.forecast() == {waiting.id: Place(1, None), last.id: Place(2, None)}
        with server.client() as redis:  # 6 of 30 frames are done, at 2 frames per second
            redis.hset(
                f"mattebox:job:{first.id}",
                "progress",
                first.progress.model_copy(
                    update={"frames": 6, "of_frames": 30, "fps": 2.0, "segments": 3}
                ).model_dump_json(),
            )
        found = await store.forecast()
        assert found == {waiting.id: Place(1, 15), last.id: Place(2, 90)}, "24 frames at 2 per second, then 150"
        await store.pause(waiting.id)
        assert await store.forecast() == {last.id: Place(1, 15)}
        await store.hand_back(task)
        assert await store.forecast() == {first.id: Place(0, None), last.id: Place(1, None)}


@asynctest
async def test_a_job_that_is_being_planned_is_done_first(server: RedisServer) -> None:
    async with job_store(server) as store:
        await store.submit(new_job(owner="ann", media=FILM))
        await taken(store)
        waiting = await store.submit(new_job(owner="ann", media=FILM))
        assert await store.forecast() == {waiting.id: Place(0, None)}
        await planned(store, 1, "w2", owner="bob")
        running = await taken(store, "w2")
        with server.client() as redis:
            progress = running.job.progress.model_copy(update={"fps": 5.0, "of_frames": 10, "segments": 1})
            redis.hset(f"mattebox:job:{running.job.id}", "progress", progress.model_dump_json())
        assert (await store.forecast())[waiting.id].ahead == 1
