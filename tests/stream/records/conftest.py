from collections.abc import Iterator

import pytest

from stream.records import lifetimes, scripts
from tests.servers import RedisServer, start_server


@pytest.fixture(scope="session", params=["valkey", "redis"])
def running(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    yield from start_server(request.param)


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """An empty server, shared by tests that leave it running."""
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture(params=["valkey", "redis"])
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that the test may stop."""
    yield from start_server(request.param)


@pytest.fixture
def short_lives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leases and heartbeats of a fraction of a second, so that tests need not wait for real ones."""
    for name, value in {"LEASE_S": 0.2, "GRACE_S": 0.2, "BEAT_S": 0.2, "CLAIM_MS": 50}.items():
        monkeypatch.setattr(lifetimes, name, value)
    scripts.script.cache_clear()
    yield
    scripts.script.cache_clear()
