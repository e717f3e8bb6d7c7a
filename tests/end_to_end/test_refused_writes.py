"""A file worker whose Redis refuses writes for minutes: it recovers without a restart."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream import loops
from stream.records.job_store import JobStore
from stream.settings import Settings
from stream.storage import open_storage
from tests.refusals import REFUSALS
from tests.servers import RedisServer, start_server
from tests.waiting import until
from tests.web.http_checks import problem
from tests.web.running_site import running
from tests.workers.failing_link import OddLink
from workers.files.worker import FileWorker


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    yield from start_server("valkey")


@contextmanager
def file_worker(link: OddLink, settings: Settings) -> Iterator[None]:
    """A file worker in a thread of its own."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def work() -> None:
        await FileWorker(settings, JobStore(link), open_storage(settings)).run(stop)
        await link.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


@pytest.mark.slow
def test_a_file_workers_heartbeat_recovers_after_minutes_of_refused_writes(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes: as many failed heartbeats as there are in two of them. Nothing is restarted."""
    monkeypatch.setattr(loops, "_RETRY_S", 0.001)
    monkeypatch.setattr("workers.lifecycle._BEAT_EVERY_S", 0.01)
    settings, link = Settings(data_dir=tmp_path), OddLink(redis_server.url)
    with running(settings, redis_server.url, worker=False) as site, site.client() as http, file_worker(link, settings):
        until(lambda: http.get("/readyz?for=files").status_code == 200)
        for kind in ("too few replicas", "disk full"):
            REFUSALS[kind].begin(redis_server)
            link.calls.clear()
            until(lambda: link.calls["live/beat"] > 120)
            until(lambda: not site.call(site.store.workers()))
            problem(http.get("/readyz?for=files"), 503, "store_down")
            change = REFUSALS[kind].end
            assert change is not None
            change(redis_server)
            until(lambda: http.get("/readyz?for=files").status_code == 200)
