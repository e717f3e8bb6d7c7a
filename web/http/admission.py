"""Limits on open connections, in all and per client, enforced where connections are accepted.

When a limit is reached, the connections that have waited longest for their client are closed: half-open, idle, stalled.
So half-open connections never lock anyone out. If every connection is in use, the new one is refused with 503.

Counts sockets, not requests, so that TLS handshakes in progress count too. Knows nothing about HTTP beyond the refusal.
"""

import contextlib
import errno
import logging
import select
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from stream.log import OncePerSecond
from web.http.addresses import client_of

_log = OncePerSecond(logging.getLogger(__name__))
_SHARE = 16  # one in this many connections is evicted at a time, so that a flood does not sort them for each arrival
_CLOSING_S = 1.0  # if evicted connections are not closed by then, others are evicted
_PER_CALL = 64  # connections refused before the event loop does something else
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 21\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\ntoo many connections\n"
)


class Client(Protocol):
    """The protocol object of a connection."""

    @property
    def waiting_since_s(self) -> float | None:
        """Since when the server has waited for the client (monotonic seconds); None while it works for the client."""
        ...

    def abort(self) -> None: ...


class Accepted(socket.socket):
    """An accepted connection's socket, which is counted until it is closed.

    protocol: set once requests can arrive, which with TLS is after the handshake. sent_s: when the system last took
    data to send (monotonic seconds).
    """

    def __init__(self, connection: socket.socket, client: str, release: Callable[["Accepted"], None]) -> None:
        super().__init__(connection.family, connection.type, connection.proto, connection.detach())
        self.client, self.descriptor = client, self.fileno()
        self.accepted_s = self.sent_s = time.monotonic()
        self.protocol: Client | None = None
        self.evicted = False
        self._release = release

    @property
    def waiting_since_s(self) -> float | None:
        """As `Client.waiting_since_s`; during the TLS handshake, since the connection was accepted."""
        if self.evicted:
            return None
        return self.protocol.waiting_since_s if self.protocol else self.accepted_s

    def evict(self) -> None:
        """Close the connection. The event loop does so at its next turn."""
        self.evicted = True
        if self.protocol:
            self.protocol.abort()
        else:  # in the TLS handshake, whose transport is not reachable: it sees the end of the connection
            with contextlib.suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)

    def send(self, *args: Any) -> int:
        count = super().send(*args)
        self.sent_s = time.monotonic()
        return count

    def sendmsg(self, *args: Any) -> int:
        count = super().sendmsg(*args)
        self.sent_s = time.monotonic()
        return count

    def close(self) -> None:
        self._release(self)
        super().close()


class Admission:
    """The open connections of a listener. Not thread-safe: used on the event loop.

    limit: of connections in all. per_client: of each client; `shared` tells which addresses have no such limit because
    many clients use them. report: called with "refused" or "evicted" for each such connection.
    """

    def __init__(
        self, limit: int, per_client: int, shared: Callable[[str], bool], report: Callable[[str], None]
    ) -> None:
        self._limit, self._per_client, self._shared, self._report = limit, per_client, shared, report
        self._open: dict[int, Accepted] = {}
        self._of_client: defaultdict[str, set[Accepted]] = defaultdict(set)
        self._evicted_s = float("-inf")
        self._closing = 0  # connections evicted, but still open

    def __len__(self) -> int:
        return len(self._open)

    def find(self, descriptor: int) -> Accepted | None:
        """The open connection with this file descriptor."""
        return self._open.get(descriptor)

    def connections(self) -> list[Accepted]:
        return list(self._open.values())

    @property
    def full(self) -> bool:
        return len(self._open) >= self._limit

    def may_accept(self) -> bool:
        """Whether to accept a connection that has arrived while this is full. If not, connections are being closed: try
        again at the event loop's next turn."""
        if self._closing and time.monotonic() - self._evicted_s < _CLOSING_S:
            return False
        return self.make_room() == 0  # none can be evicted: accept the new connection to refuse it

    def make_room(self) -> int:
        """Evict some of the connections that wait for their clients. Returns the number."""
        return self._evict(self._open.values())

    def admit(self, connection: socket.socket, host: str) -> Accepted | None:
        """Count a new connection. None if it must be refused."""
        client = client_of(host)
        if self.full or not self._has_room_for(client, host):
            self._report("refused")
            return None
        accepted = Accepted(connection, client, self._release)
        self._open[accepted.descriptor] = accepted
        self._of_client[client].add(accepted)
        return accepted

    def _has_room_for(self, client: str, host: str) -> bool:
        if self._shared(host) or len(self._of_client.get(client, ())) < self._per_client:
            return True
        active = [connection for connection in self._of_client[client] if not connection.evicted]
        return len(active) < self._per_client or self._evict(active) > 0

    def _evict(self, connections: Iterable[Accepted]) -> int:
        """Evict the longest waiting of these connections. Returns the number."""
        waits = [(since_s, c.descriptor, c) for c in connections if (since_s := c.waiting_since_s) is not None]
        chosen = sorted(waits)[: max(1, len(waits) // _SHARE)]
        for _, _, connection in chosen:
            self.close(connection, "evicted")
        self._evicted_s = time.monotonic()
        return len(chosen)

    def close(self, connection: Accepted, reason: str) -> None:
        """Close a connection. The event loop does so at its next turn."""
        connection.evict()
        self._closing += 1
        self._report(reason)

    def _release(self, connection: Accepted) -> None:
        if self._open.get(connection.descriptor) is connection:
            del self._open[connection.descriptor]
            self._closing -= connection.evicted
            self._of_client[connection.client].discard(connection)
            if not self._of_client[connection.client]:
                del self._of_client[connection.client]


class Listener(socket.socket):
    """A listening socket whose `accept` applies an `Admission`. For asyncio's `create_server`.

    tls: whether clients expect TLS; a refused client of plain HTTP gets 503.
    """

    def __init__(self, bound: socket.socket, admission: Admission, tls: bool) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self._admission, self._tls = admission, tls
        self._exhausted = False
        self._arrivals = select.poll()
        self._arrivals.register(self.fileno(), select.POLLIN)

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises BlockingIOError where there is no connection to accept now, OSError where descriptors run out."""
        for _ in range(_PER_CALL):
            if self._admission.full and not (self._arrivals.poll(0) and self._admission.may_accept()):
                break
            connection, address = self._next()
            accepted = self._admission.admit(connection, str(address[0]))
            if accepted is not None:
                return accepted, address
            self._refuse(connection)
        raise BlockingIOError

    def _next(self) -> tuple[socket.socket, Any]:
        if self._exhausted:  # asyncio pauses after the error below, but first calls again for its whole backlog
            self._exhausted = False
            raise BlockingIOError
        try:
            return super().accept()
        except OSError as exc:
            if exc.errno in _EXHAUSTED:
                self._exhausted = True
                self._admission.make_room()
            raise

    def _refuse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setblocking(False)
            if not self._tls:
                connection.send(_REFUSAL)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65_536)  # unread data would make the system discard the refusal


def log_exhaustion(context: dict[str, Any]) -> bool:
    """Log asyncio's report that no connection can be accepted, in one line. False for any other report."""
    exc = context.get("exception")
    exhausted = isinstance(exc, OSError) and exc.errno in _EXHAUSTED and "accept" in context.get("message", "")
    if exhausted:
        _log.warning("cannot accept connections: %s", exc)
    return exhausted
