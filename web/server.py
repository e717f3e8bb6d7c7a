"""Runs the application: where it listens and with which certificate, and how it stops."""

import asyncio
import ipaddress
import logging
import socket
from contextlib import suppress
from types import FrameType

import uvicorn

from stream.errors import MatteboxError, UsageError
from stream.records.live_store import LiveStore
from stream.settings import Settings
from stream.storage import open_storage
from web.app import create_app
from web.http.auth import read_tokens
from web.http.guard import is_loopback
from web.http.tls import certificate
from web.kept.gallery import PICTURES
from web.kept.shelf import Shelf
from web.kept.watch import JobWatch

_log = logging.getLogger(__name__)
_GRACE_S = 8
_KEEP_ALIVE_S = 20
_BACKLOG = 1024


class Server(uvicorn.Server):
    """One web process. The socket is bound when it is made, so `url` is true before it runs.

    tls: `off`, `auto` or `CERT,KEY`. Raises UsageError for an address that is taken or must not be served so,
    DiskError.
    """

    def __init__(self, settings: Settings, store: LiveStore, host: str, port: int, tls: str = "off") -> None:
        check_bind(settings, host)
        files = certificate(tls, settings.data_dir, host)
        self._socket = _bound(host, port)
        self._socket.listen(_BACKLOG)  # whoever reads `url` and comes at once waits until it runs
        scheme, bound = ("https" if files else "http"), self._socket.getsockname()[1]
        self.url = f"{scheme}://{_readable(host)}:{bound}"
        app = create_app(settings, store)
        self._watch: JobWatch = app.state.context.watch
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                access_log=False,  # links carry their right in the query, and that belongs in no log
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies or None,
                timeout_graceful_shutdown=_GRACE_S,
                timeout_keep_alive=_KEEP_ALIVE_S,
                ssl_certfile=files.chain if files else None,
                ssl_keyfile=files.key if files else None,
            )
        )

    async def run_until_stopped(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; a second signal does not wait for requests under way.

        When it returns no request uses the store any more, so that it can be closed.
        """
        await self.serve(sockets=[self._socket])
        if self.force_exit:
            await self._cut_off()
            await self.lifespan.shutdown()

    async def _cut_off(self) -> None:
        """End what is still under way: its clients see a broken connection, not an answer made up for them."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        left = list(self.server_state.tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; but streams of events end first, for they would not by themselves."""
        self._watch.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks, the second forces. Unlike uvicorn's, it does not kill the process afterwards."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run(settings: Settings, store: LiveStore, host: str, port: int, tls: str = "off") -> None:
    """Serve in this process until it is told to stop; closes the store. Raises UsageError, DiskError."""

    async def main() -> None:
        server = Server(settings, store, host, port, tls)
        print(f"Mattebox: {server.url}", flush=True)
        advise(server.url, host)
        painting = asyncio.create_task(_paint(Shelf(settings, open_storage(settings))))
        try:
            await server.run_until_stopped()
        finally:
            painting.cancel()
            await store.close()

    asyncio.run(main())


def advise(url: str, host: str) -> None:
    """Warn of a page that will be reached and then find no camera."""
    if url.startswith("http:") and not is_loopback(host):
        _log.warning(
            "browsers give their camera to https pages only: take --tls auto, or a proxy with a certificate before this"
        )


async def _paint(shelf: Shelf) -> None:
    """The gallery, before the first visitor: two seconds of work that would else slow down their first picture."""
    with suppress(MatteboxError, OSError):  # who asks for a picture is told
        for name in PICTURES:
            await asyncio.to_thread(shelf.gallery_thumbnail, name)


def check_bind(settings: Settings, host: str) -> None:
    """Beyond loopback, users have tokens. Raises UsageError."""
    if not is_loopback(host) and not read_tokens(settings):
        raise UsageError(
            f"--host {host} lets others in: set MATTEBOX_TOKEN=… (or MATTEBOX_TOKENS=name:token,…) first, and take "
            "--tls auto, for browsers give no camera to plain http pages"
        )


def check_free(host: str, port: int) -> int:
    """The port, or a free one for 0, if it can be listened on. Raises UsageError."""
    sock = _bound(host, port)
    number: int = sock.getsockname()[1]
    sock.close()
    return number


def _bound(host: str, port: int) -> socket.socket:
    # with its protocol said: asyncio sends small answers at once (TCP_NODELAY) on sockets that it knows to be TCP
    family = socket.AF_INET6 if _is_v6(host) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise UsageError(f"cannot listen on {host}:{port}: {exc.strerror}") from None
    return sock


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _readable(host: str) -> str:
    """As one writes it in a browser: where every address is listened on, this machine."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if _is_v6(host) else host
