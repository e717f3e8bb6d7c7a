"""Live sessions for tests of the live store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from stream.records.live import Answer, Session, SessionKind, SessionState
from stream.records.live_store import LiveStore
from tests.servers import RedisServer
from tests.waiting import PATIENCE_S


def new(kind: SessionKind = SessionKind.CAMERA, **fields: str) -> Session:
    return Session.model_validate({"id": str(uuid4()), "kind": kind} | fields)


@asynccontextmanager
async def stores(server: RedisServer, count: int = 1) -> AsyncIterator[list[LiveStore]]:
    async with AsyncExitStack() as cleanup:
        opened = [LiveStore(server.url) for _ in range(count)]
        for store in opened:
            cleanup.push_async_callback(store.close)
        yield opened


async def connecting(web: LiveStore, worker: LiveStore, session: Session, name: str = "w1") -> Session:
    """The session, taken and answered by a worker."""
    waiting = asyncio.create_task(web.offer(session, "v=0", PATIENCE_S))
    taken = await worker.take(name, PATIENCE_S)
    assert taken is not None
    await worker.reply(taken[0], Answer(sdp="v=1"))
    assert await waiting == Answer(sdp="v=1")
    return taken[0]


async def live(web: LiveStore, worker: LiveStore, session: Session, name: str = "w1") -> Session:
    return await worker.move(await connecting(web, worker, session, name), SessionState.LIVE)
