"""HTTP of WHIP (RFC 9725) and WHEP clients: requests with a bearer token, redirects, ICE servers in Link headers.

Every request has a time limit, also for a server that sends byte by byte. Errors quote no address and no token.
"""

import asyncio
import http.client
import ipaddress
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal
from urllib.parse import SplitResult, urljoin

from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from stream.errors import FetchError, RemoteError
from stream.fetch import certificates
from stream.fetch.addresses import allowed
from stream.fetch.hosts import checked_addresses
from stream.fetch.urls import parsed
from stream.settings import Settings

_MAX_REDIRECTS = 5
_MAX_BODY = 2**18  # bytes
_MAX_SERVERS = 8
_MAX_LINK = 4096  # characters of a Link header that are read
_MAX_RETRY_S = 300
_LINK = re.compile(r'<([^<>\s]+)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]+))*)')
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]+))')
_REFUSALS = {
    400: "the server refused the offer (400)",
    401: "wrong token (401)",
    403: "wrong token (403)",
    404: "not found (404)",
    405: "this is no {protocol} address (405)",
    406: "the server supports none of the offered codecs (406)",
    409: "the name is in use (409)",
    415: "this is no {protocol} address (415)",
    422: "the server supports none of the offered codecs (422)",
    429: "too many requests (429)",
    503: "the server is busy (503)",
}
_REFUSALS_OF_WHEP = {404: "nothing is published there yet (404)"}


@dataclass(frozen=True)
class Reply:
    """url: that which answered, after redirects."""

    status: int
    headers: Message
    body: bytes
    url: str


