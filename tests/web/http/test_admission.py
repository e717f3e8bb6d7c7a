"""Limits on connections, with real sockets on loopback. `shared` decides which addresses have no limit of their own."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.waiting import PATIENCE_S
from web.http.addresses import client_of, shared_by_many
from web.http.admission import Accepted, Admission, Listener


class Working:
    """The protocol of a connection on which the server is at work, or has waited since `waiting_since_s`."""

    def __init__(self, accepted: Accepted, waiting_since_s: float | None) -> None:
        self._accepted, self.waiting_since_s = accepted, waiting_since_s

    def abort(self) -> None:
        self._accepted.close()


class Door:
    """A listener, its clients, and what it accepted."""

    def __init__(self, stack: ExitStack, limit: int, per_client: int, shared: Callable[[str], bool]) -> None:
        self._stack, self.reports = stack, Counter[str]()
        self.admission = Admission(limit, per_client, shared, lambda reason: self.reports.update([reason]))
        bound = socket.create_server(("127.0.0.1", 0))
        self.listener = stack.enter_context(Listener(bound, self.admission, tls=False))
        self.listener.setblocking(False)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        client = self._stack.enter_context(socket.socket())
        client.settimeout(PATIENCE_S)
        client.bind((source, 0))
        client.connect(self.listener.getsockname())
        return client

    def accept(self, since_s: float | None, source: str = "127.0.0.1") -> Accepted:
        """Accept a new client. since_s: since when the server waits for it."""
        self.connect(source)
        while True:  # as the event loop does, once for each connection that was evicted to make room
            with suppress(BlockingIOError):
                accepted, _ = self.listener.accept()
                break
        assert isinstance(accepted, Accepted)
        self._stack.callback(accepted.close)
        accepted.protocol = Working(accepted, since_s)
        return accepted


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def nobody(host: str) -> bool:
    return False


def is_open(connection: socket.socket) -> bool:
    return connection.fileno() >= 0


def test_the_longest_waiting_connection_makes_room(stack: ExitStack) -> None:
    door = Door(stack, 3, 3, nobody)
    busy, newer, older = door.accept(None), door.accept(7.0), door.accept(5.0)
    fourth = door.accept(9.0)
    assert [is_open(connection) for connection in (busy, newer, older, fourth)] == [True, True, False, True]
    assert door.reports == {"evicted": 1}
    assert len(door.admission) == 3


def test_nothing_is_evicted_before_another_connection_arrives(stack: ExitStack) -> None:
    door = Door(stack, 2, 2, nobody)
    first, second = door.accept(1.0), door.accept(2.0)
    with pytest.raises(BlockingIOError):
        door.listener.accept()
    assert is_open(first)
    assert is_open(second)


def test_where_all_are_busy_the_new_one_is_refused(stack: ExitStack) -> None:
    door = Door(stack, 2, 2, nobody)
    for _ in range(2):
        door.accept(None)
    client = door.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(BlockingIOError):
        door.listener.accept()
    assert client.recv(1000).startswith(b"HTTP/1.1 503")
    assert door.reports == {"refused": 1}


def test_the_limit_of_one_client_leaves_others_alone(stack: ExitStack) -> None:
    door = Door(stack, 9, 2, lambda host: host == "127.0.0.9")
    first, second = door.accept(1.0), door.accept(None)
    door.accept(0.5, "127.0.0.2")
    door.accept(None)
    assert [is_open(first), is_open(second)] == [False, True], "its own waiting connection makes room"
    client = door.connect()
    with pytest.raises(BlockingIOError):
        door.listener.accept()
    assert client.recv(1000).startswith(b"HTTP/1.1 503")
    for _ in range(4):
        door.accept(None, "127.0.0.9")
    assert len(door.admission) == 7
    assert door.reports == {"evicted": 1, "refused": 1}


def test_an_unfinished_tls_handshake_makes_room(stack: ExitStack) -> None:
    door = Door(stack, 1, 1, nobody)
    client = door.connect()
    half_open, _ = door.listener.accept()
    with half_open:
        door.connect()
        with pytest.raises(BlockingIOError):
            door.listener.accept()
        assert client.recv(1) == b""
        assert half_open.recv(1) == b"", "the event loop sees the end of the connection, and closes it"


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_client(host: str, client: str) -> None:
    assert client_of(host) == client


@pytest.mark.parametrize(
    ("proxies", "host", "shared"),
    [
        ("", "192.0.2.7", False),
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("", "::ffff:127.0.0.1", True),
        ("192.0.2.7, 10.0.0.0/8", "192.0.2.7", True),
        ("192.0.2.7, 10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("192.0.2.7, 10.0.0.0/8", "192.0.2.8", False),
        ("*", "192.0.2.8", True),
    ],
)
def test_addresses_that_many_clients_share(proxies: str, host: str, shared: bool) -> None:
    assert shared_by_many(proxies)(host) is shared
