"""The streams that are live on this server as sources of feeds: a feed views them as a WHEP viewer does.

Offers and answers pass through Redis, as those of `web/live/whip.py` do; media goes from worker to worker, or within
one. A feed may view the streams of its owner only.
"""

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from stream.address import Address
from stream.errors import MatteboxError, NoSession, RemoteError, StoreDown, UsageError
from stream.limits import NAME
from stream.records.live import DELETED, NO_STREAM, Session, SessionKind
from stream.records.live_store import LiveStore
from stream.rtc import ice
from stream.rtc.signalling import IceServers
from stream.rtc.whep_source import WhepConnection
from stream.settings import Settings
from stream.sources.live.connections import Connect

_T = TypeVar("_T")


class Streams:
    """store: used on the event loop that runs when this is created."""

    def __init__(self, store: LiveStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._loop = asyncio.get_running_loop()

    def connecting(self, address: Address, owner: str) -> Connect:
        """Makes connections to the stream at an address `live:NAME`, for a feed of this owner. Raises UsageError."""
        name = address.name
        if not re.fullmatch(NAME, name):
            raise UsageError("write the address of a stream on this server as live:NAME")
        settings = self._settings

        def signalling() -> _Signalling:
            return _Signalling(name, owner, self._store, self._loop, settings)

        return lambda deliver, number: WhepConnection(signalling, settings, deliver, number)


class _Signalling:
    """As `Signalling` (`stream/rtc/signalling.py`). Used on the connection's loop; the store is used on its own one."""

    def __init__(
        self, name: str, owner: str, store: LiveStore, loop: asyncio.AbstractEventLoop, settings: Settings
    ) -> None:
        self._name, self._owner, self._store, self._loop = name, owner, store, loop
        self._settings = settings
        self._session = ""

    async def servers(self) -> IceServers:
        return ice.aiortc_servers(self._settings, "feed")

    async def offer(self, sdp: str) -> tuple[str, IceServers]:
        try:
            return await self._on_loop(self._placed(sdp)), []
        except RemoteError:
            raise
        except StoreDown:
            raise RemoteError("Redis is unavailable") from None
        except MatteboxError as exc:
            raise RemoteError(str(exc)) from None

    async def end(self) -> None:
        session, self._session = self._session, ""
        if session:
            with suppress(RemoteError):
                await self._on_loop(self._ended(session))

    async def _on_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except RuntimeError:  # the worker's loop is closed
            work.close()
            raise RemoteError("the worker is shutting down") from None

    # On the store's loop.

    async def _placed(self, sdp: str) -> str:
        """The answer of the stream's worker. Raises RemoteError, StoreDown."""
        nobody = f"nobody publishes {self._name}"
        stream = await self._store.stream(self._name)
        if stream is None or stream.owner != self._owner:
            raise RemoteError(nobody)
        viewer = Session(
            id=str(uuid4()),
            kind=SessionKind.VIEW,
            owner=self._owner,
            name=self._name,
            of=stream.id,
            options=stream.options,
        )
        self._session = viewer.id
        answer = await self._store.offer(viewer, sdp, self._settings.offer_wait_s)
        if answer is None:
            raise RemoteError(f"the worker of {self._name} does not answer")
        if answer.problem:
            raise RemoteError(nobody if answer.problem == NO_STREAM else answer.detail or answer.problem)
        return answer.sdp

    async def _ended(self, session: str) -> None:
        try:
            await self._store.end(session, DELETED)
        except (NoSession, StoreDown):  # its worker notices that the connection is closed
            return
