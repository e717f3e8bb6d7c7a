"""The check of Redis, with real servers that have the faults."""

from collections.abc import Iterator

import pytest

from stream.deployment.redis_server import check
from stream.finding import Finding
from stream.settings import Settings
from tests.servers import RedisServer, asynctest, free_port, start_server


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    yield from start_server("valkey", over_tcp=True)


async def findings(url: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check(Settings(redis_url=url))}


@asynctest
async def test_a_server_as_it_should_be(running: RedisServer) -> None:
    found = await findings(running.url)
    assert [finding.ok for finding in found.values()] == [True] * 3, found
    assert "accepts writes" in found["redis"].detail


@asynctest
async def test_eviction(running: RedisServer) -> None:
    with running.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert (await findings(running.url))["redis eviction"].ok is None, "there is no limit"
        client.config_set("maxmemory", "100mb")
        found = (await findings(running.url))["redis eviction"]
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
    assert found.ok is False
    assert "noeviction" in found.remedy


@asynctest
async def test_persistence(running: RedisServer) -> None:
    with running.client() as client:
        client.config_set("appendonly", "no")
        without = (await findings(running.url))["redis persistence"]
        client.config_set("save", "60 1000")
        snapshots = (await findings(running.url))["redis persistence"]
        client.config_set("save", "")
        client.config_set("appendonly", "yes")
    assert (without.ok, snapshots.ok) == (False, None)
    assert "appendonly yes" in without.remedy


@asynctest
async def test_a_user_without_permission_to_ask_is_no_fault(running: RedisServer) -> None:
    with running.client() as client:
        client.acl_setuser(
            "matte",
            enabled=True,
            passwords=["+pw"],
            keys=["mattebox:*"],
            channels=["mattebox:*"],
            categories=["+@all", "-@dangerous"],
        )
    found = await findings(running.url.replace("redis://", "redis://matte:pw@"))
    assert found["redis"].ok
    assert found["redis settings"].ok is None


@asynctest
async def test_a_server_that_is_not_there() -> None:
    found = await findings(f"redis://127.0.0.1:{free_port()}")
    assert found["redis"].ok is False
    assert "start it" in found["redis"].remedy


@asynctest
async def test_a_full_server(running: RedisServer) -> None:
    with running.client() as client:
        client.config_set("maxmemory", "1")
        found = await findings(running.url)
        client.config_set("maxmemory", "0")
    assert found["redis"].ok is False


@asynctest
async def test_a_wrong_password(running: RedisServer) -> None:
    found = await findings(running.url.replace("redis://", "redis://matte:wrong@"))
    assert found["redis"].ok is False
    assert "password" in found["redis"].detail


@asynctest
async def test_without_an_address() -> None:
    assert [finding.ok for finding in await check(Settings())] == [None]


@asynctest
async def test_sentinels_that_are_not_there(running: RedisServer) -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/main"
    found = await findings(url)
    assert found["redis"].ok is False
    assert found["redis sentinel"].ok is False
    assert "0 of 2" in found["redis sentinel"].detail
