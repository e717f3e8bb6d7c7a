"""Writes packets through a child process, which opens the connection and can be killed.

FFmpeg's writing calls hang for as long as a peer is frozen, whatever time limits are set. Here they hang in the child
(`push_child.py`); this side writes to its pipe with a time limit, and kills it. The address, which may contain a
password or a stream key, is sent through the pipe, never as an argument.
"""

import errno as numbers
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from stream.address import Address
from stream.errors import MatteboxError, RemoteError, disk_error, is_disk_trouble
from stream.fetch import certificates
from stream.fetch.certificates import tls_options
from stream.fetch.tls_tunnel import TlsTunnel
from stream.serve.die_with_parent import tied
from stream.serve.ready import READABLE, WRITABLE, ready
from stream.settings import Settings
from stream.sinks.live import reasons
from stream.sinks.live.base import EncodeControl
from stream.sinks.live.packets import Packet, Tracks
from stream.sinks.live.protocols import OutputProtocol, protocol_of
from stream.sinks.live.spec import OutputSpec

CHILD = Path(__file__).with_name("push_child.py")
FRAME = struct.Struct("<BBqqqI")  # track, key, pts, dts, duration, size of the data; as in push_child.py
LENGTH = struct.Struct("<I")
_POLL_S = 0.1
_END_S = 3.0
_RTMPS_PORT, _RTSPS_PORT = 443, 322


@dataclass(frozen=True)
class PushRequest:
    """What the child opens. url: complete, with secrets. muxer, options: FFmpeg's.

    command: a program that gets the muxer's output on its standard input instead; indexed: the path of an MP4 file that
    gets it instead (`parts/indexed_mp4.py`). `url` is then not used.
    """

    url: str = field(repr=False)
    muxer: str
    options: dict[str, str] = field(default_factory=dict, repr=False)
    command: list[str] = field(default_factory=list, repr=False)
    indexed: str = ""


