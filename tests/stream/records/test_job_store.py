import asyncio
import time
from collections import Counter

import pytest

from stream.errors import BadMove, Fenced, NoJob
from stream.records import lifetimes
from stream.records.job_fields import from_fields, to_fields
from stream.records.job_store import JobStore, JobTask
from stream.records.jobs import Job, JobState, Media, Output, StoredResult
from stream.records.options import Options
from tests.servers import KEYS, RedisServer, asynctest
from tests.stream.records.jobs import finished, job_store, listed, new_job, planned, taken


def test_a_record_survives_the_conversion_to_fields() -> None:
    job = new_job(
        owner="änn", title="a: 'b' \"c\"", options=Options.read(background="blur:0.3"), outputs=(Output(format="mkv"),)
    )
    job = job.model_copy(update={"results": {"result": StoredResult(key="k", bytes=1, mime="video/mp4")}, "end_s": 1.5})
    flat = [*to_fields(job), "fence", "7"]
    assert from_fields(dict(zip(flat[::2], flat[1::2], strict=True))) == job


@asynctest
async def test_a_job_from_submission_to_end(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await store.submit(new_job(owner="ann"))
        assert job.state is JobState.QUEUED
        assert abs(job.created_s - time.time()) < 5
        plan = await taken(store)
        assert (plan.job.state, plan.name, plan.plan, plan.notes) == (JobState.RUNNING, "plan", "", {})
        assert await store.take_task("w2", 0) is None
        await store.planned(plan, "halves", [10, 20], Media(duration_s=1.0), [("odd_size", "cropped")], "jobs/1/source")
        first, second = await taken(store, "w1"), await taken(store, "w2")
        assert [task.name for task in (first, second)] == ["0000", "0001"]
        assert (first.plan, first.job.source, second.fence) == ("halves", "jobs/1/source", first.fence + 1)
        running = await store.renew(second, 5)
        assert (running.progress.frames, running.progress.of_frames, running.progress.segments) == (0, 30, 2)
        await store.segment_done(second, 20, "note 1")
        running = await store.segment_done(first, 10, "note 0")
        assert (running.progress.frames, running.progress.segments_done) == (30, 2)
        join = await taken(store)
        assert (join.name, dict(join.notes)) == ("join", {"plan": "", "0000": "note 0", "0001": "note 1"})
        result = {"result": StoredResult(key="jobs/1/result.mp4", bytes=9, mime="video/mp4")}
        done = await store.joined(join, result, [("odd_size", "cropped")])
        assert (done.state, done.results, done.warnings) == (JobState.DONE, result, (("odd_size", "cropped"),))
        assert done.ended_s >= done.started_s >= done.created_s > 0
        assert await store.job(job.id) == done
        assert await store.take_task("w1", 0) is None


@asynctest
async def test_repeated_calls_have_no_further_effect(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = new_job()
        assert await store.submit(job) == await store.submit(job)
        first = await taken(store)
        repeated = await taken(store)  # the reply to the first was lost
        assert (repeated.name, repeated.fence) == ("plan", first.fence + 1)
        for _ in range(2):
            await store.planned(repeated, "", [10], Media())
        segment = await taken(store)
        for _ in range(2):
            await store.segment_done(segment, 10)
        join = await taken(store)
        for _ in range(2):
            assert (await store.joined(join, {})).state is JobState.DONE
        assert [job.id for job in await listed(store)] == [job.id]


@asynctest
async def test_an_idempotency_key_creates_one_job(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await store.submit(new_job(owner="ann"), "k")
        assert await store.submit(new_job(owner="ann"), "k") == job
        assert (await store.submit(new_job(owner="bob"), "k")).owner == "bob"
        assert await listed(store, "ann") == [job]
        with server.client() as raw:
            assert 86_000 < int(str(raw.ttl(KEYS.job_key("ann", "k")))) <= 86_400


@pytest.mark.clocked
@asynctest
async def test_a_waiting_worker_is_woken(server: RedisServer) -> None:
    async with job_store(server) as store:
        waiting = asyncio.create_task(store.take_task("w1", 5))
        await asyncio.sleep(0.2)
        began_s = time.monotonic()
        await store.submit(new_job())
        assert (await waiting) is not None
        assert time.monotonic() - began_s < 0.5


@pytest.mark.long
@asynctest
async def test_200_jobs_of_two_owners_are_taken_in_turn_and_once_each(server: RedisServer) -> None:
    async with job_store(server) as store:
        ids = [(await store.submit(new_job(owner="ann" if n < 150 else "bob"))).id for n in range(200)]
        order: list[tuple[str, str]] = []
        running: list[JobTask] = []
        while task := await store.take_task(f"w{len(running)}", 0):
            order.append((task.job.owner, task.job.id))
            running.append(task)
            if len(running) == 2:  # two workers
                for done in running:
                    await store.fail(done, "failed", "")
                running = []
        assert [owner for owner, _ in order[:100:2]] == ["ann"] * 50  # one of each owner in every pair
        assert [owner for owner, _ in order[1:100:2]] == ["bob"] * 50
        assert [id for owner, id in order if owner == "ann"] == ids[:150]  # oldest first
        assert Counter(id for _, id in order) == Counter(ids)


@asynctest
async def test_the_owner_with_the_fewest_running_tasks_is_first(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 4, owner="ann")
        assert {(await taken(store, f"w{n}")).job.owner for n in range(3)} == {"ann"}  # the only owner gets all workers
        for _ in range(2):
            await store.submit(new_job(owner="bob"))
        assert [(await taken(store, f"x{n}")).job.owner for n in range(3)] == ["bob", "bob", "ann"]


@asynctest
async def test_of_one_owners_jobs_priority_then_age_decides(server: RedisServer) -> None:
    async with job_store(server) as store:
        ids = [(await store.submit(new_job(priority=priority))).id for priority in (5, 5, 9, 0)]
        assert [(await taken(store, f"w{n}")).job.id for n in range(4)] == [ids[n] for n in (2, 0, 1, 3)]


@asynctest
async def test_a_pause_lets_running_tasks_finish(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await planned(store, 2)
        segment = await taken(store)
        assert (await store.pause(job.id)).state is JobState.PAUSED
        assert (await store.pause(job.id)).state is JobState.PAUSED
        assert await store.take_task("w2", 0) is None
        assert (await store.segment_done(segment, 10)).state is JobState.PAUSED
        assert await store.take_task("w1", 0) is None
        assert (await store.resume(job.id)).state is JobState.QUEUED
        segment = await taken(store)
        await store.pause(job.id)
        assert (await store.resume(job.id)).state is JobState.RUNNING
        with pytest.raises(BadMove, match="running"):
            await store.resume(job.id)
        await store.segment_done(segment, 10)
        await store.pause(job.id)
        await store.resume(job.id)
        join = await taken(store)
        await store.pause(job.id)
        assert (await store.joined(join, {})).state is JobState.DONE


@asynctest
async def test_workers_of_a_cancelled_job_are_fenced(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await planned(store, 3)
        segment = await taken(store)
        assert (await store.cancel(job.id)).state is JobState.CANCELLED
        assert (await store.cancel(job.id)).state is JobState.CANCELLED
        for late in (store.renew(segment, 1), store.segment_done(segment, 10), store.fail(segment, "disk", "")):
            with pytest.raises(Fenced):
                await late
        assert await store.take_task("w1", 0) is None
        for move in (store.pause, store.resume, store.retry):
            with pytest.raises(BadMove, match="cancelled"):
                await move(job.id)


@asynctest
async def test_a_task_that_may_succeed_is_tried_three_times(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await planned(store, 1)
        for _ in range(2):
            assert (await store.fail(await taken(store), "failed", "odd", again=True)).state is JobState.QUEUED
        failed = await store.fail(await taken(store), "failed", "odd", again=True)
        assert (failed.state, failed.reason, failed.detail) == (JobState.FAILED, "failed", "odd")
        retried = await store.retry(job.id)
        assert (retried.state, retried.reason, retried.ended_s) == (JobState.QUEUED, "", 0.0)
        assert (await store.fail(await taken(store), "disk", "full")).reason == "disk"  # without another attempt


@asynctest
async def test_a_retry_keeps_finished_segments(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await planned(store, 3)
        await store.segment_done(await taken(store), 10)
        first, second = await taken(store, "w1"), await taken(store, "w2")
        await store.fail(second, "disk", "full")
        with pytest.raises(Fenced):
            await store.segment_done(first, 10)
        await store.retry(job.id)
        assert [(await taken(store, f"w{n}")).name for n in range(2)] == ["0001", "0002"]
        with pytest.raises(Fenced):
            await store.renew(first)


@asynctest
async def test_a_segment_whose_file_is_lost_is_queued_again(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 2)
        for _ in range(2):
            await store.segment_done(await taken(store), 10)
        join = await taken(store)
        assert (await store.redo(join, ["0001"])).progress.segments_done == 1
        again = await taken(store)
        assert again.name == "0001"
        await store.segment_done(again, 10)
        assert (await taken(store)).name == "join"


@asynctest
async def test_a_worker_that_shuts_down_hands_its_task_back(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 2)
        segment = await taken(store)
        assert (await store.hand_back(segment)).state is JobState.QUEUED
        with pytest.raises(Fenced):
            await store.renew(segment)
        assert (await taken(store, "w2")).name == "0000"


@pytest.mark.long
@pytest.mark.usefixtures("short_lives")
@asynctest
async def test_a_silent_worker_loses_its_task(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 1)
        segment = await taken(store)
        await asyncio.sleep(0.21)
        assert await store.reap_jobs() == []  # only marked
        await store.renew(segment, 1)  # it was only slow
        for _ in range(2):
            await asyncio.sleep(0.21)
            assert await store.reap_jobs() == []
        with pytest.raises(Fenced):
            await store.segment_done(segment, 10)
        assert (await taken(store, "w2")).name == "0000"


@asynctest
async def test_a_task_that_kills_three_processes_is_poison(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 1)
        for _ in range(2):
            assert (await store.process_died(await taken(store))).state is JobState.QUEUED
        poisoned = await store.process_died(await taken(store))
        assert (poisoned.state, poisoned.reason) == (JobState.FAILED, "poison")


@asynctest
async def test_a_job_fails_only_after_many_lost_workers(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 1)
        for n in range(lifetimes.LOSSES - 1):
            await taken(store, f"w{n}")
            assert await store.worker_lost(f"w{n}") == []
        await store.renew(await taken(store, "leaving"), leaving=True)
        assert await store.worker_lost("leaving") == []  # it was shutting down
        await taken(store, "last")
        assert [job.reason for job in await store.worker_lost("last")] == ["poison"]


@asynctest
async def test_a_worker_known_to_be_dead_loses_its_task_at_once(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 2)
        await taken(store, "w1")
        other = await taken(store, "w2")
        assert await store.worker_lost("w1") == []
        assert (await taken(store, "w3")).name == "0000"
        await store.segment_done(other, 10)


@asynctest
async def test_webhooks_of_ended_jobs_become_due(server: RedisServer) -> None:
    async with job_store(server) as store:
        await finished(store)
        assert await store.next_hook() is None
        job = await finished(store, webhook="https://example.org/hook")
        assert await store.next_hook() == (job, 0)
        assert await store.next_hook() is None  # reserved for the first caller
        await store.postpone_hook(job.id, 3600)
        assert await store.next_hook() is None
        await store.postpone_hook(job.id, 0.05)
        await asyncio.sleep(0.06)
        assert await store.next_hook() == (job, 1)
        await store.hook_delivered(job.id)
        await store.postpone_hook(job.id, 0)
        assert await store.next_hook() is None


@asynctest
async def test_ended_jobs_are_listed_as_expired_and_removed(server: RedisServer) -> None:
    async with job_store(server) as store:
        old, new = await finished(store, owner="ann"), await finished(store, owner="bob")
        assert await store.expired(old.ended_s - 1) == []
        assert [job.id for job in await store.expired(time.time() + 5)] == [old.id, new.id]
        assert {job.id for job in await store.summaries()} == {new.id, old.id}
        await store.remove(old.id)
        assert (await store.job(old.id), await listed(store, "ann")) == (None, [])
        waits = await store.submit(new_job())
        with pytest.raises(BadMove, match="queued"):
            await store.remove(waits.id)
        for move in (store.remove, store.cancel, store.retry):
            with pytest.raises(NoJob):
                await move(old.id)


@asynctest
async def test_a_list_reads_only_its_owners_records(server: RedisServer) -> None:
    async with job_store(server) as store:
        old, new = await finished(store, owner="ann"), await store.submit(new_job(owner="ann"))
        others, unowned = await store.submit(new_job(owner="bob")), await store.submit(new_job())
        with server.client() as raw:
            raw.hset(KEYS.job(others.id), "media", "not valid JSON")
            assert [job.id for job in await listed(store, "ann")] == [new.id, old.id]
            assert [job.id for job in await listed(store, "")] == [unowned.id]
            await store.remove(old.id)
            assert raw.zrange(KEYS.jobs_of("ann"), 0, -1) == [new.id]
            raw.zadd(KEYS.jobs_of("ann"), {"expired": time.time() - 1})
            await store.cancel(new.id)
            assert raw.zrange(KEYS.jobs_of("ann"), 0, -1) == [new.id], "expired records are removed from the list"
            await store.remove(new.id)
            assert not raw.exists(KEYS.jobs_of("ann"))


@asynctest
async def test_every_key_expires(server: RedisServer) -> None:
    async with job_store(server) as store:
        await finished(store, owner="bob", webhook="https://example.org")
        await planned(store, 3, owner="ann")
        await taken(store)
        await store.submit(new_job(), "key")
        with server.client() as raw:
            assert {key: raw.ttl(key) for key in raw.scan_iter() if int(str(raw.ttl(key))) < 1} == {}


@asynctest
async def test_a_waiting_job_does_not_expire(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await store.submit(new_job())
        with server.client() as raw:
            raw.expire(KEYS.job(job.id), 60)
            raw.zadd(KEYS.jobs, {job.id: time.time() + 60})
            await store.reap_jobs()
            assert int(str(raw.ttl(KEYS.job(job.id)))) > 86_400


async def begun(store: JobStore, segments: int) -> Job:
    """A job whose first segment is done."""
    job = await planned(store, segments)
    await store.segment_done(await taken(store), 10)
    return job


@asynctest
async def test_after_a_flush_workers_restore_their_jobs(server: RedisServer) -> None:
    async with job_store(server) as store:
        job = await begun(store, 4)
        first, second = await taken(store, "w1"), await taken(store, "w2")
        with server.client() as raw:
            raw.flushall()
        with pytest.raises(NoJob):
            await store.renew(first)
        for task in (first, second, first):
            restored = await store.restore(task, [10] * 4, ["0000"])
        assert (restored.state, restored.id) == (JobState.RUNNING, job.id)
        third = await taken(store, "w3")
        assert (third.name, third.plan) == ("0003", "the plan")
        assert third.fence > second.fence
        for task in (first, second, third):
            await store.segment_done(task, 10)
        assert (await taken(store)).name == "join"


@asynctest
async def test_a_flush_during_planning_or_joining(server: RedisServer) -> None:
    async with job_store(server) as store:
        await begun(store, 1)
        join = await taken(store)
        with server.client() as raw:
            raw.flushall()
        await store.restore(join, [10], ["0000"])
        assert (await store.joined(join, {})).state is JobState.DONE
        await store.submit(new_job())
        plan = await taken(store)
        with server.client() as raw:
            raw.flushall()
        await store.restore(plan, [], [])
        await store.planned(plan, "", [10], Media())
        assert (await taken(store)).name == "0000"


@asynctest
async def test_a_late_restore_after_a_flush_is_fenced(server: RedisServer) -> None:
    async with job_store(server) as store:
        await begun(store, 3)
        first, second = await taken(store, "w1"), await taken(store, "w2")
        with server.client() as raw:
            raw.flushall()
        await store.restore(first, [10] * 3, ["0000"])
        assert (await taken(store, "w3")).name == second.name
        with pytest.raises(Fenced):
            await store.restore(second, [10] * 3, ["0000"])


@asynctest
async def test_a_removed_job_is_not_restored_by_its_workers(server: RedisServer) -> None:
    async with job_store(server) as store:
        await planned(store, 2)
        task = await taken(store)
        await store.cancel(task.job.id)
        await store.remove(task.job.id)  # before its worker noticed the cancellation
        for call in (store.renew(task, 5), store.segment_done(task, 10), store.restore(task, [10] * 2, [])):
            with pytest.raises(Fenced):
                await call
        assert await store.job(task.job.id) is None
        assert await store.take_task("w2", 0) is None
