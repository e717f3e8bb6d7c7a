"""How the outcome of connections reaches the records and the worker's counts."""

import logging
from collections.abc import Iterator

import pytest

from stream.loops import Loops
from stream.records.live import SessionKind, SessionState
from tests.servers import RedisServer, asynctest, start_server
from tests.stream.records.live import connecting, new, stores
from workers.live.sessions import Sessions


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    yield from start_server("valkey")


async def _end(session_id: str, reason: str) -> None:
    raise AssertionError("no name was taken")


@asynctest
async def test_connections_that_fail_are_counted_by_cause(server: RedisServer) -> None:
    causes = ("dtls_failed", "connect_timeout", "connect_timeout", "bye")
    async with stores(server) as (store,):
        loops = Loops(logging.getLogger(__name__), "")
        sessions, records = Sessions("w1", store, loops), []
        for cause in causes:
            session = await connecting(store, store, new(SessionKind.PUBLISH, name="cam"))
            sessions.hold(session)
            sessions.connection_changed(session.id, "closed", cause, _end)
            await loops.settle(5.0)
            records.append(await store.session(session.id))
        assert sessions.failures == {"dtls_failed": 1, "connect_timeout": 2}
        assert [record and record.reason for record in records] == list(causes)
        states = [record and record.state for record in records]
        assert states == [SessionState.FAILED] * 3 + [SessionState.ENDED]
