"""Which certificate authorities FFmpeg trusts."""

import ssl
from pathlib import Path

import pytest

from stream.fetch import certificates
from stream.fetch.certificates import ca_file, tls_options
from stream.settings import Settings


def test_the_setting_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    assert ca_file(Settings()) == str(tmp_path / "other.pem")
    assert ca_file(Settings(ca_file=tmp_path / "own.pem")) == str(tmp_path / "own.pem")


def test_the_default_is_a_file_with_certificates() -> None:
    assert "BEGIN CERTIFICATE" in Path(ca_file(Settings())).read_text()


def test_without_a_file_of_the_system_that_of_certifi_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    certifi = pytest.importorskip("certifi")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(certificates, "_SYSTEM_FILES", ())
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: _NoFile)
    assert ca_file(Settings()) == certifi.where()


class _NoFile:
    cafile = None


def test_insecure_needs_no_authorities() -> None:
    assert tls_options(Settings(ca_file=Path("/a.pem")), insecure=True) == {"tls_verify": "0"}
    assert tls_options(Settings(ca_file=Path("/a.pem")), insecure=False) == {"tls_verify": "1", "ca_file": "/a.pem"}
