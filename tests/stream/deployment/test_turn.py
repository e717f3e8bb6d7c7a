"""Relays asked for at a real TURN server."""

from collections.abc import Iterator

import pytest

from stream.deployment import turn as turn_check
from stream.deployment.turn import check
from stream.settings import Settings
from tests.coturn import TURNSERVER, Turn, turn_server
from tests.servers import asynctest, free_port

needs_coturn = pytest.mark.skipif(TURNSERVER is None, reason="coturn is not installed")


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    with turn_server(tmp_path_factory.mktemp("turn")) as running:
        yield running


@needs_coturn
@asynctest
async def test_relays_over_udp_and_tcp(turn: Turn) -> None:
    found = await check(Settings.model_validate(turn.settings))
    assert [finding.ok for finding in found] == [True, True]
    assert all("relay at 127.0.0.1" in finding.detail for finding in found)


@needs_coturn
@asynctest
async def test_a_wrong_secret(turn: Turn) -> None:
    found = await check(Settings.model_validate(turn.settings | {"turn_secret": "another"}))
    assert [finding.ok for finding in found] == [False, False]
    assert all("MATTEBOX_TURN_SECRET" in finding.remedy for finding in found)


@asynctest
async def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_check, "_ANSWER_S", 0.3)
    url = f"turn:127.0.0.1:{free_port()}"
    found = await check(Settings(ice_servers=f"{url},{url}?transport=tcp", turn_secret="secret"))
    assert [finding.ok for finding in found] == [False, False]


@asynctest
async def test_none_is_set() -> None:
    (found,) = await check(Settings(ice_servers="stun:127.0.0.1:3478"))
    assert found.ok is None
