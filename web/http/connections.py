"""HTTP connections with deadlines: for a request's headers, for each part of its body, for reading the response.

uvicorn has a deadline for idle connections only. A client that keeps the server waiting beyond a deadline loses its
connection. A connection on which the server is at work, such as a stream of events, has no deadline.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from stream.settings import Settings
from web.http.addresses import shared_by_many
from web.http.admission import Accepted, Admission

_log = logging.getLogger(__name__)
_ROUTES_FIRST_S = 5.0  # added to the deadline of bodies, so that a route's own answer, 408, comes first
_LOG_INTERVAL_S = 1.0


class Wait(Enum):
    """What a connection waits for its client to do. The values are the reasons in the metrics."""

    HANDSHAKE = "handshake"
    """complete the TLS handshake"""
    HEADERS = "headers"
    """send the rest of a request's headers"""
    NEXT = "idle"
    """send the next request, on a connection kept alive"""
    BODY = "body"
    """send more of the request's body"""
    REST = "rest"
    """send the rest of a body that no route wants, because the response is complete"""
    READ = "unread"
    """read more of the response"""


@dataclass(frozen=True)
class Deadlines:
    """In seconds. headers: from the connection, or a request's first byte, to the end of the headers; for the TLS
    handshake too. body: without a byte of it. unread: without reading a byte of the response."""

    headers_s: float = 10.0
    body_s: float = 30.0
    unread_s: float = 120.0

    def of(self, wait: Wait) -> float:
        match wait:
            case Wait.HANDSHAKE | Wait.HEADERS:
                return self.headers_s
            case Wait.BODY | Wait.REST:
                return self.body_s + _ROUTES_FIRST_S
            case Wait.READ:
                return self.unread_s
            case Wait.NEXT:
                return float("inf")  # uvicorn's own timeout, timeout_keep_alive


class Connections(ServerState):
    """The state that uvicorn's connections share, with their limits and deadlines.

    limit: of connections in all. count: called with a reason for each connection that was closed, refused or sent an
    invalid request.
    """

    def __init__(self, settings: Settings, limit: int, count: Callable[[str], None]) -> None:
        super().__init__()
        self.deadlines = Deadlines(settings.headers_timeout_s, settings.body_timeout_s, settings.unread_timeout_s)
        shared = shared_by_many(settings.trusted_proxies)
        self.admission = Admission(limit, settings.max_connections_per_address, shared, self.report)
        self._count = count
        self._unlogged: Counter[str] = Counter()
        self._log_s = float("-inf")

    def report(self, reason: str) -> None:
        self._count(reason)
        self._unlogged[reason] += 1

    def enforce(self) -> None:
        """Close overdue connections, and log at most one line a second. Call it regularly."""
        now_s = time.monotonic()
        for accepted in self.admission.connections():
            self._check(accepted, now_s)
        if self._unlogged and now_s - self._log_s >= _LOG_INTERVAL_S:
            self._log_s = now_s
            level = logging.WARNING if self._unlogged.keys() & {"refused", "evicted"} else logging.INFO
            text = ", ".join(f"{reason} {count}" for reason, count in sorted(self._unlogged.items()))
            _log.log(level, "connections closed, by reason: %s; open: %d", text, len(self.admission))
            self._unlogged.clear()

    def _check(self, accepted: Accepted, now_s: float) -> None:
        since_s = accepted.waiting_since_s
        wait = accepted.protocol.wait if isinstance(accepted.protocol, Connection) else Wait.HANDSHAKE
        if since_s is not None and wait is not None and now_s - since_s > self.deadlines.of(wait):
            self.admission.close(accepted, wait.value)


class Connection(H11Protocol):
    """One connection. Uses of uvicorn's class: `conn`, `cycle`, `transport`, and the callbacks it overrides."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, Connections)
        self._state = server_state
        self._accepted: Accepted | None = None
        self._writing_paused = False
        self._seen: tuple[Wait | None, object] = (None, None)
        self._since_s = self._received_s = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._accepted = self._state.admission.find(transport.get_extra_info("socket").fileno())
        if self._accepted is not None:
            self._accepted.protocol = self

    def data_received(self, data: bytes) -> None:
        self._received_s = time.monotonic()
        super().data_received(data)
        self._observe()

    def pause_writing(self) -> None:
        self._writing_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._writing_paused = False
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._state.report("invalid")
        super().send_400_response(msg)

    def abort(self) -> None:
        self.transport.abort()

    @property
    def wait(self) -> Wait | None:
        """What it waits for its client to do; None while the server is at work."""
        if self._writing_paused or self.transport.is_closing():
            return Wait.READ
        if self.conn.their_state is h11.IDLE:
            fresh = self.cycle is None or self.conn.trailing_data[0]
            return Wait.HEADERS if fresh else Wait.NEXT
        if self.conn.their_state is h11.SEND_BODY:
            return self._body_wait()
        return None

    def _body_wait(self) -> Wait | None:
        if self.conn.our_state is h11.DONE:
            return Wait.REST
        held = not self.transport.is_reading() or self.conn.they_are_waiting_for_100_continue
        return None if held else Wait.BODY

    @property
    def waiting_since_s(self) -> float | None:
        """Since when it waits for its client, in monotonic seconds: since the client's last progress."""
        wait = self._observe()
        if wait is None:
            return None
        if wait is Wait.BODY:
            return max(self._since_s, self._received_s)
        if wait is Wait.READ and self._accepted is not None:
            return max(self._since_s, self._accepted.sent_s)
        return self._since_s

    def _observe(self) -> Wait | None:
        """The current wait. A new kind of wait, or a wait for another request, begins now."""
        wait = self.wait
        if (wait, self.cycle) != self._seen:
            self._seen = wait, self.cycle
            self._since_s = time.monotonic()
        return wait


class OncePerSecondEach(logging.Filter):
    """Passes each kind of warning at most once a second: clients cause uvicorn's warnings, in any number."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        now_s = time.monotonic()
        due = now_s - self._last_s.get(str(record.msg), float("-inf")) >= _LOG_INTERVAL_S
        if due:
            self._last_s[str(record.msg)] = now_s
        return due
