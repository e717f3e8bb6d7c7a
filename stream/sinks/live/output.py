"""One output of live video: its thread, its connections one after the other, its state and its counters."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stream.address import Address
from stream.errors import MatteboxError, RemoteError, UsageError
from stream.log import OncePerSecond
from stream.picture.frames import Frame
from stream.pump import Item, Warnings
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.sinks.live.encodes import Encodes
from stream.sinks.live.protocols import OutputProtocol, is_playlist
from stream.sinks.live.ring import Ring
from stream.sinks.live.sent import Sent
from stream.sinks.live.spec import OutputSpec, OutputStatus, State

_POLL_S = 0.1
_GRACE_S = 3.0  # for the end of a connection; then it is aborted
_FILE_GRACE_S = 30.0  # for completing a file
_log = OncePerSecond(logging.getLogger(__name__))
OnState = Callable[[OutputStatus], object]


class Output(ABC):
    """Base class. id: set by the owner before `start`. warnings: what files could not keep; complete at the end.

    Raises UsageError, DiskError if the request cannot work.
    """

    def __init__(
        self, spec: OutputSpec, protocol: OutputProtocol, options: Options, settings: Settings, on_state: OnState
    ) -> None:
        self.id = 0
        self.warnings: Warnings = []
        self.spec, self._protocol, self._options, self._settings = spec, protocol, options, settings
        self._writers = _writer_class(spec, protocol)
        self._check()
        self._on_state = on_state
        self._state: State = "paused" if spec.paused else "connecting"
        self._reason, self._since_s = "", time.time()
        self._ending, self._pausing, self._finishing = False, spec.paused, False
        self._wake = threading.Event()
        self._was_live = False
        self._retry_after_s = 0.0
        self._missed = self._frames = self._connections = self._reconnects = 0
        self._sent = Sent()
        self._writer: Any = None
        self._thread: threading.Thread | None = None

    # From any thread.

    def start(self, encodes: Encodes) -> None:
        """Connect, and keep connected."""
        self._encodes = encodes
        if not self._protocol.retried and not self._pausing:
            with suppress(MatteboxError):  # the thread will report it
                self._prepare()
        self._thread = threading.Thread(target=self._run, name=f"output {self.id}", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """An item of the video. Never waits."""
        if isinstance(item, Frame) and self._state == "reconnecting" and self._was_live:
            self._missed += 1

    def pause(self) -> None:
        self._pausing = True
        self._wake.set()
        if self._protocol.retried and self._state in ("connecting", "reconnecting"):
            self._abort_writer()  # which may wait for an answer

    def resume(self) -> None:
        self._pausing = False
        self._wake.set()

    def finish(self) -> Callable[[], None]:
        """Send what is queued, then end. Returns a function that waits for the end, a limited time."""
        self._finishing = True
        self._wake.set()
        return self._waiter()

    def close(self) -> None:
        """End without sending what is queued; complete a file."""
        self._ending = True
        self._wake.set()
        self._waiter()()

    def abort(self) -> Callable[[], None]:
        """End at once; complete a file. Returns a function that waits for the end, a limited time."""
        self._ending = True
        self._wake.set()
        if self._protocol.retried:
            self._abort_writer()
        return self._waiter()

    def _waiter(self) -> Callable[[], None]:
        """A function that waits until the thread has ended; the time limit begins now, for all outputs at once."""
        deadline_s = time.monotonic() + (_GRACE_S if self._protocol.retried else _FILE_GRACE_S)
        return lambda: self._wait(deadline_s)

    def _wait(self, deadline_s: float) -> None:
        if self._thread is None:
            return
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        if self._thread.is_alive():
            self._ending = True
            self._abort_writer()
            self._thread.join(_GRACE_S)

    def _abort_writer(self) -> None:
        """Interrupt a call of the writer, from another thread. Not all can be interrupted."""
        writer = self._writer
        if writer is not None:
            writer.abort()

    def status(self) -> OutputStatus:
        dropped = self._missed + self._dropped()
        address, bitrate = str(self.spec.address), self._sent.per_second_bps()
        return OutputStatus(
            self.id, address, self._state, self._reason, self._frames, dropped, bitrate, self._since_s,
            self._reconnects, self._sent.latency_ms(),
        )  # fmt: skip

    # In the output's thread.

    def _run(self) -> None:
        while not self._over:
            if self._pausing:
                self._release()
                self._set("paused")
                self._wake.wait()
                self._wake.clear()
                continue
            if not self._connect():
                return
            if not self._over and not self._pausing:
                self._wake.wait(max(self._settings.rtsp_retry_s, self._retry_after_s))
                self._wake.clear()
        self._release()
        self._set("ended")

    @property
    def _over(self) -> bool:
        return self._ending or self._finishing

    def _connect(self) -> bool:
        """Make one connection, until it ends. Returns whether the output goes on."""
        retried = self._protocol.retried
        if self._state == "paused":
            self._set("connecting")
        try:
            self._connections += 1
            self._connection()
        except MatteboxError as exc:
            self._retry_after_s = exc.retry_after_s if isinstance(exc, RemoteError) else 0.0
            self._set("reconnecting" if retried else "ended", str(exc))
            return retried
        except Exception as exc:  # noqa: BLE001 - a bug in one output must not end the others
            _log.warning("output %d %s: %r", self.id, self.spec.address, exc)
            self._set("reconnecting" if retried else "ended", "internal error")
            return retried
        return True

    @abstractmethod
    def _check(self) -> None:
        """Raise UsageError, DiskError if the request cannot work."""

    @abstractmethod
    def _prepare(self) -> None:
        """Queue from now on, before the connection, so that a file has all frames."""

    @abstractmethod
    def _release(self) -> None:
        """Undo `_prepare`."""

    @abstractmethod
    def _connection(self) -> None:
        """Connect, and write until the output is paused or ends. Raises MatteboxError."""

    @abstractmethod
    def _dropped(self) -> int: ...

    def _live(self) -> None:
        self._reconnects += self._was_live and self._state == "reconnecting"
        self._was_live = True
        self._set("live")

    def _transfer(self, ring: Ring[Any], write: Callable[[Any], None]) -> None:
        """Write what comes until the output ends or pauses; at the end of the video also what is still queued."""
        while not self._ending and not self._pausing:
            item = ring.take(_POLL_S)
            if item is not None:
                write(item)
            elif self._finishing:
                return

    def _set(self, state: State, reason: str = "") -> None:
        """Report each state once."""
        if (state, reason) == (self._state, self._reason):
            return
        self._state, self._reason, self._since_s = state, reason, time.time()
        try:
            self._on_state(self.status())
        except Exception as exc:  # noqa: BLE001 - of the callback; the output goes on
            _log.warning("output %d: %r", self.id, exc)

    def _spec(self) -> OutputSpec:
        """The request, for the next connection. A recording that is continued gets another name; players know a
        playlist by its name."""
        if self.spec.address.scheme != "file" or self._connections == 1 or is_playlist(self.spec.address):
            return self.spec
        path, number = self.spec.address.path, self._connections
        while (free := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
            number += 1
        return replace(self.spec, address=Address.file(free))


def _writer_class(spec: OutputSpec, protocol: OutputProtocol) -> Any:
    try:
        return find(protocol.writer)
    except ModuleNotFoundError as exc:
        raise UsageError(f"{spec.address.scheme}:// needs {exc.name}, which is not installed") from None
