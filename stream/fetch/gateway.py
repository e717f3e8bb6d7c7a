"""An HTTP proxy on loopback through which FFmpeg opens addresses that users of the service give.

FFmpeg follows redirects and playlists by itself, and resolves host names again. Through this proxy every request passes
the rules of `addresses.py`, and goes to an address that was checked. Only programs of this process know its password.
"""

import os
import secrets
import select
import socket
import threading
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult

from stream.errors import FetchError
from stream.fetch.hosts import checked_addresses
from stream.fetch.urls import parsed
from stream.settings import Settings

_CONNECT_S = 10.0
_SILENCE_S = 60.0  # a connection without data in both directions for this long is closed
_CHUNK = 2**16
_OWN_HEADERS = ("proxy-authorization", "proxy-connection", "connection")


class Gateway:
    """Serves from its creation until `close`. url: for FFmpeg's option `http_proxy`, with the password."""

    def __init__(self, settings: Settings) -> None:
        if exceptions := os.environ.pop("no_proxy", ""):  # FFmpeg would bypass this proxy for these hosts
            os.environ.setdefault("NO_PROXY", exceptions)  # Python's libraries read this one too
        password = secrets.token_hex(16)
        expected = f"Basic {b64encode(f'feed:{password}'.encode()).decode()}"

        class Handler(_Handler):
            rules, authorization = settings, expected

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://feed:{password}@127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="gateway", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request: CONNECT for https, any other method with a complete URL for http."""

    rules: Settings
    authorization: str
    protocol_version = "HTTP/1.1"
    timeout = _CONNECT_S  # for the request itself

    def do_CONNECT(self) -> None:
        self._forward(parsed(f"https://{self.path}", ("https",)), 443, connects=True)

    def do_GET(self) -> None:
        self._forward(parsed(self.path, ("http",)), 80, connects=False)

    do_HEAD = do_GET  # noqa: N815

    def _forward(self, parts: SplitResult | None, default_port: int, connects: bool) -> None:
        self.close_connection = True
        if not secrets.compare_digest(self.headers.get("Proxy-Authorization", ""), self.authorization):
            self._demand_password()
            return
        remote = None if parts is None else self._connected(parts, default_port)
        if parts is None or remote is None:
            return
        with remote:
            if connects:
                self.send_response(200)
                self.end_headers()
            else:
                remote.sendall(self._head(parts))
            with suppress(OSError):
                _exchange(self.connection, remote)

    def _demand_password(self) -> None:
        """FFmpeg sends the password only when it is asked for it."""
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="mattebox"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _connected(self, parts: SplitResult, default_port: int) -> socket.socket | None:
        """A connection to a checked address of the host; None: refused, which was answered."""
        host, port = parts.hostname or "", parts.port or default_port
        try:
            addresses = checked_addresses(host, "the address", self.rules)
        except FetchError:
            self.send_error(403)
            return None
        for address in addresses:
            with suppress(OSError):
                return _dialled(address, port)
        self.send_error(502)
        return None

    def _head(self, parts: SplitResult) -> bytes:
        """The request as the server gets it."""
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        kept = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS]
        lines = [f"{self.command} {path} HTTP/1.1", *kept, "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: addresses may contain secrets."""


def _dialled(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=_CONNECT_S)


def _exchange(client: socket.socket, remote: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    sides = {client.fileno(): (client, remote), remote.fileno(): (remote, client)}
    poll = select.poll()  # `select.select` fails for descriptors above 1023
    for descriptor in sides:
        poll.register(descriptor, select.POLLIN)
    while ready := poll.poll(_SILENCE_S * 1000):
        for descriptor, _ in ready:
            side, other = sides[descriptor]
            data = side.recv(_CHUNK)
            if not data:
                return
            other.sendall(data)
