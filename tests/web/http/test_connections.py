"""Half-open, stalled and unread connections over real sockets, and what must go on working beside them."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stream.settings import Settings
from tests.media import numbered_clip
from tests.waiting import PATIENCE_S, until
from tests.web.running_site import Site, running
from tests.web.videos.tus import BODY, begun, offset_of, opened, sent

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
clocked = pytest.mark.clocked  # deadlines so short that a busy machine would miss them


@pytest.fixture
def impatient(settings: Settings) -> Settings:
    return settings.model_copy(update={"headers_timeout_s": 0.4, "body_timeout_s": 0.4, "unread_timeout_s": 0.4})


def connected(site: Site, source: str = "127.0.0.1", receive_bytes: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(PATIENCE_S)
    connection.bind((source, 0))
    connection.connect((urlsplit(site.url).hostname, urlsplit(site.url).port))
    return connection


def closed(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return received


def answer(connection: socket.socket, end: bytes = b'{"status":"ok"}') -> bytes:
    received = b""
    while not received.endswith(end):
        data = connection.recv(65_536)
        assert data, received
        received += data
    return received


def count(site: Site, reason: str) -> float:
    """How many connections were closed for this reason."""
    counters = site.context.counters
    value = counters.registry.get_sample_value("mattebox_http_connections_closed_total", {"reason": reason})
    return value or 0.0


def until_counted(site: Site, reason: str) -> None:
    until(lambda: count(site, reason), f"a connection is closed: {reason}")


@pytest.mark.long
@clocked
def test_requests_without_complete_headers_are_closed(impatient: Settings, redis_url: str) -> None:
    with running(impatient, redis_url, worker=False) as site, ExitStack() as stack:
        kept, silent, partial, dripping = (stack.enter_context(connected(site)) for _ in range(4))
        kept.sendall(GET)
        answer(kept)
        partial.sendall(GET[:30])
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - the loop ends by the server's close
            for byte in b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000:  # never ends within the deadline
                dripping.sendall(bytes([byte]))
                time.sleep(0.02)
        assert closed(silent) == closed(partial) == b""
        assert count(site, "headers") == 3
        kept.sendall(GET)
        assert answer(kept).startswith(b"HTTP/1.1 200"), "an idle connection is no incomplete request"
        kept.sendall(GET[:20])
        assert closed(kept) == b"", "the deadline holds for later requests too"


@pytest.mark.long
@clocked
def test_a_body_that_nobody_wants_must_end_soon(
    impatient: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.http.connections._ROUTES_FIRST_S", 0.0)
    with running(impatient, redis_url, worker=False) as site, connected(site) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234")
        assert closed(connection).startswith(b"HTTP/1.1 200")
        assert count(site, "rest") == 1


@clocked
def test_a_stalled_upload_is_interrupted_and_resumes(impatient: Settings, redis_url: str, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "c.mp4", 12).read_bytes()
    with running(impatient, redis_url, worker=False) as site, site.client() as http:
        path = begun(http, len(clip))
        with opened(site.url, path, 0, len(clip)) as connection:
            connection.sendall(clip[:100])
            assert closed(connection).startswith(b"HTTP/1.1 408")
        assert offset_of(http, path) == 100
        assert sent(http, path, 100, clip[100:]).status_code == 204


@pytest.mark.long
@clocked
def test_a_slow_upload_that_moves_is_not_interrupted(settings: Settings, redis_url: str) -> None:
    patient = settings.model_copy(update={"headers_timeout_s": 1.0, "body_timeout_s": 1.0})
    with running(patient, redis_url, worker=False) as site, site.client() as http:
        path = begun(http, 100)
        with opened(site.url, path, 0, 8) as connection:
            for _ in range(8):
                time.sleep(0.25)
                connection.sendall(b"x")
            assert connection.recv(4096).startswith(b"HTTP/1.1 204")
        assert offset_of(http, path) == 8


@pytest.mark.long
@clocked
def test_a_response_that_is_not_read_is_closed(impatient: Settings, redis_url: str) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        running(impatient, redis_url, worker=False) as site,
        connected(site) as events,
        connected(site, receive_bytes=4096) as unread,
    ):
        events.sendall(b"GET /api/jobs/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        unread.sendall(request * 200)
        until_counted(site, "unread")
        with site.client() as http:
            assert http.get("/livez").is_success
        events.setblocking(False)
        assert b"retry:" in events.recv(4096)
        with pytest.raises(BlockingIOError):
            events.recv(1)


@pytest.mark.long
@clocked
def test_unfinished_tls_handshakes_are_closed(impatient: Settings, redis_url: str) -> None:
    with running(impatient, redis_url, worker=False, tls="auto") as site, connected(site) as half_open:
        assert closed(half_open) == b""
        until_counted(site, "handshake")
        trusted = ssl.create_default_context(cafile=str(impatient.data_dir / "tls/cert.pem"))
        with trusted.wrap_socket(connected(site), server_hostname="127.0.0.1") as connection:
            connection.sendall(GET)
            assert answer(connection).startswith(b"HTTP/1.1 200")
            connection.sendall(GET[:20])
            assert closed(connection) == b""
        assert count(site, "headers") == 1


def test_pipelined_requests_are_answered_in_order(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, connected(site) as connection:
        connection.sendall(GET * 2 + GET.replace(b"/livez", b"/nothing") + GET[:10])
        received = b""
        while received.count(b"HTTP/1.1") < 3:
            received += connection.recv(65_536)
        assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]
        connection.sendall(GET[10:])
        answer(connection)


@pytest.mark.long
@pytest.mark.parametrize("path", ["/api/login", "/api/uploads/x", "/livez"])
def test_a_request_with_two_lengths_is_refused_and_nothing_after_it_is_read(
    settings: Settings, redis_url: str, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    with running(settings, redis_url, worker=False) as site, connected(site) as connection:
        connection.sendall(head.encode() + b"0\r\n\r\n" + GET)
        received = closed(connection)
        assert received.count(b"HTTP/1.1 ") == 1
        assert received.startswith(b"HTTP/1.1 400")
        assert b'"two_lengths"' in received


def test_expect_100_continue(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, site.client() as http, connected(site) as connection:
        path = begun(http, 9)
        fields = BODY | {"Host": "localhost", "Upload-Offset": "0", "Content-Length": "4", "Expect": "100-continue"}
        head = "\r\n".join([f"PATCH {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"1234")
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")


@contextmanager
def half_open(site: Site, number: int) -> Iterator[list[socket.socket]]:
    """Connections from eight addresses, with incomplete requests."""
    with ExitStack() as stack:
        found = [stack.enter_context(connected(site, f"127.0.0.{1 + n % 8}")) for n in range(number)]
        for connection in found:
            connection.sendall(GET[:30])
        yield found


@pytest.mark.long
def test_half_open_connections_do_not_keep_others_out(
    settings: Settings, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = settings.model_copy(update={"max_connections": 20})
    monkeypatch.setattr("web.http.connections._LOG_INTERVAL_S", 3600.0)
    with running(few, redis_url, worker=False) as site, connected(site) as events:
        events.sendall(b"GET /api/jobs/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer(events, b"retry: 2000\n\n\r\n")
        with half_open(site, 100), site.client() as http:
            for _ in range(10):
                assert http.get("/livez", headers={"Connection": "close"}).is_success
        assert count(site, "evicted") > 60
        assert count(site, "refused") == 0
        assert site.call(_still_open(site)) <= 20
    records = [record for record in caplog.records if record.name.startswith("web.http")]
    assert len(records) <= 1, "one line in each interval"


async def _still_open(site: Site) -> int:
    return len(site.server.connections.admission)


def test_where_every_connection_is_in_use_another_is_refused(settings: Settings, redis_url: str) -> None:
    few = settings.model_copy(update={"max_connections": 8})
    with running(few, redis_url, worker=False) as site, ExitStack() as stack:
        for _ in range(8):
            stream = stack.enter_context(connected(site))
            stream.sendall(b"GET /api/jobs/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer(stream, b"retry: 2000\n\n\r\n")
        with connected(site) as refused:
            refused.sendall(GET)
            received = closed(refused)
            assert received.startswith(b"HTTP/1.1 503")
            assert b"Retry-After" in received
        assert count(site, "refused") == 1


def test_invalid_requests_are_counted_and_logged_once_in_each_interval(
    settings: Settings, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.http.connections._LOG_INTERVAL_S", 3600.0)
    with running(settings, redis_url, worker=False) as site:
        for _ in range(50):
            with connected(site) as connection:
                connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
                assert closed(connection).startswith(b"HTTP/1.1 400")
        with site.client() as http:
            for _ in range(50):
                http.get("/livez", headers={"Connection": "upgrade", "Upgrade": "websocket"})
        assert count(site, "invalid") == 50
    for text in ("Invalid HTTP", "Unsupported upgrade"):
        assert caplog.text.count(text) <= 1
