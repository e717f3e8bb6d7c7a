"""Cross-origin access to WHIP and WHEP: pages of other sites may publish and view, but never as a signed-in visitor.

What such a page may do is decided by the credentials that it sends itself: an access token, or a signed link. A
browser adds cookies by itself, so cookies of foreign pages are not passed on, and `Access-Control-Allow-Credentials` is
never sent. Where the server has no access tokens, anyone who reaches it is its user: there a foreign page needs a
signed link in the address, which can also be verified in a preflight, or an origin in MATTEBOX_ORIGINS.
"""

from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.http.auth import COOKIE, bearer_token
from web.http.guard import is_own_origin

METHODS = "DELETE, OPTIONS, PATCH, POST"
REQUEST_HEADERS = "Authorization, Content-Type, ETag, If-Match"
"""ETag is no header of requests, but @eyevinn/whip-web-client sends it with its candidates."""
EXPOSED = (
    "Accept-Patch, Accept-Post, Access-Control-Allow-Methods, Allow, ETag, Link, Location, Retry-After, "
    "WWW-Authenticate"
)
"""Access-Control-Allow-Methods: @eyevinn/whip-web-client sends candidates only where it can read PATCH in it."""
_PREFLIGHT = {"Access-Control-Allow-Headers": REQUEST_HEADERS, "Access-Control-Max-Age": "600"}


class CrossOrigin:
    """Answers CORS preflights below `paths`, and adds the headers of CORS to all responses there, errors included.

    open: no access tokens are set. origins: further allowed origins. is_link: whether a text is the token of a valid
    signed link. To be added outside `OriginCheck`, which refuses the requests that are not let through here.
    """

    def __init__(
        self, app: ASGIApp, paths: Collection[str], open: bool, origins: Collection[str], is_link: Callable[[str], bool]
    ) -> None:
        self._app, self._paths, self._open, self._origins, self._is_link = app, tuple(paths), open, origins, is_link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        allowed = None if origin is None else self._allowed(scope, origin)
        if allowed is None:
            await self._app(scope, receive, send)
        elif _is_preflight(scope):
            await Response(status_code=204, headers=allowed | _PREFLIGHT)(scope, receive, send)
        else:
            self._drop_cookies(scope)
            await self._app(scope, receive, _adding(allowed, send))

    def _allowed(self, scope: Scope, origin: str) -> dict[str, str] | None:
        """The headers that allow a page of `origin` to make this request; None where it may not."""
        if not scope["path"].startswith(self._paths):
            return None
        headers = {"Access-Control-Expose-Headers": EXPOSED}
        if scope["method"] == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = METHODS
        if not self._open:
            return headers | {"Access-Control-Allow-Origin": "*"}
        if self._is_own(scope) or self._is_link(_link(scope)):
            return headers | {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return None

    def _is_own(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        return is_own_origin(headers["origin"], headers.get("host", ""), self._origins)

    def _drop_cookies(self, scope: Scope) -> None:
        """Make a foreign page's request one that a program sends, without Origin and cookies. One that has a visitor's
        cookie and no credentials of its own is left as it is, for `OriginCheck` to refuse."""
        request = Request(scope)
        has_own = bool(_link(scope) or bearer_token(request.headers))
        if not self._is_own(scope) and (has_own or COOKIE not in request.cookies):
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in (b"origin", b"cookie")]


def _link(scope: Scope) -> str:
    """The token in the address, which `Gate` reads in the same way; "" without one."""
    return QueryParams(scope["query_string"]).get("token", "")


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)


def _adding(headers: dict[str, str], send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return add
