"""A TLS connection for a library that does not verify certificates: FFmpeg accepts any for RTMP over TLS, whatever its
options say.

The library connects to a port on loopback without TLS; Python's `ssl` makes the connection to the server.
"""

import contextlib
import socket
import ssl
import threading

from stream.fetch.certificates import ca_file
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
        self._context = _unverified() if insecure else ssl.create_default_context(cafile=ca_file(settings))
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_ACCEPT_S)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, name="tls", daemon=True).start()

    def close(self) -> None:
        """Disconnect. From any thread, more than once."""
        for connection in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _run(self) -> None:
        try:
            with self._listener:
                client, _ = self._listener.accept()
            self._sockets.append(client)
            server = self._connected()
        except OSError:
            self.close()
            return
        self._sockets.append(server)
        threading.Thread(target=self._copy, args=(server, client), name="tls receiver", daemon=True).start()
        self._copy(client, server)

    def _connected(self) -> ssl.SSLSocket:
        try:
            plain = socket.create_connection(self._server, self._timeout_s)
            self._sockets.append(plain)
            server = self._context.wrap_socket(plain, server_hostname=self._server[0])
        except ssl.SSLCertVerificationError as exc:
            self.reason = f"its certificate is not trusted ({exc.verify_message})"
            raise
        except ssl.SSLError:
            self.reason = "the receiver does not use TLS"
            raise
        except OSError as exc:
            self.reason = str(exc.strerror or "the host is unknown or cannot be reached").lower()
            raise
        server.settimeout(None)
        return server

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while block := source.recv(_BLOCK):
                target.sendall(block)
        self.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
