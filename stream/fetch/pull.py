"""Ask addresses that users name, without being led into the network behind this machine.

Every address of a name is checked, and the connection goes to a checked one itself: a name that answers differently
the second time gains nothing. Redirects pass the same checks. Blocks: call it in a thread. What a URL carries besides
host and path (user, password, query) appears in no message.
"""

import http.client
import ipaddress
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

from stream.errors import FetchError, TooLarge, disk_error, is_disk_trouble
from stream.fetch.addresses import parsed
from stream.settings import Settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
REDIRECTS = 5
_CONNECT_S = 10.0
_SILENCE_S = 30.0
_ANSWER_S = 45.0  # until the headers of an answer are there, however busily a server sends them
_CHUNK = 2**18
_PATIENCE_S = 60.0
_SLOWEST_BPS = 50_000  # bytes a second over the whole of a fetch, once that patience is used up
_MOVED = (301, 302, 303, 307, 308)
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SAFE = "/%:@!$&'()*+,;=~-._?"


class Place(NamedTuple):
    """Where a URL leads: all that a connection needs, its addresses checked."""

    url: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def path(self) -> str:
        query = f"?{self.url.query}" if self.url.query else ""
        return quote((self.url.path or "/") + query, safe=_SAFE)

    def login(self) -> dict[str, str]:
        """What a user and password in the URL stand for."""
        if self.url.username is None:
            return {}
        said = f"{unquote(self.url.username)}:{unquote(self.url.password or '')}"
        return {"Authorization": f"Basic {b64encode(said.encode()).decode()}"}


def fetch(url: str, folder: Path, settings: Settings, stopped: Callable[[], bool] = lambda: False) -> Path:
    """The video at `url` as a file in `folder`, under a name made here; nothing is left of one that fails.

    stopped: asked now and then; once it says so, the rest is not fetched (FetchError). Raises FetchError, TooLarge
    (over max_upload_bytes), DiskError.
    """
    path = folder / f"fetched-{token_hex(8)}"
    try:
        with ask("GET", url, settings) as answer:
            if answer.status != 200:
                raise FetchError(f"{shown(url)} answers {answer.status} {answer.reason[:40]}")
            _save(answer, path, settings.max_upload_bytes, url, stopped)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _save(answer: http.client.HTTPResponse, path: Path, limit: int, url: str, stopped: Callable[[], bool]) -> None:
    if (answer.length or 0) > limit:
        raise TooLarge(f"{shown(url)} has {answer.length:,} bytes; the limit is {limit:,}")
    expected, received = answer.length, 0
    try:
        with path.open("xb") as file:
            for piece in _pieces(answer, limit, url):
                file.write(piece)
                received += len(piece)
                if stopped():
                    raise FetchError(f"{shown(url)} is not wanted any more")
    except (http.client.HTTPException, OSError) as exc:
        if isinstance(exc, OSError) and is_disk_trouble(exc):
            raise disk_error(exc, path) from exc
        raise FetchError(f"{shown(url)} broke off after {received:,} bytes ({_words(exc)})") from None
    if expected is not None and received < expected:
        raise FetchError(f"{shown(url)} broke off after {received:,} of {expected:,} bytes")


def _pieces(answer: http.client.HTTPResponse, limit: int, url: str) -> Iterator[bytes]:
    received, began_s = 0, time.monotonic()
    while piece := answer.read1(_CHUNK):
        received += len(piece)
        if received > limit:
            raise TooLarge(f"{shown(url)} has more than {limit:,} bytes")
        if time.monotonic() - began_s > _PATIENCE_S + received / _SLOWEST_BPS:
            raise FetchError(f"{shown(url)} sends too slowly")
        yield piece


