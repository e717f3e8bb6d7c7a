"""One SRT connection, as a file object of MPEG-TS: a child process, and the reason for its end.

The child has its own process group and ends with the thread that created the connection, which is also the one to read
or write. Only `close` may be called from any thread: it ends a read or write that waits. The child's messages quote the
address, so they are never passed on.
"""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import Self

from stream.serve.die_with_parent import tied
from stream.serve.ready import WRITABLE, ready
from stream.srt.address import SrtAddress
from stream.srt.programs import PACKET, Command, CommandFor, Program, find_program

_GOODBYE_S = 0.5  # for a child to end the connection in order; else the other side notices it after 5 s
_KILLED_S = 2.0
_OVERDUE_S = 2.0  # after its limit on connecting, a child that neither connected nor ended hangs
_CHECK_S = 0.05
_FLUSH_S = 2.0  # at most, for packets that were written and not yet delivered
_LINE = 4096  # bytes of a message
_NOTHING = (b"\x47\x1f\xff\x10" + bytes(184)) * (PACKET // 188)  # empty packets of MPEG-TS

_REASONS = (
    ("Incorrect passphrase", "wrong passphrase"),
    ("BADSECRET", "wrong passphrase"),
    ("Password required or unexpected", "one side has a passphrase and the other has none"),
    ("UNSECURE", "one side has a passphrase and the other has none"),
    ("Failed to resolve hostname", "the host is unknown"),
    ("srt_connect: Operation not supported: Bad parameters", "the host is unknown"),  # of srt-live-transmit
    ("Address already in use", "the port is in use"),
    ("Cannot assign requested address", "the host is not an address of this machine"),
    ("srt_bind: ", "the port is in use, or the host is not an address of this machine"),
    ("REJECT", "the other side refused the connection"),
)
"""Text in a message of the program -> reason. The first of this list that was found is reported."""


class _SrtConnection:
    """connected: set once the other side has answered."""

    def __init__(self, address: SrtAddress, command_for: CommandFor, connect_s: float, stdin: int, stdout: int) -> None:
        self.connected = threading.Event()
        self._address = address
        self._reason = len(_REASONS)  # index in `_REASONS`
        self._using, self._closing, self._closed = threading.Lock(), threading.Lock(), False
        self._gave_up = False
        command, secrets = self._command(command_for, connect_s)
        try:
            self._process = subprocess.Popen(
                tied(command.argv),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(secrets,),
                env={name: value for name, value in os.environ.items() if name != "FFREPORT"},  # logs the address
                start_new_session=True,
            )
        finally:
            os.close(secrets)
        self._connected_texts = tuple(text.encode() for text in command.connected)
        self._messages = threading.Thread(target=self._read_messages, name="srt messages", daemon=True)
        self._messages.start()
        self._overdue = threading.Timer(connect_s + _OVERDUE_S, self._give_up)
        self._overdue.daemon = True
        if address.mode == "caller":
            self._overdue.start()

    def _give_up(self) -> None:
        """Kill a child that still runs and has not connected. One that has ended keeps its own reason."""
        if not self.connected.is_set() and self._process.poll() is None:
            self._gave_up = True
            self.kill()

    def _command(self, command_for: CommandFor, connect_s: float) -> "tuple[Command, int]":
        """The command, and the descriptor from which the child reads its secrets."""
        secrets, written = os.pipe()
        try:
            command = command_for(self._address, connect_s, secrets)
            os.write(written, command.secrets.encode())
        except BaseException:
            os.close(secrets)
            raise
        finally:
            os.close(written)
        return command, secrets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def seekable(self) -> bool:
        return False

    @property
    def waits_for_caller(self) -> bool:
        """Whether nobody has called this listener yet: no time limit applies to it."""
        return self._address.mode == "listener" and not self.connected.is_set() and self._process.poll() is None

    @property
    def reason(self) -> str:
        """Why the connection ended, or was not made; "" while it has not ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_S)  # its pipes may be closed before it ends
        if self._process.poll() is None:
            return ""
        self._messages.join(_GOODBYE_S)
        if self._reason < len(_REASONS):
            return _REASONS[self._reason][1]
        if self.connected.is_set():
            return "the other side closed the connection"
        if self._address.mode == "listener":
            return "nobody called"
        return "the other side did not answer" if self._gave_up else "nobody listens at this address"

    def kill(self) -> None:
        """End the child. A read or write that waits returns or raises soon. From any thread."""
        self._end(signal.SIGTERM, _GOODBYE_S)
        self._end(signal.SIGKILL, _KILLED_S)

    def close(self) -> None:
        """End the connection within about 3 s, and release everything. Idempotent."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._overdue.cancel()
                self.kill()
                with self._using:  # a read or write that waited has ended with the process
                    for file in (self._process.stdin, self._process.stdout):
                        if file is not None:
                            file.close()
                self._messages.join(_KILLED_S)

    def _end(self, number: signal.Signals, wait_s: float) -> None:
        """Send a signal to the process group, also to what is left of it after the child's end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)

    def _read_messages(self) -> None:
        """Read the child's stderr to its end, so that it never waits, and keep the reason only."""
        assert self._process.stderr is not None
        with os.fdopen(os.dup(self._process.stderr.fileno()), "rb") as lines:
            self._process.stderr.close()
            while line := lines.readline(_LINE):
                if not self.connected.is_set():
                    self._note(line)

    def _note(self, line: bytes) -> None:
        if any(text in line for text in self._connected_texts):
            self._reason = len(_REASONS)  # of an earlier caller, who was refused
            self.connected.set()
            return
        for index, (text, _) in enumerate(_REASONS[: self._reason]):
            if text.encode() in line:
                self._reason = index
                break


class SrtReader(_SrtConnection):
    """Receives MPEG-TS: `av.open(reader, format="mpegts")`.

    connect_s: limit on connecting as a caller; a listener waits without limit. program: by default the first on PATH.
    Raises UsageError if there is none.
    """

    def __init__(self, address: SrtAddress, connect_s: float, program: Program | None = None) -> None:
        command_for = (program or find_program()).read
        super().__init__(address, command_for, connect_s, subprocess.DEVNULL, subprocess.PIPE)

    def read(self, size: int = -1) -> bytes:
        """The bytes that have arrived, at most `size`; waits for the first. Empty at the end of the connection."""
        assert self._process.stdout is not None
        with self._using:
            return b"" if self._closed else self._process.stdout.read(size) or b""


class SrtWriter(_SrtConnection):
    """Sends MPEG-TS: `av.open(writer, "w", format="mpegts", options={"flush_packets": "1"})`.

    Arguments as for `SrtReader`. stall_s: limit on the time in which the child accepts nothing.
    """

    def __init__(
        self, address: SrtAddress, connect_s: float, program: Program | None = None, stall_s: float = 10.0
    ) -> None:
        self._stall_s = stall_s
        command_for = (program or find_program()).write
        super().__init__(address, command_for, connect_s, subprocess.PIPE, subprocess.DEVNULL)
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def connect(self) -> None:
        """Wait until the other side has answered; a listener waits without limit. Before the first `write`, because
        srt-live-transmit discards what it gets earlier. Raises ConnectionError with the reason."""
        self._send(_NOTHING)  # ffmpeg connects when it has something to send
        while not self.connected.wait(_CHECK_S):
            if self._process.poll() is not None:
                raise ConnectionError(self.reason)

    def write(self, data: bytes) -> int:
        """Send bytes, a multiple of 188. Raises ConnectionError with the reason, or TimeoutError."""
        view = memoryview(data)
        for start in range(0, len(view), PACKET):  # so short a write to a pipe is never split
            self._send(view[start : start + PACKET])
        return len(view)

    def _send(self, packet: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        deadline_s = time.monotonic() + self._stall_s
        try:
            with self._using:
                while not self._process.stdin.write(packet):
                    ready(self._process.stdin.fileno(), WRITABLE, _CHECK_S)
                    if time.monotonic() > deadline_s:
                        raise TimeoutError(f"the child has accepted nothing for {self._stall_s:g} s")
        except TimeoutError:
            raise
        except (OSError, ValueError):  # ValueError: closed meanwhile
            raise ConnectionError(self.reason) from None

    def close(self) -> None:
        """End the connection, after the last packets have been delivered. Takes up to 5 s."""
        if self.connected.is_set() and not self._closed:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(min(self._address.latency_ms / 1000 + 0.1, _FLUSH_S))
        super().close()
