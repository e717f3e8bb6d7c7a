"""A site behind a real nginx with the configuration of docs/deployment.md."""

import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from stream.serve.die_with_parent import tied
from stream.settings import Settings
from tests import self_signed
from tests.rtmp import NGINX
from tests.servers import free_port
from tests.waiting import PATIENCE_S, until
from tests.web.running_site import Site, running
from tests.web.videos.tus import BODY, begun, offset_of

ROOT = Path(__file__).parents[3]
_AROUND = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{server}}}
"""
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx; see the Debian packages in README.md")


@dataclass
class Front:
    """nginx in front of `site`. url: of nginx, https."""

    site: Site
    url: str

    def client(self) -> httpx.Client:
        headers = {"Authorization": "Bearer alice-token"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S, verify=False)


@pytest.fixture
def front(settings: Settings, redis_url: str, tmp_path: Path) -> Iterator[Front]:
    tokens = SecretStr("alice:alice-token")
    behind = settings.model_copy(update={"tokens": tokens, "trusted_proxies": "127.0.0.1"})
    folder = tmp_path / "nginx"
    folder.mkdir()
    _, both = self_signed.both(folder)
    with running(behind, redis_url) as site:
        port = free_port()
        server = _configuration(site.url.removeprefix("http://"), f"127.0.0.1:{port}", both)
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, server=server))
        argv = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]
        process = subprocess.Popen(tied(argv))
        front = Front(site, f"https://127.0.0.1:{port}")
        try:
            until(lambda: process.poll() is not None or _answers(front), "nginx answers")
            assert process.poll() is None, (folder / "log").read_text()
            yield front
        finally:
            process.terminate()
            process.wait()


def _configuration(upstream: str, address: str, certificate: Path) -> str:
    """The server block of the documentation, with addresses and certificate of this test."""
    found = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs/deployment.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    text = re.sub(r"/etc/letsencrypt/\S+\.pem", str(certificate), found[1])
    assert text.count(str(certificate)) == 2
    return text.replace("listen 443", f"listen {address}").replace("127.0.0.1:8080", upstream)


def _answers(front: Front) -> bool:
    try:
        with front.client() as http:
            return http.get("/livez").is_success
    except httpx.TransportError:
        return False


@pytest.mark.long
def test_an_upload_arrives_while_it_is_being_sent(front: Front, settings: Settings) -> None:
    half, arrived = b"x" * 3 * 2**19, threading.Event()  # in all more than nginx accepts by default

    def body() -> Iterator[bytes]:
        yield half
        assert arrived.wait(PATIENCE_S)
        yield half

    def upload() -> None:
        http.patch(path, content=body(), headers=BODY | {"Upload-Offset": "0"})

    with front.client() as http:
        path = begun(http, 2 * len(half))
        uploading = threading.Thread(target=upload)
        uploading.start()
        try:
            until(lambda: _stored(settings.data_dir) > len(half) / 2, "most of the first half arrives")
        finally:
            arrived.set()
            uploading.join(PATIENCE_S)
        assert offset_of(http, path) == 2 * len(half)


def _stored(folder: Path) -> int:
    """Bytes of the uploads in progress."""
    return sum(file.stat().st_size for file in folder.rglob("data") if file.is_file())


def test_events_are_passed_on_at_once(front: Front) -> None:
    with front.client() as http, http.stream("GET", "/api/jobs/events") as response:
        assert next(response.iter_text()).startswith("retry: ")


@pytest.mark.long
def test_cookies_are_for_https_only_and_the_page_may_send_requests(front: Front) -> None:
    with front.client() as http:
        login = http.post("/api/login", json={"token": "alice-token"}, headers={"Origin": front.url})
        assert login.status_code == 204, login.text
        assert "; Secure" in login.headers["set-cookie"]
        refused = http.post("/api/login", json={"token": "alice-token"}, headers={"Origin": "https://other.example"})
        assert refused.status_code == 403
