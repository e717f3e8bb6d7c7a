"""Settings of a server that others can reach, each with a fault, and its address over TLS."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream.finding import Finding
from stream.settings import Settings
from tests.servers import free_port
from tests.web.running_site import running
from web.exposure import check

GOOD = {"tokens": SecretStr(f"ann:{'a' * 48}"), "secret": SecretStr("s" * 48), "trusted_proxies": "10.0.0.0/8"}


def findings(url: str = "", **settings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(Settings.model_validate(GOOD | settings), url)}


def test_settings_as_they_should_be() -> None:
    found = findings()
    assert {name: finding.ok for name, finding in found.items()} == {
        "users": True, "signing secret": True, "proxies": True, "public url": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ok", "settings"),
    [
        ("users", None, {"tokens": SecretStr("")}),
        ("users", False, {"tokens": SecretStr("ann:a,ann:b")}),
        ("users", None, {"tokens": SecretStr("ann:short")}),
        ("signing secret", None, {"secret": SecretStr("short")}),
        ("signing secret", None, {"secret": SecretStr("")}),
        ("turn secret", None, {"turn_secret": "short"}),
        ("proxies", None, {"trusted_proxies": "*"}),
        ("proxies", None, {"trusted_proxies": ""}),
    ],
)
def test_a_fault(name: str, ok: bool | None, settings: dict[str, Any]) -> None:
    found = findings(**settings)[name]
    assert found.ok is ok
    assert found.remedy
    assert "short" not in found.detail.replace("are short", "").replace("is short", ""), "no token is quoted"


def test_addresses() -> None:
    found = findings("http://127.0.0.1", tokens=SecretStr(""))
    assert found["public url"].ok is found["users"].ok is False
    assert findings("https://")["public url"].ok is False
    assert findings(f"https://127.0.0.1:{free_port()}")["public url"].ok is False


def test_a_certificate(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Settings(data_dir=tmp_path), redis_url, worker=False, tls="auto") as site:
        found = findings(site.url)["public url"]
        assert found.ok is False
        assert "certificate" in found.remedy
        (file,) = (tmp_path / "tls").glob("*cert*")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        found = findings(site.url.replace("127.0.0.1", "localhost"))["public url"]
        assert found.ok, found
