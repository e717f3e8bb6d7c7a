import logging
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from stream.records.live_store import LiveStore
from stream.settings import Settings
from tests.servers import KEYS, asynctest
from web.http.auth import Gate
from web.http.secret_check import SecretCheck


def check(store: LiveStore, folder: Path, secret: str = "") -> SecretCheck:
    gate = Gate(Settings(data_dir=folder, secret=SecretStr(secret)))
    return SecretCheck(gate.fingerprint, store.share_secret)


@asynctest
async def test_different_secrets_are_reported(redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two web machines without MATTEBOX_SECRET have each created one."""
    store = LiveStore(redis_url)
    first, second = check(store, tmp_path / "a"), check(store, tmp_path / "b")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await first.look()
            await second.look()
    assert [record.getMessage() for record in caplog.records if "MATTEBOX_SECRET" in record.getMessage()] == [
        "another web process has a different secret, so sign-ins and links of one are invalid at the other: "
        "set the same MATTEBOX_SECRET for all of them"
    ]
    await store.close()


@asynctest
async def test_the_same_secret_is_not_reported(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LiveStore(redis_url)
    with caplog.at_level(logging.WARNING):
        for name in "abab":
            await check(store, tmp_path / name, "of all web machines").look()
    assert not caplog.records
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.ttl(KEYS.web_secret) <= 60
        assert b"of all web machines" not in (client.get(KEYS.web_secret) or b"")
    await store.close()
