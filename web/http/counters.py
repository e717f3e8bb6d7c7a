"""Prometheus counters of this web process: requests, connections and offers. Each application has its own registry."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STATIC, _NONE = "static", "none"  # instead of a route pattern: the pages' files; paths without a route
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Counters:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mattebox_http_requests", "requests by route, method and status", ["route", "method", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.connections = Gauge("mattebox_http_connections", "open connections", registry=self.registry)
        self.connections_closed = Counter(
            "mattebox_http_connections_closed",
            "connections that the server closed or refused, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.offers = Counter(
            "mattebox_offers", "offers by kind and result", ["kind", "result"], registry=self.registry
        )
        self.offer_seconds = Histogram(
            "mattebox_offer_seconds",
            "from an offer to its answer, in seconds",
            buckets=_SECONDS,
            registry=self.registry,
        )


class RequestCounter:
    """Middleware that counts responses by route pattern, so that arbitrary URLs do not create new label values."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app, self._counters = app, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._counters.requests.labels(_route(scope), method, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted)


def _route(scope: Scope) -> str:
    """The label of a request that was routed. All static files have one, because they are not part of the API."""
    if isinstance(scope.get("endpoint"), StaticFiles):
        return _STATIC
    return str(getattr(scope.get("route"), "path", _NONE))


_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
