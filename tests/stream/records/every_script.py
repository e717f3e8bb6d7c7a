"""Uses the stores so that every Lua script runs at least once."""

import asyncio
import time
from importlib.resources import files

import redis

from stream.records import scripts
from stream.records.feed_store import FeedStore
from stream.records.feeds import FeedReport, FeedState
from stream.records.job_store import JobStore
from stream.records.jobs import JobState, Media
from stream.records.live import Answer, Command, Meters, SessionKind, Worker
from stream.records.live_store import LiveStore
from stream.records.options import Options
from stream.records.redis_link import RedisLink
from stream.records.upload_records import Content, UploadRecords
from tests.redis_cluster import CLUSTER_KEYS
from tests.stream.records.feeds import claimed, created
from tests.stream.records.jobs import new_job, taken
from tests.stream.records.live import live, new
from tests.waiting import PATIENCE_S


def names() -> list[str]:
    """All scripts."""
    folder = files("stream.records") / "lua"
    added = {part for parts in scripts._ADDED.values() for part in parts}
    return [
        f"{kind}/{name}"
        for kind, shared in scripts._SHARED.items()
        for file in (folder / kind).iterdir()
        if (name := file.name.removesuffix(".lua")) not in (*shared, *added)
    ]


async def use_every_script(link: RedisLink, raw: "redis.Redis") -> None:
    """raw: a client of the node that has the records of a cluster without any."""
    await use_jobs(JobStore(link), raw)
    await use_live_video(LiveStore(link), raw)
    await use_feeds(FeedStore(link), raw)
    await use_uploads(UploadRecords(link, 60.0))


async def use_jobs(store: JobStore, raw: "redis.Redis") -> None:
    job = await store.submit(new_job(owner="ann", webhook="https://hooks.example/"), key="k")
    assert (await store.submit(new_job(owner="ann"), key="k")).id == job.id
    assert [found.id for found in (await store.page("ann", 5)).jobs] == [job.id]
    assert (await store.changes("ann", 0))[2] == [job.id]
    assert set(await store.forecast()) == {job.id}
    task = await taken(store)
    await store.renew(task)
    await store.hand_back(task)
    await store.planned(await taken(store), "the plan", [10, 10], Media())
    await store.process_died(await taken(store))
    await store.fail(await taken(store), "odd", "", again=True)
    await taken(store)
    assert await store.worker_lost("w1") == []
    for _ in range(2):
        await store.segment_done(await taken(store), 10)
    await store.redo(await taken(store), ["0000"])
    await store.segment_done(await taken(store), 10)
    assert (await store.joined(await taken(store), {})).state is JobState.DONE
    assert await store.next_hook() is not None
    await store.postpone_hook(job.id, 1)
    await store.hook_delivered(job.id)
    assert [found.id for found in await store.expired(time.time() + 60)] == [job.id]
    await store.remove(job.id)
    lost = await store.submit(new_job(owner="ann"))
    task = await taken(store)
    raw.delete(CLUSTER_KEYS.job(lost.id))
    assert (await store.restore(task, [], [])).id == lost.id
    assert [found.id for found in await store.unfinished("ann")] == [lost.id]
    assert (await store.tasks()).running == 1
    assert (await store.totals()).states == {JobState.RUNNING: 1}
    await store.cancel(lost.id)
    assert await store.reap_jobs() == []
    assert [found.state for found in await store.summaries()] == [JobState.CANCELLED]


async def use_live_video(store: LiveStore, raw: "redis.Redis") -> None:
    publisher = await live(store, store, new(SessionKind.PUBLISH, name="tv"))
    viewing = asyncio.create_task(store.offer(new(SessionKind.VIEW, name="tv", of=publisher.id), "v=0", PATIENCE_S))
    (command,) = await store.commands("w1", PATIENCE_S)
    viewer = await store.accept("w1", command.session)
    assert viewer is not None
    await store.reply(viewer, Answer(sdp="v=1"))
    assert await viewing == Answer(sdp="v=1")
    await store.send("w1", Command(kind="end", session=viewer.id))
    await store.change(publisher.id, Options())
    assert len(await store.commands("w1", PATIENCE_S)) == 2
    await store.report(publisher, Meters())
    raw.delete(CLUSTER_KEYS.session(publisher.id))
    assert await store.renew([publisher, viewer]) == set(), "restored"
    assert await store.stream("tv") is not None
    assert await store.offer(new(), "v=0", 0.05) is None, "nobody takes it"
    waiting = asyncio.create_task(store.offer(new(), "v=0", PATIENCE_S))
    offered = await store.take("w1", PATIENCE_S)
    assert offered is not None
    await store.hand_back(*offered)
    again = await store.take("w2", PATIENCE_S)
    assert again is not None
    await store.reply(again[0], Answer(sdp="v=2"))
    assert await waiting == Answer(sdp="v=2")
    assert len(await store.sessions()) == 4
    await store.end(publisher.id, "bye")
    await store.reap()
    await store.beat(Worker(id="w1"))
    assert [worker.id for worker in await store.workers()] == ["w1"]
    await store.leave("w1")
    assert [await store.spend("k", 1, 60) > 0 for _ in range(2)] == [False, True]


async def use_feeds(store: FeedStore, raw: "redis.Redis") -> None:
    feed = await created(store)
    assert [found.id for found in (await store.page("ann", 5)).feeds] == [feed.id]
    held = await claimed(store)
    await store.report(held.feed, FeedReport())
    assert (await store.summary()).states[FeedState.RUNNING] == 1
    changed = await store.change(held.feed, run=True)
    assert await store.renew([held]) == (set(), {feed.id})
    assert (await store.read(held.feed)).feed.version == changed.version
    raw.delete(CLUSTER_KEYS.feed(feed.id))
    assert await store.renew([held]) == (set(), set()), "restored"
    await store.hand_back(held.feed)
    await store.reap()
    found = await store.feed(feed.id)
    assert found is not None
    assert found.state is FeedState.WAITING
    await store.remove(feed.id)


async def use_uploads(records: UploadRecords) -> None:
    await records.create("u", "ann", "a record", 30, 10, quota=100, most=4)
    opened = await records.open("u")
    assert await records.reserve(opened) == 1
    await records.commit(opened, Content("multi", 1, (("w-1", 7),), 17), 0, ["1 tag"])
    await records.renew(opened)
    await records.close(opened)
    assert await records.touch("u") is not None
    await records.finish(await records.open("u"), "complete", 30)
    assert await records.ids() == {"u"}
    await records.remove("u")
