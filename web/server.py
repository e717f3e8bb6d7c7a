"""Runs the application: listening address, certificate and shutdown."""

import asyncio
import errno
import ipaddress
import logging
import resource
import socket
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from stream import private
from stream.errors import MatteboxError, UsageError
from stream.loops import start
from stream.records.live_store import LiveStore
from stream.records.redis_check import guarded
from stream.serve.heartbeat import beating
from stream.settings import Settings
from stream.storage import open_storage
from web.app import create_app
from web.context import Context
from web.http.admission import Listener, log_exhaustion
from web.http.auth import read_tokens
from web.http.connections import Connection, Connections, OncePerSecondEach
from web.http.guard import is_loopback
from web.http.threads import in_picture_thread
from web.http.tls import certificate
from web.stores.backgrounds import BackgroundStore
from web.stores.painted_backgrounds import PICTURES

_log = logging.getLogger(__name__)
_GRACE_S = 8
_KEEP_ALIVE_S = 20
_BACKLOG = 1024
_TICKS = 3  # between checks of the connections' deadlines
_OTHER_FILES = 64  # descriptors kept for Redis, logs and files
_uvicorn_log = logging.getLogger("uvicorn.error")
_RARE_WARNINGS = OncePerSecondEach()


class Server(uvicorn.Server):
    """The server of one web process. The constructor binds the socket, so `url` is valid before it runs.

    tls: `off`, `auto` or `CERT,KEY`. Raises UsageError if the address is in use or would be served without tokens,
    DiskError if the certificate cannot be written.
    """

    def __init__(self, settings: Settings, store: LiveStore, host: str, port: int, tls: str = "off") -> None:
        check_bind(settings, host)
        files = certificate(tls, settings.data_dir, host)
        app = create_app(settings, store)
        here: Context = app.state.context
        self._watch = here.watch
        self.connections = Connections(
            settings, connection_limit(settings), lambda reason: here.counters.connections_closed.labels(reason).inc()
        )
        here.counters.connections.set_function(lambda: len(self.connections.admission))
        self._socket = Listener(_bound(host, port), self.connections.admission, tls=files is not None)
        self._socket.listen(_BACKLOG)  # clients that connect before it runs wait in the backlog
        scheme, bound = ("https" if files else "http"), self._socket.getsockname()[1]
        self.url = f"{scheme}://{_readable(host)}:{bound}"
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                backlog=_BACKLOG,
                lifespan="on",
                log_config=None,
                access_log=False,  # links carry a token in their query, which must not be logged
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies or None,
                timeout_graceful_shutdown=_GRACE_S,
                timeout_keep_alive=_KEEP_ALIVE_S,
                ssl_certfile=files.chain if files else None,
                ssl_keyfile=files.key if files else None,
            )
        )
        self.server_state = self.connections

    async def run_until_stopped(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; a second signal aborts the requests in progress.

        After it returns no request uses the store, so that it can be closed.
        """
        asyncio.get_running_loop().set_exception_handler(_log_loop_error)
        _uvicorn_log.addFilter(_RARE_WARNINGS)
        await self.serve(sockets=[self._socket])
        if self.force_exit:
            await self._abort()
            await self.lifespan.shutdown()

    async def _abort(self) -> None:
        """Drop all connections: their clients see a broken connection, not an error response."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls it ten times a second."""
        if counter % _TICKS == 0:
            self.connections.enforce()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Like uvicorn's, but first closes the event streams, which would not end by themselves."""
        self._watch.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Exit gracefully at the first signal, at once at the second. Unlike uvicorn's, it does not re-raise them."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run(settings: Settings, store: LiveStore, host: str, port: int, tls: str = "off") -> None:
    """Serve in this process until it is stopped, then close the store.

    Raises UsageError, DiskError, and ServerError when Redis cannot be used (`redis_check`).
    """

    async def main() -> None:
        private.check_folder(settings.data_dir)
        open_storage(settings).check()
        server = Server(settings, store, host, port, tls)
        print(f"Mattebox: {server.url}", flush=True)
        advise(server.url, host)
        gallery = start(_prepare_gallery(BackgroundStore(settings, open_storage(settings))), _log)
        async with beating():
            try:
                await guarded(store.link, server.run_until_stopped(), server.stop)
            finally:
                gallery.cancel()
                await store.close()

    asyncio.run(main())


def connection_limit(settings: Settings) -> int:
    """The setting, or less if this process may not open enough descriptors. A request may open a file too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    return min(settings.max_connections, max(1, (soft - _OTHER_FILES) // 2))


def _log_loop_error(loop: asyncio.AbstractEventLoop, report: dict[str, Any]) -> None:
    if not log_exhaustion(report):
        loop.default_exception_handler(report)


def advise(url: str, host: str) -> None:
    """Warn if browsers can reach the page, but will not let it use the camera."""
    if url.startswith("http:") and not is_loopback(host):
        _log.warning(
            "browsers allow the camera on https pages only: use --tls auto, or a reverse proxy with a certificate"
        )


async def _prepare_gallery(background_store: BackgroundStore) -> None:
    """Paint the gallery before the first visitor needs it, which takes two seconds."""
    with suppress(MatteboxError, OSError):  # reported when the picture is requested
        for name in PICTURES:
            await in_picture_thread(background_store.gallery_thumbnail, name)


_LISTEN_HINTS = {
    errno.EADDRINUSE: "; is mattebox already running? Choose another --port, or 0 for any free one",
    errno.EACCES: "; ports below 1024 need special rights, choose another --port",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine",
}


def check_bind(settings: Settings, host: str) -> None:
    """Require access tokens if `host` is not loopback. Raises UsageError."""
    if not is_loopback(host) and not read_tokens(settings):
        raise UsageError(
            f"--host {host} makes the server reachable by others: set MATTEBOX_TOKEN=… (or "
            "MATTEBOX_TOKENS=name:token,…) first, and use --tls auto, because browsers allow the camera on https "
            "pages only"
        )


def check_free(host: str, port: int) -> int:
    """The port, or a free one if it is 0. Raises UsageError if it cannot be listened on."""
    sock = _bound(host, port)
    number: int = sock.getsockname()[1]
    sock.close()
    return number


def _bound(host: str, port: int) -> socket.socket:
    # with an explicit protocol: asyncio sets TCP_NODELAY only on sockets that it knows to be TCP
    family = socket.AF_INET6 if _is_v6(host) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        hint = _LISTEN_HINTS.get(exc.errno or 0, "")
        raise UsageError(f"cannot listen on {host}:{port}: {exc.strerror}{hint}") from None
    return sock


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _readable(host: str) -> str:
    """The host to write in a URL; `localhost` if the server listens on all addresses."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if _is_v6(host) else host