class WhipHttp:
    """token: "" for none. insecure: accept any certificate. limit_s: of each request. strict: connect only to addresses
    that users of the service may name (`checked_addresses`). protocol: for the texts of errors. Every method can raise
    RemoteError."""

    def __init__(
        self,
        token: str,
        insecure: bool,
        settings: Settings,
        limit_s: float,
        strict: bool = False,
        protocol: Literal["WHIP", "WHEP"] = "WHIP",
    ) -> None:
        self._token, self._insecure, self._settings, self._limit_s = token, insecure, settings, limit_s
        self._strict, self._protocol = strict, protocol

    async def request(self, method: str, url: str, body: bytes | None = None) -> Reply:
        """Send a request; follows 307 and 308, which repeat the method and the body."""
        for _ in range(_MAX_REDIRECTS + 1):
            reply = await self._once(method, url, body)
            if reply.status not in (307, 308) or "Location" not in reply.headers:
                return reply
            url = self.resolve(url, reply.headers["Location"])
        raise RemoteError("too many redirects")

    def resolve(self, base: str, location: str) -> str:
        """The address in a Location header. Refuses one to which the token must not be sent: without encryption where
        `base` has it, or of a kind that is no web server."""
        url = urljoin(base, location.strip())
        parts, before = parsed(url, ("http", "https")), parsed(base, ("http", "https"))
        if parts is None or before is None or (before.scheme == "https" != parts.scheme):
            raise RemoteError("the server redirects to an address that is not allowed")
        if parts.hostname != before.hostname:
            _check_host(parts)
        return url

    def refusal(self, reply: Reply) -> RemoteError:
        """The error for a response that is no success."""
        status = reply.status
        if status in (401, 403) and not self._token:
            reason = f"a token is required ({status})"
        elif status < 400:
            reason = f"the server's answer cannot be read ({status})"
        else:
            kind = "has an internal error" if status >= 500 else "refused the request"
            texts = _REFUSALS | (_REFUSALS_OF_WHEP if self._protocol == "WHEP" else {})
            reason = texts.get(status, f"the server {kind} ({status})").format(protocol=self._protocol)
        error = RemoteError(reason)
        after = reply.headers.get("Retry-After", "").strip()
        if status in (429, 503) and after.isascii() and after.isdecimal() and len(after) < 9:
            error.retry_after_s = min(int(after), _MAX_RETRY_S)
        return error

    async def _once(self, method: str, url: str, body: bytes | None) -> Reply:
        parts = parsed(url, ("http", "https"))
        if parts is None:
            raise RemoteError("the address is invalid")
        connection = self._connection(parts)
        if self._strict:
            await self._check(connection, str(parts.hostname))
        try:
            exchange = asyncio.to_thread(self._exchange, connection, method, parts, body)
            return await asyncio.wait_for(exchange, self._limit_s)
        except TimeoutError:
            raise RemoteError(f"the server did not answer within {self._limit_s:g} s") from None
        except ssl.SSLCertVerificationError as exc:
            raise RemoteError(f"its certificate is not trusted ({certificates.reason(exc)})") from None
        except ssl.SSLError:
            raise RemoteError("the server does not answer over HTTPS") from None
        except socket.gaierror:
            raise RemoteError("the host is unknown") from None
        except OSError as exc:
            raise RemoteError((exc.strerror or "the server cannot be reached").lower()) from None
        except (http.client.HTTPException, ValueError):
            raise RemoteError("the server's answer cannot be read") from None
        finally:
            if connection.sock is not None:
                with suppress(OSError):  # ends the thread's call, if the time is over
                    connection.sock.shutdown(socket.SHUT_RDWR)

    async def _check(self, connection: http.client.HTTPConnection, host: str) -> None:
        """Let the connection use a checked address only: the name is not resolved again. Raises RemoteError."""
        try:
            first, *_ = await asyncio.to_thread(checked_addresses, host, "the server", self._settings)
        except FetchError:
            raise RemoteError("the server's address is not allowed") from None
        dialled: Any = connection  # http.client has no public way to do this
        dialled._create_connection = lambda at, *rest: socket.create_connection((first, at[1]), *rest)

    async def named_servers(self, reply: Reply) -> list[RTCIceServer]:
        """The ICE servers that a response names, if connections to them are allowed."""
        return await self.usable(ice_servers(reply.headers))

    async def usable(self, servers: list[RTCIceServer]) -> list[RTCIceServer]:
        """The ICE servers of these with a valid address to which connections are allowed."""
        return await asyncio.to_thread(lambda: [server for server in servers if self._is_usable(server)])

    def _is_usable(self, server: RTCIceServer) -> bool:
        try:
            host = str(parse_stun_turn_uri(str(server.urls))["host"]).strip("[]")
            if self._strict:
                return bool(checked_addresses(host, "an ICE server", self._settings))
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (ValueError, FetchError, OSError):
            return False
        return all(allowed(str(entry[4][0]), private=True) for entry in entries)

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = str(parts.hostname)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=self._limit_s)
        context = certificates.tls_context(self._settings, self._insecure)
        return http.client.HTTPSConnection(host, parts.port, timeout=self._limit_s, context=context)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, parts: SplitResult, body: bytes | None
    ) -> Reply:
        headers = {"User-Agent": "Mattebox", "Accept": "application/sdp", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/sdp"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read(_MAX_BODY), parts.geturl())
        finally:
            connection.close()


def ice_servers(headers: Message) -> list[RTCIceServer]:
    """The servers of Link headers with rel="ice-server" (RFC 9725, section 4.6)."""
    found = []
    for line in headers.get_all("Link", [])[:_MAX_SERVERS]:
        for url, text in _LINK.findall(line[:_MAX_LINK]):
            values = {name.lower(): re.sub(r"\\(.)", r"\1", a) or b for name, a, b in _PARAMETER.findall(text)}
            if "ice-server" in values.get("rel", "").split() and re.match(r"(stun|turn)s?:", url):
                found.append(RTCIceServer(url, values.get("username"), values.get("credential")))
    return found[:_MAX_SERVERS]


def _check_host(parts: SplitResult) -> None:
    """Raise RemoteError if a host that a server named has an address that is never allowed (`addresses`). Blocks for
    a name server, shortly: such hosts are rare."""
    try:
        entries = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RemoteError("the server redirects to an unknown host") from None
    if not all(allowed(str(entry[4][0]), private=True) for entry in entries):
        raise RemoteError("the server redirects to an address that is not allowed")


def is_loopback(host: str) -> bool:
    """Whether a host is certainly this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
