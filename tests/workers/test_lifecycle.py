"""What every worker does: heartbeats, signals, leaving."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream.loops import Loops, Round
from stream.records.live_store import LiveStore
from stream.serve.redis_server import Embedded
from tests.media import ROOT
from tests.servers import asynctest
from tests.workers.failing_link import OddLink
from workers import lifecycle
from workers.lifecycle import Lifecycle

LOG = logging.getLogger("tests.lifecycle")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Embedded(tmp_path_factory.mktemp("data")) as server:
        yield server.url


@asynctest
async def test_a_worker_is_listed_then_drains_and_leaves(url: str) -> None:
    link = OddLink(url)
    store, stop = LiveStore(link), asyncio.Event()
    life = Lifecycle("files", store, Loops(LOG, ""), lambda: {"load": 0.5})
    life.update(capacity=3)
    async with asyncio.timeout(5):
        async with life.serving(stop, store_reap(store)):
            while not (listed := await store.workers("files")):
                await asyncio.sleep(0.02)
            (worker,) = listed
            assert (worker.id, worker.state, worker.capacity, worker.load) == (life.worker_id, "ready", 3, 0.5)
            stop.set()
            await life.beat()
            assert [worker.state for worker in await store.workers()] == ["draining"]
        assert await store.workers() == []
        assert link.calls["live/reap"] == 1
    await store.close()


@pytest.mark.usefixtures("wrong_clock")
@asynctest
async def test_a_worker_with_a_wrong_clock_is_always_listed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_BEAT_EVERY_S", 0.01)
    monkeypatch.setattr(lifecycle, "_REAP_EVERY_S", 0.005)
    link = OddLink(url)
    store = LiveStore(link)
    life = Lifecycle("live", store, Loops(LOG, ""), dict)
    async with asyncio.timeout(10), life.serving(asyncio.Event(), store_reap(store)):
        while not await store.workers():
            await asyncio.sleep(0.01)
        for rounds in range(10, 60, 10):
            while link.calls["live/beat"] < rounds or link.calls["live/reap"] < rounds:
                assert len(await store.workers("live")) == 1
        (worker,) = await store.workers()
        assert await link.now_s() - 10 < worker.started_s <= worker.seen_s <= await link.now_s() + 0.01
    await store.close()


def store_reap(store: LiveStore) -> Round:
    async def reap() -> None:
        await store.reap()

    return reap


@asynctest
async def test_a_worker_that_fails_leaves_too(url: str) -> None:
    store = LiveStore(url)
    life = Lifecycle("live", store, Loops(LOG, ""), dict)

    async def fail() -> None:
        async with life.serving(asyncio.Event(), store_reap(store)):
            while not await store.workers():
                await asyncio.sleep(0.02)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await store.workers() == []
    await store.close()


STUBBORN = """
import asyncio, logging
from stream.records.live_store import LiveStore
from stream.loops import Loops
from workers.lifecycle import Lifecycle

async def run(stop):
    print("running", flush=True)
    await stop.wait()
    print("asked", flush=True)
    await asyncio.sleep({last_s})

life = Lifecycle("live", LiveStore("unix:///none"), Loops(logging.getLogger(), ""), dict)
asyncio.run(life.run_until_stopped(run))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_forces(number: signal.Signals) -> None:
    for last_s, signals, code in ((0, 1, 0), (60, 2, 1)):
        argv = [sys.executable, "-c", STUBBORN.format(last_s=last_s)]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "running\n"
            program.send_signal(number)
            assert program.stdout.readline() == "asked\n"
            if signals == 2:
                program.send_signal(number)
            assert program.wait(10) == code