class PushWriter:
    """A `PacketWriter` for everything that FFmpeg muxes. Subclasses change `request`."""

    @classmethod
    def check(cls, spec: OutputSpec, settings: Settings) -> None:
        spec.address.check_host()

    @classmethod
    def from_spec(cls, spec: OutputSpec, settings: Settings, control: EncodeControl) -> Self:
        return cls(spec, settings)

    def __init__(self, spec: OutputSpec, settings: Settings) -> None:
        self._spec, self._settings = spec, settings
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None  # the one that uses the pipes, and closes them
        self._aborted = False
        self._answers = b""
        self._tunnel: TlsTunnel | None = None

    def request(self) -> PushRequest:
        """What to open. Raises MatteboxError."""
        protocol, address = protocol_of(self._spec.address), self._spec.address
        if protocol.tls == "tunnel":
            return self._through_tunnel(protocol)
        options = tls_options(self._settings, self._spec.insecure) if protocol.tls else {}
        return PushRequest(_url(address, protocol.options), protocol.muxer, protocol.options | options)

    def _through_tunnel(self, protocol: OutputProtocol) -> PushRequest:
        """A request for RTMP to a tunnel, in which the server's own address is named as RTMP requires it."""
        parts = urlsplit(self._spec.address.url)
        host, port = str(parts.hostname), parts.port or _RTMPS_PORT
        self._tunnel = TlsTunnel(host, port, self._settings, self._spec.insecure, self._settings.output_timeout_s)
        user, at, server = parts.netloc.rpartition("@")
        url = parts._replace(scheme="rtmp", netloc=f"{user}{at}127.0.0.1:{self._tunnel.port}").geturl()
        names = parts.path.removeprefix("/").split("/")
        application = "/".join(names[:-1][:2])
        options = {"rtmp_tcurl": f"rtmps://{server}/{application}"}
        return PushRequest(url, protocol.muxer, protocol.options | options)

    def open(self, tracks: Tracks) -> None:
        self._thread = threading.current_thread()
        self._start()
        request = json.dumps(asdict(self.request())).encode()
        self._send(LENGTH.pack(len(request)) + request + LENGTH.pack(len(tracks.header)) + tracks.header)
        self._await_open()

    def write(self, packet: Packet) -> None:
        track = 0 if packet.kind == "video" else 1
        head = FRAME.pack(track, packet.key, packet.pts, packet.dts, packet.duration, len(packet.data))
        self._send(head + packet.data)

    def close(self) -> None:
        child = self._running()
        assert child.stdin is not None
        with suppress(OSError):
            child.stdin.close()
        try:
            code = child.wait(self._end_s)
        except subprocess.TimeoutExpired:
            self.abort()
            raise RemoteError(reasons.FROZEN.format(self._end_s)) from None
        if code:
            raise self._failure()
        self._discard()

    _end_s = _END_S  # for the child to write what is buffered

    def abort(self) -> None:
        self._aborted = True
        child = self._child
        if child is not None and child.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if threading.current_thread() is self._thread:
            self._discard()

    def _start(self) -> None:
        argv = tied([sys.executable, "-P", str(CHILD)])
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        if self._aborted:
            self.abort()

    def _send(self, data: bytes) -> None:
        """Write to the child. Raises RemoteError if it accepts nothing for the time limit, or has ended."""
        child, rest = self._running(), memoryview(data)
        assert child.stdin is not None
        pipe, progress_s = child.stdin.fileno(), time.monotonic()
        while rest:
            writable = ready(pipe, WRITABLE, _POLL_S)
            if self._aborted:
                raise RemoteError(reasons.ABORTED)
            if writable:
                try:
                    rest = rest[os.write(pipe, rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._failure() from None
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > self._settings.output_timeout_s:
                self.abort()
                raise RemoteError(reasons.FROZEN.format(self._settings.output_timeout_s))

    def _await_open(self) -> None:
        """Wait until the child has opened the output."""
        deadline_s = time.monotonic() + self._settings.output_timeout_s
        while b"\n" not in self._answers:
            if time.monotonic() > deadline_s:
                self.abort()
                raise RemoteError(reasons.MUTE.format(self._settings.output_timeout_s))
            if not self._read_answers():
                raise self._failure()
        line, _, self._answers = self._answers.partition(b"\n")
        if json.loads(line) != {"state": "open"}:
            self._answers = line
            raise self._failure()

    def _read_answers(self) -> bool:
        """Read what the child has written, waiting a little. Returns whether there may be more."""
        child = self._running()
        assert child.stdout is not None
        readable = ready(child.stdout.fileno(), READABLE, _POLL_S)
        if self._aborted:
            raise RemoteError(reasons.ABORTED)
        if not readable:
            return True
        found = os.read(child.stdout.fileno(), 4096)
        self._answers += found
        return bool(found)

    def _failure(self) -> MatteboxError:
        """The error for the child's end, and the end of the child."""
        deadline_s = time.monotonic() + _END_S
        with suppress(RemoteError):
            while time.monotonic() < deadline_s and self._read_answers():
                pass
        self.abort()
        try:
            told = json.loads(self._answers.splitlines()[-1])
        except (ValueError, IndexError):
            return RemoteError(reasons.DIED)
        return self.failure(told.get("error", ""), int(told.get("errno", 0)), bool(told.get("opened")))

    def failure(self, name: str, errno: int, opened: bool) -> MatteboxError:
        """The error to raise for an error of the child. name: of the class, in `av.error` or built in."""
        if self._tunnel is not None and self._tunnel.reason:
            return RemoteError(self._tunnel.reason)
        if errno == numbers.EIO and not opened and (problem := self._certificate_problem()):
            return RemoteError(f"its certificate is not trusted ({problem})")
        return RemoteError(reasons.of_error(name, errno, opened, self._spec.address.has_user))

    def _certificate_problem(self) -> str:
        """FFmpeg does not say what is wrong with a certificate."""
        if self._spec.insecure or protocol_of(self._spec.address).tls != "ffmpeg":
            return ""
        parts = urlsplit(self._spec.address.url)
        return certificates.problem(
            str(parts.hostname), parts.port or _RTSPS_PORT, self._settings, self._settings.output_timeout_s
        )

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            raise RemoteError(reasons.ABORTED)
        return self._child

    def _discard(self) -> None:
        """Close the pipes and the tunnel."""
        if self._tunnel is not None:
            self._tunnel.close()
        if self._child is not None:
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _url(address: Address, options: dict[str, str]) -> str:
    """The address for FFmpeg, which reads the options of UDP only from the address itself."""
    if address.scheme != "udp" or "pkt_size=" in address.url:
        return address.url
    return f"{address.url}{'&' if '?' in address.url else '?'}pkt_size={options['pkt_size']}"


def disk_failure(errno: int, path: object) -> MatteboxError | None:
    """A DiskError if the number means trouble with a file; else None."""
    exc = OSError(errno, os.strerror(errno))
    return disk_error(exc, path) if is_disk_trouble(exc) else None
