"""HTTP requests to URLs from users, with protection against server-side request forgery (SSRF).

Every IP address of a host name is checked, and the connection goes to a checked address, so that DNS rebinding has no
effect. Redirects pass the same checks. Blocks: call it in a thread. Messages contain only scheme, host and path of a
URL, never user, password or query.
"""

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from stream import private
from stream.errors import FetchError, TooLarge, disk_error, is_disk_trouble
from stream.fetch.hosts import checked_addresses
from stream.fetch.urls import parsed
from stream.settings import Settings

_MAX_REDIRECTS = 5
_CONNECT_S = 10.0
_SILENCE_S = 30.0
_HEADERS_S = 45.0  # limit for the response headers, also if they arrive byte by byte
_CHUNK = 2**18
_GRACE_S = 60.0
_MIN_BYTES_PER_S = 50_000  # average over a whole download, with `_GRACE_S` seconds to spare
_REDIRECTS = (301, 302, 303, 307, 308)
_SAFE = "/%:@!$&'()*+,;=~-._?"


class Endpoint(NamedTuple):
    """A URL with its host's resolved and checked IP addresses."""

    url: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def path(self) -> str:
        query = f"?{self.url.query}" if self.url.query else ""
        return quote((self.url.path or "/") + query, safe=_SAFE)

    def login(self) -> dict[str, str]:
        """The Authorization header for a user and password in the URL; empty where there are none."""
        if self.url.username is None:
            return {}
        credentials = f"{unquote(self.url.username)}:{unquote(self.url.password or '')}"
        return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}


def fetch(url: str, folder: Path, settings: Settings, stopped: Callable[[], bool] = lambda: False) -> Path:
    """Download `url` to a new file in `folder` and return its path; the file is removed after an error.

    stopped: called for each chunk; once it returns True the download is aborted (FetchError). Raises FetchError,
    TooLarge (over max_upload_bytes), DiskError.
    """
    path = folder / f"fetched-{token_hex(8)}"
    try:
        with request("GET", url, settings) as response:
            if response.status != 200:
                raise FetchError(f"{redacted_url(url)} returned {response.status} {response.reason[:40]}")
            _save(response, path, settings.max_upload_bytes, url, stopped)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _save(response: http.client.HTTPResponse, path: Path, limit: int, url: str, stopped: Callable[[], bool]) -> None:
    if (response.length or 0) > limit:
        raise TooLarge(f"{redacted_url(url)} has {response.length:,} bytes; the limit is {limit:,}")
    expected, received = response.length, 0
    try:
        with private.create(path) as file:
            for chunk in _chunks(response, limit, url):
                file.write(chunk)
                received += len(chunk)
                if stopped():
                    raise FetchError(f"{redacted_url(url)} was cancelled")
    except (http.client.HTTPException, OSError) as exc:
        if isinstance(exc, OSError) and is_disk_trouble(exc):
            raise disk_error(exc, path) from exc
        raise FetchError(f"{redacted_url(url)} broke off after {received:,} bytes ({_reason(exc)})") from None
    if expected is not None and received < expected:
        raise FetchError(f"{redacted_url(url)} broke off after {received:,} of {expected:,} bytes")


def _chunks(response: http.client.HTTPResponse, limit: int, url: str) -> Iterator[bytes]:
    received, began_s = 0, time.monotonic()
    while chunk := response.read1(_CHUNK):
        received += len(chunk)
        if received > limit:
            raise TooLarge(f"{redacted_url(url)} has more than {limit:,} bytes")
        if time.monotonic() - began_s > _GRACE_S + received / _MIN_BYTES_PER_S:
            raise FetchError(f"{redacted_url(url)} sends too slowly")
        yield chunk


@contextmanager
def request(
    method: str,
    url: str,
    settings: Settings,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    silence_s: float | None = None,
    own_host: str = "",
    tls: ssl.SSLContext | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """The response of `url`; a GET follows redirects. Raises FetchError, also after `silence_s` without data.

    own_host: a host that may have a private address. tls: how certificates are verified; by default as Python does.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        endpoint = resolve(url, settings, own_host)
        with closing(_PinnedConnection(endpoint, silence_s or _SILENCE_S, tls)) as connection:
            with closing(_response(connection, method, endpoint, body, headers or {})) as response:
                location = response.getheader("Location") if response.status in _REDIRECTS and method == "GET" else None
                if location is None:
                    yield response
                    return
            url = urljoin(url, location)
    raise FetchError(f"{redacted_url(url)}: more than {_MAX_REDIRECTS} redirects")


def _response(
    connection: "_PinnedConnection", method: str, endpoint: Endpoint, body: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    defaults = {"User-Agent": "Mattebox", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    try:
        with _time_limit(connection):
            connection.request(method, endpoint.path, body, defaults | endpoint.login() | dict(headers))
            return connection.getresponse()
    except (http.client.HTTPException, OSError, ValueError) as exc:
        raise FetchError(f"{redacted_url(endpoint.url.geturl())} cannot be reached ({_reason(exc)})") from None


@contextmanager
def _time_limit(connection: "_PinnedConnection") -> Iterator[None]:
    """Shut the connection down after `_HEADERS_S`: a server that sends single bytes would never time out."""
    expired = threading.Event()

    def end() -> None:
        expired.set()
        if connection.sock is not None:
            with suppress(OSError):  # already closed
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_HEADERS_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (http.client.HTTPException, OSError):  # such as a reset, because the server went on sending
        if not expired.is_set():
            raise
    finally:
        timer.cancel()
    if expired.is_set():  # what was received may look like a complete response
        raise TimeoutError


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to a checked address of the host; TLS certificates are checked against its name."""

    def __init__(self, endpoint: Endpoint, silence_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self._endpoint, self._silence_s, self._tls = endpoint, silence_s, tls
        self.default_port = 443 if endpoint.url.scheme == "https" else 80

    def connect(self) -> None:
        self.sock = self._connect_to_any()
        if self._endpoint.url.scheme == "https":
            self._start_tls()
        self.sock.settimeout(self._silence_s)

    def _start_tls(self) -> None:
        context, host = self._tls or ssl.create_default_context(), self._endpoint.host
        tls_socket = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        self.sock = tls_socket  # set before the handshake, so that the time limit covers it
        tls_socket.do_handshake()

    def _connect_to_any(self) -> socket.socket:
        failed: OSError = OSError("the host has no address")
        for address in self._endpoint.addresses:
            try:
                return socket.create_connection((address, self._endpoint.port), timeout=_CONNECT_S)
            except OSError as exc:
                failed = exc
        raise failed


def resolve(url: str, settings: Settings, own_host: str = "") -> Endpoint:
    """Resolve and check the host's addresses, without connecting. own_host: as in `request`, also without a network.

    Raises FetchError with the reason.
    """
    parts = _split(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Endpoint(parts, host, port, checked_addresses(host, redacted_url(url), settings, host == own_host))


def _split(url: str) -> SplitResult:
    parts = parsed(url, ("http", "https"))
    if parts is None or any(c.isspace() or not c.isprintable() for c in url):
        raise FetchError("a URL must begin with http:// or https:// and have a host")
    return parts


def redacted_url(url: str) -> str:
    """The URL for logs and messages: only scheme, host and path, at most 200 characters."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"[:200]
    except ValueError:
        return "the address"


def _reason(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    text = getattr(exc, "verify_message", "") or getattr(exc, "strerror", None) or type(exc).__name__
    return str(text)[:120]
