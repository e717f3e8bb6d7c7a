"""Clocks that are wrong: of Redis, behind a link that shifts its time, and of an HTTP server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time

import pytest

from stream.deployment.clock import against_http, against_redis, check
from stream.records.redis_link import RedisLink
from stream.settings import Settings
from tests.servers import RedisServer, asynctest, free_port, start_server


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    yield from start_server("valkey")


class ShiftedLink(RedisLink):
    """A real connection, to a server whose clock is ahead."""

    ahead_s = 0.0

    async def now_s(self) -> float:
        return await super().now_s() + self.ahead_s


@pytest.mark.parametrize(("ahead_s", "ok"), [(0, True), (20, None), (-20, None), (3600, False), (-3600, False)])
@asynctest
async def test_the_clock_of_redis(running: RedisServer, ahead_s: float, ok: bool | None) -> None:
    link = ShiftedLink(running.url)
    link.ahead_s = ahead_s
    found = await against_redis(link)
    await link.close()
    assert found.ok is ok
    if ahead_s:
        assert ("behind" if ahead_s > 0 else "ahead") in found.detail


@asynctest
async def test_redis_that_is_not_there_is_no_fault_of_the_clock() -> None:
    (found,) = await check(Settings(redis_url=f"redis://127.0.0.1:{free_port()}"))
    assert found.ok is None


@contextmanager
def dated(ahead_s: float | None) -> Iterator[str]:
    """The URL of a server whose clock is ahead; None: it sends no date."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            if ahead_s is not None:
                self.send_header("Date", formatdate(time() + ahead_s, usegmt=True))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.long
@pytest.mark.parametrize(("ahead_s", "ok"), [(0, True), (30, None), (-1000, False), (None, None)])
def test_the_clock_of_an_s3_server(ahead_s: float | None, ok: bool | None) -> None:
    with dated(ahead_s) as url:
        assert against_http(url).ok is ok


@pytest.mark.long
@asynctest
async def test_the_date_of_a_real_one(s3: Settings) -> None:
    (found,) = await check(s3)
    assert found.ok
    assert "S3" in found.detail
