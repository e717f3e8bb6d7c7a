"""Keeps a live source connected: one connection after the other, in a thread of its own, and the source's state."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from stream.log import OncePerSecond
from stream.settings import Settings
from stream.sources.base import SourceState
from stream.sources.live.connection import Deliver

_POLL_S = 0.05  # between checks of whether a connection has ended
_MAX_STUCK = 8  # threads that hang in FFmpeg; beyond that no more are started


class LiveConnection(Protocol):
    """One connection, which reads the source in a thread of its own after `start`.

    opened: the source has answered. has_sound: whether it has sound; None until that is known. overdue: the reason to
    stop waiting for the source; "" while the time limit has not passed. ended, reason: set when the connection has
    ended; read `ended` first. grace_s: seconds to wait for its end after `abandon`, when the source is closed.
    """

    grace_s: float

    opened: bool
    ended: threading.Event
    reason: str

    @property
    def has_sound(self) -> bool | None: ...

    @property
    def overdue(self) -> str: ...

    def start(self) -> None: ...

    def abandon(self) -> None:
        """Deliver nothing more, and end as soon as possible. From any thread; idempotent."""
        ...


Connect = Callable[[Deliver, int], LiveConnection]
"""Makes a connection: called with what to call with pictures and sound, and with its number."""


class Connections:
    """Connects from `start` until the event `ending` is set.

    connect: creates the connection with a number, counted from 1. on_state: called with each state; if it returns
    False, it is called again later. state: the current one.
    """

    def __init__(
        self,
        ending: threading.Event,
        connect: Callable[[int], LiveConnection],
        on_state: Callable[[SourceState], object],
        settings: Settings,
    ) -> None:
        self.state = SourceState()
        self._ending, self._new, self._on_state, self._settings = ending, connect, on_state, settings
        self._log = OncePerSecond(logging.getLogger(__name__))
        self._reported = True
        self._connection: LiveConnection | None = None
        self._count = 0
        self._thread = threading.Thread(target=self._keep_connected, name="source connections", daemon=True)

    def start(self) -> None:
        """Safe to call more than once."""
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Set `ending` first. Safe to call from any thread and more than once. Waits for the connection's end, not much
        longer than its `grace_s`."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            grace_s = 0.0 if self._connection is None else self._connection.grace_s
            self._thread.join(grace_s + 2 * _POLL_S)

    @property
    def has_sound(self) -> bool | None:
        """Whether the current connection has sound; None while that is unknown."""
        return None if self._connection is None else self._connection.has_sound

    def report(self, state: SourceState) -> None:
        """Report each state once; again if the report was refused."""
        if state != self.state or not self._reported:
            self.state, self._reported = state, False
            self._reported = self._on_state(state) is not False

    def _keep_connected(self) -> None:
        stuck: list[LiveConnection] = []
        while not self._ending.is_set():
            try:
                self._connect_again(stuck)
            except Exception as exc:  # noqa: BLE001 - of `on_state`, for example; the source must go on reconnecting
                self._log.warning("reconnecting: %r", exc)
            self._ending.wait(self._settings.rtsp_retry_s)

    def _connect_again(self, stuck: list[LiveConnection]) -> None:
        """Make one connection, and report its end. stuck: connections that did not end; updated."""
        stuck[:] = [connection for connection in stuck if not connection.ended.is_set()]
        if len(stuck) < _MAX_STUCK:
            stuck.append(self._connect())
        if not self._ending.is_set():
            self.report(SourceState("reconnecting", stuck[-1].overdue or stuck[-1].reason))

    def _connect(self) -> LiveConnection:
        """Make one connection, and wait until it ends or is abandoned."""
        self._count += 1
        connection = self._connection = self._new(self._count)
        connection.start()
        while not connection.ended.wait(_POLL_S):
            if self._ending.is_set() or connection.overdue:
                connection.abandon()
                connection.ended.wait(connection.grace_s if self._ending.is_set() else 0)
                break
        return connection
