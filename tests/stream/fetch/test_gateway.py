"""The proxy for FFmpeg, in front of a web server on loopback. Nothing else is connected to."""

import http.client
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest

from stream.address import Address
from stream.fetch import gateway as module
from stream.fetch.gateway import Gateway
from stream.settings import Settings
from stream.sources.live.playlist import Parts
from stream.sources.live.protocols import PROTOCOLS
from tests.media import numbered_clip
from tests.waiting import PATIENCE_S
from tests.web_server import Origin, serving
from web.http.tls import certificate

INSIDE = Settings(allow_private_urls=True)
METADATA = "169.254.169.254"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway(INSIDE)
    yield gateway
    gateway.close()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses to which the gateway connected; those elsewhere fail, and so do names."""
    connected: list[str] = []
    dialled, resolve = module._dialled, socket.getaddrinfo

    def dial(address: str, port: int) -> socket.socket:
        connected.append(address)
        assert address == "127.0.0.1"
        return dialled(address, port)

    monkeypatch.setattr(module, "_dialled", dial)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, *rest, **more: resolve(host, port, flags=socket.AI_NUMERICHOST)
    )
    return connected


def asked(gateway: Gateway, method: str, target: str, password: bool = True) -> tuple[int, bytes]:
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)
    login = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    connection.request(method, target, headers={"Proxy-Authorization": f"Basic {login}"} if password else {})
    response = connection.getresponse()
    try:
        return response.status, b"" if method == "CONNECT" else response.read()
    finally:
        connection.close()


def options(gateway: Gateway, scheme: str = "http") -> dict[str, str]:
    return PROTOCOLS[scheme].through(gateway.url).all_options(INSIDE, insecure=True)


@pytest.mark.long
def test_requests_are_passed_on_without_the_password(gateway: Gateway, origin: Origin) -> None:
    origin.files["/a"] = b"content"
    assert asked(gateway, "GET", f"{origin.url}/a?x=1") == (200, b"content")
    assert "Proxy-Authorization" not in origin.gets[0]
    assert asked(gateway, "CONNECT", urlsplit(origin.url).netloc)[0] == 200


@pytest.mark.long
@pytest.mark.parametrize("method", ["GET", "HEAD", "CONNECT"])
def test_addresses_that_are_never_allowed(gateway: Gateway, only_loopback: list[str], method: str) -> None:
    for host in (METADATA, "[fd00:ec2::254]", "224.0.0.1", "0.0.0.0"):
        assert asked(gateway, method, f"{host}:80" if method == "CONNECT" else f"http://{host}/latest")[0] == 403
    assert only_loopback == []


@pytest.mark.long
def test_private_addresses_only_if_the_operator_allows_them(origin: Origin, only_loopback: list[str]) -> None:
    strict = Gateway(Settings())
    for method, target in (("GET", f"{origin.url}/a"), ("CONNECT", urlsplit(origin.url).netloc)):
        assert asked(strict, method, target)[0] == 403
    strict.close()
    assert (only_loopback, origin.gets) == ([], [])


@pytest.mark.long
def test_programs_without_the_password_are_refused(gateway: Gateway, origin: Origin) -> None:
    assert asked(gateway, "GET", f"{origin.url}/a", password=False)[0] == 407
    assert asked(gateway, "CONNECT", urlsplit(origin.url).netloc, password=False)[0] == 407
    assert origin.gets == []


def transport_stream(tmp_path: Path) -> bytes:
    """Ten frames of MPEG-TS."""
    clip = numbered_clip(tmp_path / "clip.mp4", 10)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "clip.ts"), "w") as output:
        video = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                output.mux(packet)
    return (tmp_path / "clip.ts").read_bytes()


@pytest.mark.long
def test_ffmpeg_follows_redirects_through_it(
    gateway: Gateway, origin: Origin, only_loopback: list[str], tmp_path: Path
) -> None:
    origin.files["/clip.ts"] = transport_stream(tmp_path)
    origin.redirects["/moved.ts"] = "/clip.ts"
    origin.redirects["/out.ts"] = f"http://{METADATA}/clip.ts"
    for path in ("clip.ts", "moved.ts"):
        with av.open(f"{origin.url}/{path}", "r", options=options(gateway)) as container:
            assert len(list(container.decode(video=0))) == 10, path
    assert len(only_loopback) >= len(origin.gets), "all requests came through the gateway"
    with pytest.raises(av.FFmpegError):
        av.open(f"{origin.url}/out.ts", "r", options=options(gateway), timeout=PATIENCE_S)
    assert set(only_loopback) == {"127.0.0.1"}


def test_playlists_of_users_have_no_host_of_their_own(origin: Origin) -> None:
    """FFmpeg does not read them, and so needs no proxy for them."""
    origin.files["/list.m3u8"] = b"#EXTM3U"
    address = Address.read(f"{origin.url}/list.m3u8")
    assert Parts(address, Settings(), True)(address.url, 0, {}).read() == b"#EXTM3U"
    assert PROTOCOLS["http"].through("http://127.0.0.1:1").strict
    strict = Parts(address, Settings(), True, strict=True)
    assert strict(address.url, 0, {}).read() == b""
    assert "not allowed" in strict.reason


@pytest.mark.long
def test_ffmpeg_opens_https_through_it(
    gateway: Gateway, origin: Origin, only_loopback: list[str], tmp_path: Path
) -> None:
    files = certificate("auto", tmp_path, "127.0.0.1")
    assert files is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    origin.socket = context.wrap_socket(origin.socket, server_side=True)
    origin.files["/clip.ts"] = transport_stream(tmp_path)
    url = origin.url.replace("http:", "https:")
    with av.open(f"{url}/clip.ts", "r", options=options(gateway, "https")) as container:
        assert len(list(container.decode(video=0))) == 10
    assert only_loopback


@pytest.mark.long
def test_no_host_is_exempt_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg bypasses a proxy for the hosts in the variable no_proxy; Python's libraries also read NO_PROXY."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,.internal")
    monkeypatch.delenv("NO_PROXY", raising=False)
    gateway = Gateway(INSIDE)
    try:
        assert (os.environ.get("no_proxy"), os.environ.get("NO_PROXY")) == (None, "127.0.0.1,.internal")
    finally:
        gateway.close()
        monkeypatch.setenv("NO_PROXY", "")
