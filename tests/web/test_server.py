import signal
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from cryptography import x509
from pydantic import SecretStr

from stream.errors import UsageError
from stream.records.live_store import LiveStore
from stream.settings import Settings
from tests.web.running_site import running
from web.http.tls import certificate, host_names
from web.server import Server, advise

SERVE = """
import sys
from pathlib import Path
from stream.settings import Settings
from stream.records.live_store import LiveStore
from web.server import run
run(Settings(data_dir=Path(sys.argv[1]), offer_wait_s=30), LiveStore(sys.argv[2]), "127.0.0.1", 0)
"""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "studio.example"])
def test_listening_beyond_loopback_needs_tokens(settings: Settings, host: str) -> None:
    with pytest.raises(UsageError, match="MATTEBOX_TOKEN"):
        Server(settings, LiveStore("redis://127.0.0.1:9"), host, 0)


def test_listening_beyond_loopback_with_tokens(settings: Settings, redis_url: str) -> None:
    with running(settings.model_copy(update={"token": SecretStr("mine")}), redis_url, host="0.0.0.0") as site:
        assert site.url.startswith("http://localhost:")


@pytest.mark.parametrize(
    ("url", "host", "warned"),
    [
        ("http://localhost:80", "0.0.0.0", True),
        ("https://localhost:80", "0.0.0.0", False),
        ("http://127.0.0.1:80", "127.0.0.1", False),
    ],
)
def test_plain_http_beyond_loopback_logs_a_warning(
    url: str, host: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    advise(url, host)
    assert ("--tls auto" in caplog.text) == warned


def test_a_port_in_use_is_a_usage_error(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="cannot listen"):
            Server(settings, LiveStore("redis://127.0.0.1:9"), "127.0.0.1", other.getsockname()[1])


def test_a_self_signed_certificate(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, tls="auto") as site:
        assert site.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(settings.data_dir / "tls/cert.pem"))
        with httpx.Client(verify=trusted, base_url=site.url) as http:
            assert http.get("/livez").is_success
            assert http.get("/", headers={"Host": "localhost"}).is_success


def test_the_certificate_is_kept_and_names_this_machine(settings: Settings) -> None:
    first = certificate("auto", settings.data_dir, "studio.example")
    assert first is not None
    text = first.chain.read_bytes()
    found = x509.load_pem_x509_certificate(text).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}
    assert {"localhost", "127.0.0.1", "::1", "studio.example", socket.gethostname().lower()} <= names
    assert first.key.stat().st_mode & 0o77 == 0
    certificate("auto", settings.data_dir, "studio.example")
    assert first.chain.read_bytes() == text
    certificate("auto", settings.data_dir, "other.example")
    assert first.chain.read_bytes() != text, "a new name needs a new certificate"
    assert "studio.example" not in host_names("0.0.0.0")


@pytest.mark.parametrize("spec", ["yes", "/nothing.pem,/nothing.key"])
def test_a_missing_certificate_is_a_usage_error(settings: Settings, spec: str) -> None:
    with pytest.raises(UsageError, match="--tls"):
        certificate(spec, settings.data_dir, "127.0.0.1")


def started(settings: Settings, redis_url: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", SERVE, str(settings.data_dir), redis_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    return process, url


@pytest.mark.long
def test_sigterm_ends_it(settings: Settings, redis_url: str) -> None:
    process, url = started(settings, redis_url)
    try:
        httpx.get(f"{url}/livez")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.long
def test_a_second_sigterm_aborts_requests(settings: Settings, redis_url: str, camera_offer: str) -> None:
    process, url = started(settings, redis_url)
    try:
        with ThreadPoolExecutor() as pool:  # a request that waits for a worker for half a minute
            waiting = pool.submit(httpx.post, f"{url}/api/sessions", json={"sdp": camera_offer}, timeout=20)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(4) == 0
            with pytest.raises(httpx.HTTPError):
                waiting.result(5)
    finally:
        process.kill()
        process.communicate()
