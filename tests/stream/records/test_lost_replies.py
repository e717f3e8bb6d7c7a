"""Scripts that Redis ran, but whose replies were lost in an outage."""

import asyncio
from typing import Any

import pytest

from stream.errors import StoreDown
from stream.records.live import Answer, SessionState
from stream.records.live_store import LiveStore
from stream.records.redis_link import RedisLink
from tests.servers import RedisServer, asynctest
from tests.stream.records.live import new, stores


class LosingLink(RedisLink):
    """Loses the reply to the next call of some scripts. lost: their names."""

    lost: set[str]

    async def run(self, name: str, *values: str | float) -> Any:
        reply = await super().run(name, *values)
        if name in self.lost:
            self.lost.remove(name)
            raise StoreDown("no reply in time")
        return reply


@asynctest
async def test_an_offer_whose_reply_was_lost_is_taken_by_the_next_call(server: RedisServer) -> None:
    link = LosingLink(server.url)
    link.lost = {"live/take"}
    worker = LiveStore(link)
    async with stores(server) as (web,):
        session = new()
        waiting = asyncio.create_task(web.offer(session, "v=0", 10))
        with pytest.raises(StoreDown):
            await worker.take("w1", 5)
        taken = await worker.take("w1", 0)
        assert taken is not None
        assert (taken[0].id, taken[0].fence) == (session.id, 1)
        await worker.reply(taken[0], Answer(sdp="v=1"))
        assert await waiting == Answer(sdp="v=1")
        assert await worker.take("w1", 0) is None
    await worker.close()


@asynctest
async def test_an_offer_whose_client_was_told_of_an_outage_is_withdrawn(server: RedisServer) -> None:
    link = LosingLink(server.url)
    web = LiveStore(link)
    async with stores(server) as (worker,):
        for early in (False, True):
            link.lost = {"live/offer"}
            session = new()
            with pytest.raises(StoreDown):
                await web.offer(session, "v=0", 10)
            taken = await worker.take("w1", 0) if early else None
            await web.reap()
            if taken is not None:
                assert await worker.renew([taken[0]]) == {session.id}, "the worker is to end it"
            assert await worker.take("w1", 0) is None
            found = await web.session(session.id)
            assert found is not None
            assert (found.state, found.reason) == (SessionState.FAILED, "no_answer" if early else "no_worker")
    await web.close()
