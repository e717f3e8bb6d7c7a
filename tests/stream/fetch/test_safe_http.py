"""Downloads from users' URLs, and the addresses that are refused."""

import base64
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stream.errors import DiskError, FetchError, TooLarge
from stream.fetch.safe_http import fetch, redacted_url, resolve
from stream.settings import Settings
from tests.web_server import Origin, serving
from web.http.tls import certificate

INSIDE = Settings(allow_private_urls=True)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def connect(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.parametrize("url", [
    "file:///etc/passwd", "concat:a|b", "pipe:0", "ftp://192.0.2.1/x", "//example.org/x", "", "http://", "http:///x",
    "http://192.0.2.1:0/", "http://192.0.2.1:99999/", "http://[::1", "http://exa mple.org/", "http://a\n.example/",
    "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://0x7f000001/", "http://2130706433/",
    "http://0177.0.0.1/", "http://127.1/", "http://localhost:8080/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/", "http://10.0.0.8/", "http://192.168.1.1/", "http://172.16.0.1/", "http://0.0.0.0/",
    "http://100.64.0.1/", "http://224.0.0.1/", "http://255.255.255.255/", "http://[fe80::1]/", "http://[fc00::1]/",
    "http://[ff02::1]/", "http://[::]/", "http://[2002:7f00:1::]/", "http://[64:ff9b::7f00:1]/", "http://[::7f00:1]/",
    "http://[fec0::1]/",
])  # fmt: skip
def test_refused_before_any_connection(no_connection: None, tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError):
        fetch(url, tmp_path, Settings())
    assert not list(tmp_path.iterdir())


def test_offline_makes_no_request(no_connection: None, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="OFFLINE"):
        fetch("http://8.8.8.8/x", tmp_path, Settings(offline=True))


def test_a_download(origin: Origin, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    origin.files["/a%20b.mp4"] = content
    path = fetch(f"{origin.url}/a%20b.mp4?key=1", tmp_path, INSIDE)
    assert path.parent == tmp_path
    assert path.read_bytes() == content
    origin.sized = False
    origin.files["/x"] = content
    assert fetch(f"{origin.url}/x", tmp_path, INSIDE).read_bytes() == content


def test_user_and_password_are_sent_and_never_shown(origin: Origin, tmp_path: Path) -> None:
    url = origin.url.replace("//", "//ann:s%40crt@") + "/none?token=hidden"
    with pytest.raises(FetchError, match="404") as caught:
        fetch(url, tmp_path, INSIDE)
    assert origin.gets[0]["Authorization"] == "Basic " + base64.b64encode(b"ann:s@crt").decode()
    assert not any(word in str(caught.value) for word in ("ann", "crt", "hidden"))
    assert redacted_url("https://u:p@host:81/x?q") == "https://host:81/x"


def test_redirects_are_followed_and_checked(origin: Origin, tmp_path: Path) -> None:
    origin.files["/end"] = b"found"
    origin.redirects |= {f"/{n}": f"/{n + 1}" for n in range(9)} | {"/5": "/end", "/away": "http://169.254.169.254/x"}
    assert fetch(f"{origin.url}/1", tmp_path, INSIDE).read_bytes() == b"found"
    origin.redirects["/5"] = "/6"
    with pytest.raises(FetchError, match="more than 5 redirects"):
        fetch(f"{origin.url}/0", tmp_path, INSIDE)
    for target in ("http://169.254.169.254/x", "file:///etc/passwd", "//[fe80::1]/"):
        origin.redirects["/away"] = target
        with pytest.raises(FetchError):
            fetch(f"{origin.url}/away", tmp_path, INSIDE)


def test_dns_rebinding_has_no_effect(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, lookups = socket.getaddrinfo, []

    def answers(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        lookups.append(host)
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        inner = "127.0.0.1" if lookups.count(host) == 1 else "127.0.0.99"
        return real(inner, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    origin.files["/x"] = b"checked"
    url = origin.url.replace("127.0.0.1", "rebind.example")
    assert fetch(f"{url}/x", tmp_path, INSIDE).read_bytes() == b"checked"
    assert lookups.count("rebind.example") == 1, "the connection goes to the address that was checked"
    assert origin.gets[0]["Host"].startswith("rebind.example:")
    with pytest.raises(FetchError, match="private network"):
        resolve(url, Settings())


def test_one_refused_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(FetchError):
        resolve("http://two.example/", Settings())


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_that_is_too_large_is_not_kept(origin: Origin, tmp_path: Path, sized: bool) -> None:
    origin.files["/x"], origin.sized = bytes(5_000_000), sized
    with pytest.raises(TooLarge):
        fetch(f"{origin.url}/x", tmp_path, INSIDE.model_copy(update={"max_upload_bytes": 1_000_000}))
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_off(origin: Origin, tmp_path: Path) -> None:
    origin.files["/x"], origin.cut = bytes(1_000_000), 1000
    with pytest.raises(FetchError, match="broke off"):
        fetch(f"{origin.url}/x", tmp_path, INSIDE)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/x", tmp_path, INSIDE)


def test_a_silent_server_times_out(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.fetch.safe_http._SILENCE_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(FetchError, match="no answer in time"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x", tmp_path, INSIDE)


@pytest.mark.long
def test_a_server_that_sends_single_bytes_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.fetch.safe_http._HEADERS_S", 0.5)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        talking = threading.Thread(target=_drip, args=(busy,))
        talking.start()
        with pytest.raises(FetchError, match="no answer in time"):
            fetch(f"http://127.0.0.1:{busy.getsockname()[1]}/x", tmp_path, INSIDE)
        talking.join()


def _drip(busy: socket.socket) -> None:
    """Send a response byte by byte until the client closes the connection."""
    line, _ = busy.accept()
    with line, suppress(OSError):
        line.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            line.sendall(b"x")
            time.sleep(0.1)


def test_a_download_can_be_cancelled(origin: Origin, tmp_path: Path) -> None:
    origin.files["/x"], origin.slow_s = bytes(2_000_000), 0.001
    asked = itertools.count(1)
    with pytest.raises(FetchError, match="was cancelled"):
        fetch(f"{origin.url}/x", tmp_path, INSIDE, lambda: next(asked) == 3)
    assert next(asked) == 4, "it ended at once, before the third chunk of many"
    assert not list(tmp_path.iterdir())


def test_https_requires_a_certificate_for_the_name(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate("auto", tmp_path, "127.0.0.1")
    assert files is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    origin.socket = context.wrap_socket(origin.socket, server_side=True)
    origin.files["/x"] = b"sealed"
    url = origin.url.replace("http://127.0.0.1", "https://localhost") + "/x"
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(url, tmp_path, INSIDE)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.chain))
    assert fetch(url, tmp_path, INSIDE).read_bytes() == b"sealed"
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(url.replace("localhost", "127.0.0.2"), tmp_path, INSIDE)


def test_a_full_disk(origin: Origin, small_disk: Path) -> None:
    origin.files["/x"] = bytes(3_000_000)
    with pytest.raises(DiskError):
        fetch(f"{origin.url}/x", small_disk, INSIDE)
    assert not list(small_disk.iterdir())
