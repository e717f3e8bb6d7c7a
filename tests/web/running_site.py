"""A complete web server on loopback for tests, in a thread: real uvicorn, real Redis, and a worker double."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from stream.records.live_store import LiveStore
from stream.records.redis_link import RedisLink
from stream.settings import Settings
from tests.waiting import PATIENCE_S, until
from tests.web.live_worker_double import Double
from web.context import Context
from web.server import Server

T = TypeVar("T")
HOST = "127.0.0.1"
_PATIENT = {"offer_wait_s": 60.0} | dict.fromkeys(
    ("headers_timeout_s", "body_timeout_s", "unread_timeout_s"), PATIENCE_S
)
"""Time limits of a site, unless its test sets them: no test may fail because the machine is slow."""


class Site:
    """url: the server's address. worker: the double, or None."""

    def __init__(
        self,
        settings: Settings,
        redis: str | RedisLink,
        port: int = 0,
        worker: bool = True,
        tls: str = "off",
        host: str = HOST,
    ) -> None:
        patient = {name: limit_s for name, limit_s in _PATIENT.items() if name not in settings.model_fields_set}
        settings = settings.model_copy(update=patient)
        self._loop = asyncio.new_event_loop()
        self.store = LiveStore(redis)
        self.server = Server(settings, self.store, host, port, tls)
        self.url = self.server.url
        self.worker = Double(LiveStore(redis)) if worker else None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        worker = asyncio.create_task(self.worker.run()) if self.worker else None
        await self.server.run_until_stopped()
        if worker is not None and self.worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
            await self.worker._store.close()
        await self.store.close()

    @property
    def context(self) -> Context:
        """The context of the server's routes."""
        here: Context = self.server.config.app.state.context  # type: ignore[union-attr]
        return here

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the server's event loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def start(self) -> None:
        self._thread.start()
        with self.client() as client:
            until(lambda: self._answers(client), "the site starts")

    def _answers(self, client: httpx.Client) -> bool:
        try:
            return client.get("/readyz" if self.worker else "/livez").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._loop.close()

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S, verify=False)


@contextmanager
def running(settings: Settings, redis: str | RedisLink, **kwargs: Any) -> Iterator[Site]:
    site = Site(settings, redis, **kwargs)
    site.start()
    try:
        yield site
    finally:
        site.stop()
