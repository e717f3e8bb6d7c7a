"""A TCP relay on loopback in front of a server, which cuts connections off as bad networks do."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay(socketserver.ThreadingTCPServer):
    """cut_after: bytes from clients after which the network fails; None: never. failed: set from then on, while every
    connection is closed at once; cleared to repair the network."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.cut_after: int | None = None
        self.failed = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def passes(self, length: int) -> bool:
        """Count bytes from a client. Returns whether they may be sent on."""
        with self._lock:
            if self.cut_after is not None:
                self.cut_after -= length
                if self.cut_after <= 0:
                    self.cut_after = None
                    self.failed.set()
            return not self.failed.is_set()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        if self.server.failed.is_set():
            return
        with socket.create_connection(self.server.target) as onward:
            back = threading.Thread(target=_copy, args=(onward, self.request), daemon=True)
            back.start()
            with suppress(OSError):  # either end has closed
                while (content := self.request.recv(16384)) and self.server.passes(len(content)):
                    onward.sendall(content)
            for end in (onward, self.request):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relaying(host: str, port: int) -> Iterator[Relay]:
    with Relay((host, port)) as relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
