"""A TLS connection for a library that does not verify certificates: FFmpeg accepts any for RTMP over TLS, whatever its
options say.

The library connects to a port on loopback without TLS; Python's `ssl` makes the connection to the server. A thread
passes everything on.
"""

import contextlib
import selectors
import socket
import ssl
import threading

from stream.fetch.certificates import reason, tls_context
from stream.settings import Settings

_BLOCK = 65_536
_ACCEPT_S = 30.0


class TlsTunnel:
    """Passes the first connection to `port` (of 127.0.0.1) on to the server. Raises UsageError if no certificate
    authorities are known, unless `insecure`: then every certificate is accepted.

    reason: why no connection was made, "" if there is no reason known. timeout_s: of connecting.
    """

    def __init__(self, host: str, port: int, settings: Settings, insecure: bool, timeout_s: float) -> None:
        self.reason = ""
        self._server, self._timeout_s = (host, port), timeout_s
        self._context = tls_context(settings, insecure)
        self._sockets: list[socket.socket] = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_ACCEPT_S)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, name="tls", daemon=True).start()

    def close(self) -> None:
        """Disconnect. From any thread, more than once."""
        self._closing = True
        for connection in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # that of SSLSocket ends its encryption only
        self._listener.close()

    def _run(self) -> None:
        try:
            with self._listener:
                client, _ = self._listener.accept()
            self._sockets.append(client)
            with client, self._connected() as server:
                if not self._closing:
                    _relay(client, server)
                self.close()
        except OSError:
            for connection in self._sockets:
                connection.close()

    def _connected(self) -> ssl.SSLSocket:
        try:
            plain = socket.create_connection(self._server, self._timeout_s)
            server = self._context.wrap_socket(plain, False, False, server_hostname=self._server[0])
            self._sockets.append(server)
            server.do_handshake()
        except ssl.SSLCertVerificationError as exc:
            self.reason = f"its certificate is not trusted ({reason(exc)})"
            raise
        except ssl.SSLError:
            self.reason = "the receiver does not use TLS"
            raise
        except OSError as exc:
            self.reason = str(exc.strerror or "the host is unknown or cannot be reached").lower()
            raise
        return server


def _relay(client: socket.socket, server: ssl.SSLSocket) -> None:
    """Copy both ways until one side closes.

    In one thread: OpenSSL does not allow two at a time in one connection, and in Python 3.13.6 sending waits for a
    thread that receives. Raises OSError.
    """
    flows = _Flow(client, server), _Flow(server, client)
    for connection in (client, server):
        connection.setblocking(False)
    while not any(flow.ended for flow in flows):
        waiting = [flow.step() for flow in flows]
        if all(waiting):
            _wait([wish for wish in waiting if wish])


_Wish = tuple[socket.socket, int]
"""A connection, and what to wait for: `EVENT_READ` or `EVENT_WRITE`."""


class _Flow:
    """One direction. ended: the source has closed, and all was sent."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self._source, self._target = source, target
        self._block = b""
        self.ended = False

    def step(self) -> _Wish | None:
        """Receive a block, or send what can be sent of it. Returns what to wait for if nothing can be done now."""
        active = self._target if self._block else self._source
        try:
            if self._block:
                self._block = self._block[self._target.send(self._block) :]
            else:
                self._block = self._source.recv(_BLOCK)
                self.ended = not self._block
        except ssl.SSLWantReadError:  # TLS may have to read in order to send
            return active, selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return active, selectors.EVENT_WRITE
        except BlockingIOError:
            return active, selectors.EVENT_WRITE if self._block else selectors.EVENT_READ
        return None


def _wait(wishes: list[_Wish]) -> None:
    with selectors.DefaultSelector() as selector:
        for connection in {connection for connection, _ in wishes}:
            selector.register(connection, sum({event for other, event in wishes if other is connection}))
        selector.select()
