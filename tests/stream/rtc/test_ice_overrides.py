"""Consent to send (RFC 7675): of clients that answer our checks, that only send their own, or that do neither."""

import asyncio
import time
from typing import Any

import aioice
import pytest

from stream.rtc import ice_overrides
from stream.rtc.ice_overrides import Consent
from tests.fakes import Unchanged
from tests.rtc import Camera, Client, live, until

pytestmark = pytest.mark.usefixtures("loopback")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_version_is_the_one_overridden() -> None:
    assert aioice.__version__.startswith("0.13.")


def test_consent_lasts_30_seconds() -> None:
    clock = Clock()
    consent = Consent(clock)
    for _ in range(20):
        clock.now_s += 29.9
        assert not consent.expired
        consent.give()
    clock.now_s += 30.1
    assert consent.expired
    consent.give()
    assert not consent.expired


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_overrides, "_CONSENT_S", 1.2)
    monkeypatch.setattr(ice_overrides, "_CONSENT_INTERVAL_S", 0.2)


def ice_of(client: Client) -> Any:
    return client.pc.getTransceivers()[0].receiver.transport.transport._connection


def stop_answering(client: Client) -> None:
    """As FFmpeg 8.1 does once it sends media."""
    ice_of(client).request_received = lambda *_: None


def send_check(client: Client, password: str) -> None:
    connection = ice_of(client)
    pair = next(iter(connection._nominated.values()))
    request = connection.build_request(pair, nominate=False)
    request.add_message_integrity(password.encode())
    pair.protocol.send_stun(request, pair.remote_addr)


@pytest.mark.long
@pytest.mark.parametrize("signed", [True, False])
def test_the_clients_own_checks_count_as_consent(signed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers none of ours. Only checks that are signed for this connection count, not the media."""
    shorten(monkeypatch)

    async def run() -> None:
        client = Client(Camera(), "VP8")
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 2)
            password = ice_of(client).remote_password if signed else "wrong" * 5
            stop_answering(client)
            end_s = time.monotonic() + 3.0
            while time.monotonic() < end_s and video.peer.state == "connected":
                send_check(client, password)
                await asyncio.sleep(0.1)
            assert video.peer.state == ("connected" if signed else "closed")

    asyncio.run(run())


@pytest.mark.long
def test_a_client_that_answers_our_checks_needs_to_send_none(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)

    async def run() -> None:
        client = Client(Camera(), "VP8")
        async with live(client, Unchanged()) as video:
            await until(lambda: len(client.pictures) > 2)
            ice_of(client)._query_consent_task.cancel()
            checks = video.peer._connections[0].checks
            await asyncio.sleep(2.5)
            assert video.peer._connections[0].checks == checks
            assert video.peer.state == "connected"

    asyncio.run(run())


def test_endless_role_conflicts_are_an_error() -> None:
    async def run() -> None:
        connection = aioice.Connection(ice_controlling=True)
        connection.__class__ = ice_overrides.TolerantConnection
        connection.reset()  # type: ignore[attr-defined]
        for n in range(8):
            connection.switch_role(n % 2 == 1)
        with pytest.raises(ConnectionError, match="role conflicts"):
            connection.switch_role(True)

    asyncio.run(run())
