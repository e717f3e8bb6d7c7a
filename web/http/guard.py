"""Middleware that checks every request's Host, Origin and body size, and adds security headers to every response.

Knows nothing about users. Without access tokens the server listens on loopback only, and Host is checked so that no
web site can reach it through a domain name of its own (DNS rebinding). Origin is always checked, so that no other site
can use a visitor's cookie (CSRF).
"""

import asyncio
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.http.problems import Problem

MAX_BODY = 128 * 1024  # bytes; a browser's SDP offer has about 8 KB
_BODY_S = 10.0
_SAFE = ("GET", "HEAD", "OPTIONS")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the security headers, and `Cache-Control: no-store` where the response sets no other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, add)


class OriginCheck:
    """Rejects requests from other sites' pages; with `loopback_only` also requests whose Host is not loopback.

    origins: further allowed origins, such as `https://studio.example`; needed behind a proxy that changes Host.
    """

    def __init__(self, app: ASGIApp, loopback_only: bool, origins: Collection[str]) -> None:
        self._app, self._loopback_only, self._origins = app, loopback_only, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._refusal(scope["method"], Headers(scope=scope))
        await (problem.response() if problem else self._app)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._loopback_only and not is_loopback(hostname(host)):
            return Problem(403, "host", "this server accepts requests to localhost only, because it has no tokens set")
        if method not in _SAFE and origin is not None and not is_own_origin(origin, host, self._origins):
            return Problem(403, "origin", "requests from other sites' pages are not allowed")
        return None


def is_own_origin(origin: str, host: str, origins: Collection[str]) -> bool:
    """Whether a request's Origin is that of the server, by its Host, or one of `origins`."""
    return origin in origins or origin.partition("://")[2].lower() == host.lower() != ""


def hostname(host: str) -> str:
    """The host name in a Host header, without port and brackets; "" if it is invalid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    return name in ("localhost", "::1") or name.endswith(".localhost") or _is_127(name)


def _is_127(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(p.isdecimal() and p.isascii() for p in parts)


class BodyLimit:
    """Rejects bodies over `limit` bytes (413), bodies that take more than 10 s to arrive (408), and bodies with two
    lengths (400).

    exempt: paths without the first two limits, with everything below them, because they stream their body under their
    own limit. own_limit: whether a request is exempt for the same reason.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        exempt: Collection[str] = (),
        own_limit: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        self._app, self._limit, self._exempt, self._own_limit = app, limit, exempt, own_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exempt, headers = self._is_exempt(scope["path"]) or self._own_limit(scope), Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            await _two_lengths().response()(scope, receive, send)
        elif not exempt and self._declared(headers) > self._limit:
            await self._too_large().response()(scope, receive, send)
        else:
            await self._app(scope, receive if exempt else self._counted(receive), send)

    def _is_exempt(self, path: str) -> bool:
        return any(path == exempt or path.startswith(f"{exempt}/") for exempt in self._exempt)

    def _declared(self, headers: Headers) -> int:
        length = headers.get("content-length", "0")
        return int(length) if length.isdecimal() and length.isascii() and len(length) < 20 else 0

    def _counted(self, receive: Receive) -> Receive:
        left = self._limit
        deadline = asyncio.get_running_loop().time() + _BODY_S
        complete = False

        async def counted() -> Message:
            nonlocal left, complete
            if complete:
                return await receive()
            message = await self._receive_by(deadline, receive)
            left -= len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if left < 0:
                raise self._too_large()
            return message

        return counted

    @staticmethod
    async def _receive_by(deadline: float, receive: Receive) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError:
            raise Problem(408, "slow", "the request body did not arrive in time", Connection="close") from None

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"the request body is larger than {self._limit // 1024} KiB")


def _two_lengths() -> Problem:
    """A proxy may see another end of such a request, and so pass on what follows as the next one (request smuggling).
    The connection is closed, as RFC 9112, section 6.3 requires."""
    detail = "a request has either Content-Length or Transfer-Encoding, not both"
    return Problem(400, "two_lengths", detail, Connection="close")
