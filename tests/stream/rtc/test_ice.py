import asyncio
import base64
import hashlib
import hmac
import logging
import socket

import pytest
from pydantic import ValidationError

from stream.errors import UsageError
from stream.rtc.ice import aiortc_servers, candidate_policy, ice_servers, local_addresses, turn_hosts
from stream.rtc.peer import Peer
from stream.settings import Settings, settings
from tests.offers import CHROMIUM
from tests.rtc import SETTINGS

TURN = Settings(ice_servers="stun:stun.example:3478, turn:127.0.0.1?transport=udp,turns:t.example:443", turn_secret="s")


def test_turn_credentials_last_an_hour_and_are_signed() -> None:
    stun, turn = ice_servers(TURN, "ann", now_s=1_000_000)
    assert stun == {"urls": ["stun:stun.example:3478"]}
    assert turn["username"] == "1003600:ann"
    expected = hmac.new(b"s", b"1003600:ann", hashlib.sha1).digest()
    assert base64.b64decode(turn["credential"]) == expected
    assert turn["urls"] == ["turn:127.0.0.1?transport=udp", "turns:t.example:443"]


def test_no_server_is_used_where_none_is_set() -> None:
    assert ice_servers(Settings(), "ann") == []
    assert aiortc_servers(Settings(), "ann") == []


def test_the_operators_turn_servers_are_refused_as_candidates() -> None:
    assert turn_hosts(TURN) == [("127.0.0.1", 3478), ("t.example", 443)]
    only = TURN.model_copy(update={"ice_servers": "turn:127.0.0.1"})
    policy = asyncio.run(candidate_policy(only.model_copy(update={"loopback_candidates": True})))
    assert not policy.allows("127.0.0.1", 3478)
    assert policy.allows("127.0.0.1", 50_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"udp_ports": "5000"},
        {"udp_ports": "5000-4000"},
        {"udp_ports": "1-70000"},
        {"public_address": "example.org"},
        {"ice_servers": "http://x"},
        {"ice_servers": "turn:x"},
        {"media_timeout_s": 0},
    ],
)
def test_invalid_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_an_error_about_settings_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_TURN_SECRET", "hush")
    monkeypatch.setenv("MATTEBOX_ICE_SERVERS", "gopher:x")
    settings.cache_clear()
    with pytest.raises(UsageError, match="MATTEBOX_ICE_SERVERS") as failed:
        settings()
    settings.cache_clear()
    assert "hush" not in str(failed.value)


def test_loopback_is_offered_when_set_or_without_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["192.0.2.1", "fe80::1"]
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: found)
    assert local_addresses(Settings()) == ["192.0.2.1"]
    assert local_addresses(Settings(loopback_candidates=True)) == ["192.0.2.1", "127.0.0.1"]
    assert local_addresses(Settings(udp_address="192.0.2.7")) == ["192.0.2.7"]
    found.clear()
    assert local_addresses(Settings()) == ["127.0.0.1"]


def test_ports_are_taken_from_the_range() -> None:
    async def run() -> None:
        peer = Peer(SETTINGS.model_copy(update={"udp_ports": "42000-42009"}))
        lines = (await peer.answer(CHROMIUM)).split("\r\n")
        ports = {int(line.split()[5]) for line in lines if line.startswith("a=candidate")}
        assert len(ports) == 1
        assert ports <= set(range(42_000, 42_010))
        await peer.close("deleted")

    asyncio.run(run())


def test_the_public_address_is_offered_beside_the_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.rtc.ice._LOOPBACK", "none")  # so that loopback counts as a private address

    async def run() -> None:
        peer = Peer(SETTINGS.model_copy(update={"public_address": "203.0.113.9"}))
        lines = (await peer.answer(CHROMIUM)).split("\r\n")
        words = [line.split() for line in lines if line.startswith("a=candidate")]
        assert {(w[4], w[7]) for w in words} == {("127.0.0.1", "host"), ("203.0.113.9", "srflx")}
        assert len({w[5] for w in words}) == 1
        await peer.close("deleted")

    asyncio.run(run())


def test_a_full_port_range_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            peer = Peer(SETTINGS.model_copy(update={"udp_ports": f"{port}-{port}"}))
            await peer.answer(CHROMIUM)
            await peer.close("deleted")

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "no UDP port" in caplog.text