@contextmanager
def ask(
    method: str,
    url: str,
    settings: Settings,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    silence_s: float | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """The answer of whoever `url` leads to; a GET follows redirects. Raises FetchError, after `silence_s` seconds in
    which nothing came, too."""
    for _ in range(REDIRECTS + 1):
        place = resolve(url, settings)
        with closing(_PinnedConnection(place, silence_s or _SILENCE_S)) as connection:
            with closing(_answer(connection, method, place, body, headers or {})) as answer:
                moved = answer.getheader("Location") if answer.status in _MOVED and method == "GET" else None
                if moved is None:
                    yield answer
                    return
            url = urljoin(url, moved)
    raise FetchError(f"{shown(url)}: more than {REDIRECTS} redirects")


def _answer(
    connection: "_PinnedConnection", method: str, place: Place, body: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    sent = {"User-Agent": "Mattebox", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    try:
        with _in_time(connection):
            connection.request(method, place.path, body, sent | place.login() | dict(headers))
            return connection.getresponse()
    except (http.client.HTTPException, OSError, ValueError) as exc:
        raise FetchError(f"{shown(place.url.geturl())} cannot be reached ({_words(exc)})") from None


@contextmanager
def _in_time(connection: "_PinnedConnection") -> Iterator[None]:
    """Ends it after a while: a server that sends a byte now and then is never silent, and never done."""
    late = threading.Event()

    def end() -> None:
        late.set()
        if connection.sock is not None:
            with suppress(OSError):  # it is closed already
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_ANSWER_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if late.is_set():  # what came before may have looked like an answer
        raise TimeoutError


class _PinnedConnection(http.client.HTTPConnection):
    """To a checked address, by whatever name; TLS certificates are for the name."""

    def __init__(self, place: Place, silence_s: float) -> None:
        super().__init__(place.host, place.port)
        self._place, self._silence_s = place, silence_s
        self.default_port = 443 if place.url.scheme == "https" else 80

    def connect(self) -> None:
        self.sock = self._first_that_answers()
        if self._place.url.scheme == "https":
            self._seal()
        self.sock.settimeout(self._silence_s)

    def _seal(self) -> None:
        context, host = ssl.create_default_context(), self._place.host
        sealed = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        self.sock = sealed  # before its hands are shaken, which may take for ever too
        sealed.do_handshake()

    def _first_that_answers(self) -> socket.socket:
        failed: OSError = OSError("it has no address")
        for address in self._place.addresses:
            try:
                return socket.create_connection((address, self._place.port), timeout=_CONNECT_S)
            except OSError as exc:
                failed = exc
        raise failed


def resolve(url: str, settings: Settings) -> Place:
    """Look the address up and check it, without opening a connection to it. Raises FetchError with the reason."""
    parts = _split(url)
    if settings.offline:
        raise FetchError("MATTEBOX_OFFLINE is set: nothing is fetched")
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(f"{shown(url)}: there is no such host") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allowed(address, settings.allow_private_urls):
            raise FetchError(f"{shown(url)}: addresses of this machine or a private network are not asked")
    return Place(parts, host, port, addresses)


def _split(url: str) -> SplitResult:
    parts = parsed(url, ("http", "https"))
    if parts is None or any(c.isspace() or not c.isprintable() for c in url):
        raise FetchError("an address begins with http:// or https:// and names a host")
    return parts


def allowed(text: str, private: bool = False) -> bool:
    """May this IP address be asked? Addresses that hold another one within are as good as that."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_allowed(a, private) for a in (address, *_within(address)))


def _allowed(address: IpAddress, private: bool) -> bool:
    never = address.is_multicast or address.is_unspecified or address.is_link_local or address == _BROADCAST
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return not never and (private or bool(_within(address)) or (address.is_global and not site))


def _within(address: IpAddress) -> list[IpAddress]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[IpAddress | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [a for a in found if a is not None]


def shown(url: str) -> str:
    """As it may be written in logs and answers: scheme, host and path."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"[:200]
    except ValueError:
        return "the address"


def _words(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    text = getattr(exc, "verify_message", "") or getattr(exc, "strerror", None) or type(exc).__name__
    return str(text)[:120]
