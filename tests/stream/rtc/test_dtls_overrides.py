"""Handshakes with clients of other certificates and cipher suites than aiortc's own, and how failures are reported."""

import asyncio
import logging
import re
from dataclasses import replace

import aiortc
import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES, SRTPProtectionProfile
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stream.rtc.dtls_overrides import CIPHERS
from stream.rtc.peer import Peer
from tests.rtc import SETTINGS, Camera, Client, client_with, until

pytestmark = pytest.mark.usefixtures("loopback")
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)


async def connected(client: Client, role: str = "actpass", **attributes: str) -> tuple[str, str]:
    """The first change that the peer of this client reports, as (state, reason)."""
    changes: list[tuple[str, str]] = []
    peer = Peer(SETTINGS, lambda state, reason: changes.append((state, reason)))
    offer = (await client.offer()).replace("a=setup:actpass", f"a=setup:{role}")
    for name, text in attributes.items():
        offer = re.sub(f"a={name}:.*", f"a={name}:{text}", offer)
    await client.take(await peer.answer(offer))
    await until(lambda: changes, what="the handshake")
    await peer.close("deleted")
    await client.close()
    return changes[0]


def test_the_version_is_the_one_overridden() -> None:
    assert aiortc.__version__.startswith("1.16.")


def test_no_cipher_suite_is_weak() -> None:
    suites = CIPHERS.split(":")
    assert all(suite.startswith(("ECDHE-ECDSA-", "ECDHE-RSA-")) for suite in suites), "forward secrecy"
    assert all("GCM" in suite or "CHACHA20" in suite for suite in suites if "RSA" in suite.split("-"))
    assert suites[0] == "ECDHE-ECDSA-AES128-GCM-SHA256", "the one that RFC 8827 requires"


@pytest.mark.parametrize("role", ["actpass", "passive", "active"])
@pytest.mark.parametrize("suite", ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"])
def test_clients_with_rsa_certificates_connect(role: str, suite: str) -> None:
    """As GStreamer's are. As DTLS server they need a suite for RSA, as DTLS client one for our certificate."""

    async def run() -> None:
        client = client_with(RSA_KEY, f"ECDHE-{'ECDSA' if role == 'active' else 'RSA'}-{suite}")
        assert await connected(client, role) == ("connected", "")

    asyncio.run(run())


@pytest.mark.parametrize("profile", SRTP_PROFILES, ids=lambda profile: profile.openssl_profile.decode())
def test_each_srtp_profile_is_still_supported(profile: SRTPProtectionProfile) -> None:
    async def run() -> None:
        client = client_with(RSA_KEY, CIPHERS)
        client.pc.getTransceivers()[0].receiver.transport._srtp_profiles = [profile]
        assert await connected(client, "passive") == ("connected", "")

    asyncio.run(run())


def test_a_client_without_a_common_srtp_profile_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        client = client_with(RSA_KEY, CIPHERS)
        weak = replace(SRTP_PROFILES[-1], openssl_profile=b"SRTP_AES128_CM_SHA1_32")
        client.pc.getTransceivers()[0].receiver.transport._srtp_profiles = [weak]
        assert await connected(client, "passive") == ("closed", "dtls_failed")

    asyncio.run(run())
    assert "SRTP profile" in caplog.text


@pytest.mark.parametrize("role", ["passive", "active"])
def test_a_client_without_a_common_cipher_suite_fails_at_once(role: str, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        client = client_with(RSA_KEY, "AES128-GCM-SHA256")
        assert await connected(client, role) == ("closed", "dtls_failed")

    asyncio.run(run())
    (line,) = [record.message for record in caplog.records if record.name == "stream.rtc.peer"]
    assert re.search("DTLS handshake failed: .*(handshake failure|no shared cipher)", line), line
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("replaced", "cause"),
    [
        ({"fingerprint": "sha-256 " + ":".join(["AB"] * 32)}, "does not match the fingerprint"),
        ({"fingerprint": "sha-512 " + ":".join(["AB"] * 64)}, "does not match the fingerprint"),
    ],
)
def test_a_certificate_that_the_offer_does_not_name_is_refused(
    replaced: dict[str, str], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        assert await connected(Client(Camera(), "VP8"), **replaced) == ("closed", "dtls_failed")

    asyncio.run(run())
    assert cause in caplog.text


@pytest.mark.parametrize("key", ["P-256", "P-384", "P-521"])
def test_clients_with_other_curves_connect(key: str) -> None:
    curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[key]

    async def run() -> None:
        client = client_with(ec.generate_private_key(curve), CIPHERS)
        assert await connected(client, "passive") == ("connected", "")

    asyncio.run(run())


@pytest.mark.long
def test_a_client_that_never_answers_the_handshake_fails_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ICE succeeds, then there is silence."""
    caplog.set_level(logging.WARNING)

    async def run() -> None:
        client, changes = Client(Camera(), "VP8"), list[tuple[str, str]]()
        settings = SETTINGS.model_copy(update={"connect_timeout_s": 1.0})
        peer = Peer(settings, lambda state, reason: changes.append((state, reason)))
        answer = await peer.answer(await client.offer())
        for line in client.pc.getTransceivers():
            monkeypatch.setattr(line.receiver.transport, "start", _never)
        await client.take(answer)
        await until(lambda: changes, 4.0)
        assert changes == [("closed", "dtls_failed")]
        await client.close()

    asyncio.run(run())
    assert "did not complete it in time" in caplog.text


async def _never(*_: object) -> None:
    return None
