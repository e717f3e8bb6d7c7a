"""Server-sent events: their order, behaviour when Redis is lost, and cleanup of streams."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from stream.settings import Settings
from tests.media import numbered_clip
from tests.servers import RedisServer, start_server
from tests.stream.records.jobs import new_job
from tests.waiting import PATIENCE_S, until
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import FileWorkerDouble, submitted
from tests.web.videos.tus import uploaded


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site)
    yield files
    files.clear()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    yield from start_server("valkey")


class Listener:
    """Reads a stream in a thread. events: (event, data, id) in order. over: set when the server has ended it."""

    def __init__(self, url: str, path: str, **headers: str) -> None:
        self.events: Queue[tuple[str, Any, str]] = Queue()
        self.comments: list[str] = []
        self.over = threading.Event()
        self._connection = HTTPConnection(url.partition("://")[2], timeout=PATIENCE_S)
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()
        self.first_line = self.response.readline()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(OSError, HTTPException):  # the test has closed the socket
            while text := self.response.readline():
                line = text.decode().rstrip()
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments.append(line)
                elif line:
                    fields[name] = value
                elif "event" in fields:
                    self.events.put((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
                    fields = {}
            self.over.set()

    def next(self, kind: str, **values: object) -> Any:
        """The data of the next event of this kind with these values. Other events are skipped."""
        while True:
            try:
                event, data, id = self.events.get(timeout=PATIENCE_S)
            except Empty:
                raise AssertionError(f"no {kind} with {values}") from None
            if event == kind and all(data.get(name) == value for name, value in values.items()):
                return data | {"event_id": id}

    def close(self) -> None:
        with suppress(OSError):  # the server may have closed it first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.response.close()
        self._connection.close()
        self._socket.close()


@contextmanager
def listening(url: str, path: str, **headers: str) -> Iterator[Listener]:
    listener = Listener(url, path, **headers)
    try:
        yield listener
    finally:
        listener.close()


def wait_until_streams_ended(site: Site) -> None:
    until(lambda: not site.context.watch.open, "all streams end")


@pytest.mark.long
def test_the_events_of_one_job_until_it_ends(
    site: Site, http: httpx.Client, files: FileWorkerDouble, clip: bytes
) -> None:
    path = submitted(http, upload=uploaded(http, clip))
    with listening(site.url, f"{path}/events") as listener:
        assert listener.response.headers["content-type"].startswith("text/event-stream")
        assert listener.response.headers["cache-control"] == "no-store"
        listener.next("job", state="queued")
        files.plan()
        while not (frames := listener.next("job", state="running")["progress"]["of_frames"]):
            pass  # taken, but not planned yet
        assert frames == 30
        files.segment()
        files.join()
        last = listener.next("job", state="done")
        assert last["results"]["result"]["url"].startswith(path)
        assert listener.over.wait(PATIENCE_S)
    again = http.get(f"{path}/events", headers={"Last-Event-ID": last["event_id"]})
    assert (again.status_code, again.content) == (204, b""), "browsers do not reconnect after a 204"
    wait_until_streams_ended(site)


@pytest.mark.long
def test_the_events_of_all_jobs_and_their_removal(
    site: Site, http: httpx.Client, files: FileWorkerDouble, clip: bytes
) -> None:
    upload = uploaded(http, clip)
    first = submitted(http, upload=upload)
    with listening(site.url, "/api/jobs/events") as listener:
        listener.next("job", id=first.rpartition("/")[2])
        second = submitted(http, upload=upload)
        listener.next("job", id=second.rpartition("/")[2])
        for _ in range(2):
            http.delete(first)
        listener.next("removed", id=first.rpartition("/")[2])
    wait_until_streams_ended(site)


def test_a_stream_begins_with_the_newest_jobs_and_reports_changes_of_all(
    site: Site, files: FileWorkerDouble, valkey: str
) -> None:
    async def fill() -> list[str]:
        return [(await site.context.jobs.submit(new_job())).id for _ in range(60)]

    ids = site.call(fill())
    with listening(site.url, "/api/jobs/events") as listener, redis.Redis.from_url(valkey) as raw:
        assert [listener.next("job")["id"] for _ in range(50)] == ids[10:]
        try:
            for id in ids[1:]:
                raw.hset(f"mattebox:job:{id}", "warnings", "not valid JSON")  # no stream reads these jobs again
            site.call(site.context.jobs.cancel(ids[0]))
            assert listener.next("job")["id"] == ids[0]
        finally:
            raw.flushdb()
    wait_until_streams_ended(site)


@pytest.mark.long
def test_other_users_receive_no_events(users: Site, clip: bytes) -> None:
    with (
        users.client("alice-token") as alice,
        listening(users.url, "/api/jobs/events", Authorization="Bearer bob-token") as bob,
        listening(users.url, "/api/jobs/events", Authorization="Bearer alice-token") as mine,
    ):
        path = submitted(alice, upload=uploaded(alice, clip))
        mine.next("job", id=path.rpartition("/")[2])
        assert bob.events.empty()
    wait_until_streams_ended(users)


def test_quiet_streams_are_kept_open(site: Site, files: FileWorkerDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.videos.events._KEEP_ALIVE_S", 0.1)
    with listening(site.url, "/api/jobs/events") as listener:
        until(lambda: len(listener.comments) > 1, "comments keep the stream open")


def test_the_number_of_streams_is_limited(site: Site, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.videos.events._MAX_STREAMS", 1)
    with listening(site.url, "/api/jobs/events") as listener:
        assert listener.first_line.startswith(b"retry:")
        problem(http.get("/api/jobs/events"), 429, "too_many")
    wait_until_streams_ended(site)


def test_streams_opened_at_the_same_time_do_not_exceed_the_limit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.videos.events._MAX_STREAMS", 3)
    parts = urlsplit(site.url)
    request = b"GET /api/jobs/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S))
            for _ in range(20)
        ]
        for connection in opened:
            connection.sendall(request)
        codes = [connection.recv(12)[-3:] for connection in opened]
        assert sorted(codes) == [b"200"] * 3 + [b"429"] * 17
        assert site.context.watch.open.total() == 3
    wait_until_streams_ended(site)


@pytest.mark.long
def test_a_stream_survives_an_outage_of_redis(tmp_path: Path, redis_server: RedisServer, clip: bytes) -> None:
    settings = Settings(data_dir=tmp_path)
    with running(settings, redis_server.url) as site, site.client() as http:
        path = submitted(http, upload=uploaded(http, clip))
        with listening(site.url, f"{path}/events") as listener:
            listener.next("job", state="queued")
            redis_server.kill()
            assert listener.next("notice", code="store_down")["detail"]
            redis_server.start()
            listener.next("notice", code="ok")
            assert http.delete(path).status_code == 204
            listener.next("job", state="cancelled")
            assert listener.over.wait(PATIENCE_S)


def test_streams_end_when_the_server_does(settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.server._GRACE_S", 3600)  # a server that waited for clients to disconnect would hang
    with running(settings, redis_url) as site:
        listener = Listener(site.url, "/api/jobs/events")
    assert listener.over.wait(PATIENCE_S)
    listener.close()
