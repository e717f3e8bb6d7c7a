import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path

import pytest
from aiortc import RTCIceServer

from stream.errors import RemoteError
from stream.rtc.whip_http import WhipHttp, ice_servers, is_loopback
from stream.settings import Settings
from web.http.tls import certificate


def ask(url: str, insecure: bool = False, limit_s: float = 30.0, settings: Settings | None = None) -> int:
    http = WhipHttp("token", insecure, settings or Settings(), limit_s)
    return asyncio.run(http.request("POST", url, b"v=0")).status


def test_ice_servers_of_link_headers() -> None:
    headers = Message()
    headers["Link"] = '<stun:stun.example.net>; rel="ice-server"'
    headers["Link"] = (
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="us\\"er,1"; credential="a;b"; '
        'credential-type="password", <turns:turn.example.net>;rel=ice-server;username=u;credential=p'
    )
    headers["Link"] = '</style.css>; rel="stylesheet", <https://x/>; rel="ice-server", <garbage'
    found = [(server.urls, server.username, server.credential) for server in ice_servers(headers)]
    assert found == [
        ("stun:stun.example.net", None, None),
        ("turn:turn.example.net?transport=udp", 'us"er,1', "a;b"),
        ("turns:turn.example.net", "u", "p"),
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("localhost.example.org", False), ("10.0.0.1", False)],
)
def test_hosts_that_are_certainly_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@contextmanager
def raw_server(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that sends the same bytes to each client, and keeps the connection open. Yields HOST:PORT."""
    kept = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                try:
                    client = context.wrap_socket(client, server_side=True) if context else client
                    client.sendall(answer)
                    kept.append(client)
                except OSError:
                    client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for client in kept:
        client.close()


@pytest.mark.clocked
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 201 Created\r\nX: "])
def test_a_server_that_does_not_answer(answer: bytes) -> None:
    with raw_server(answer) as place, pytest.raises(RemoteError, match=r"did not answer within 0\.2 s"):
        ask(f"http://{place}/", limit_s=0.2)


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_a_server_that_speaks_no_http(answer: bytes) -> None:
    with raw_server(answer) as place, pytest.raises(RemoteError, match="answer cannot be read"):
        ask(f"http://{place}/")


def test_certificates_are_verified(tmp_path: Path) -> None:
    found = certificate("auto", tmp_path, "127.0.0.1")
    assert found is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.chain, found.key)
    with raw_server(b"HTTP/1.1 204 No Content\r\n\r\n", context) as place:
        with pytest.raises(RemoteError, match="certificate is not trusted"):
            ask(f"https://{place}/")
        assert ask(f"https://{place}/", insecure=True) == 204
        assert ask(f"https://{place}/", settings=Settings(ca_file=found.chain)) == 204


def test_no_encryption_where_it_is_expected() -> None:
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    with raw_server(answer) as place, pytest.raises(RemoteError, match="does not answer over HTTPS"):
        ask(f"https://{place}/")


def test_the_token_is_not_sent_without_encryption_after_a_redirect() -> None:
    http = WhipHttp("token", False, Settings(), 5.0)
    assert http.resolve("https://a.example/x", "/y") == "https://a.example/y"
    assert http.resolve("http://127.0.0.1/x", "https://127.0.0.1/y") == "https://127.0.0.1/y"
    with pytest.raises(RemoteError, match="not allowed"):
        http.resolve("https://127.0.0.1/x", "http://127.0.0.1/y")


def test_redirects_end() -> None:
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw_server(answer) as place, pytest.raises(RemoteError, match="too many redirects"):
        ask(f"http://{place}/")


def test_hostile_link_headers_are_read_in_linear_time() -> None:
    headers = Message()
    for _ in range(50):
        headers["Link"] = "<" * 60_000
    assert ice_servers(headers) == []


def test_a_server_of_a_user_leads_to_no_private_address() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as place:
        for settings, allowed in ((Settings(), False), (Settings(allow_private_urls=True), True)):
            http = WhipHttp("", False, settings, 30.0, strict=True)
            if allowed:
                assert asyncio.run(http.request("POST", f"http://{place}/x", b"v=0")).status == 200
                continue
            with pytest.raises(RemoteError, match="is not allowed"):
                asyncio.run(http.request("POST", f"http://{place}/x", b"v=0"))


@pytest.mark.parametrize(
    ("url", "strict", "private", "kept"),
    [
        ("stun:8.8.8.8", True, False, True),
        ("stun:10.0.0.1", False, False, True),
        ("stun:10.0.0.1", True, False, False),
        ("stun:10.0.0.1", True, True, True),
        ("turn:169.254.169.254:80?transport=tcp", False, True, False),
        ("turn:[fd00:ec2::254]:80", True, True, False),
        ("turn:a:b:c:d", False, False, False),
    ],
)
def test_ice_servers_that_are_used(url: str, strict: bool, private: bool, kept: bool) -> None:
    http = WhipHttp("", False, Settings(allow_private_urls=private), 30.0, strict)
    assert [server.urls for server in asyncio.run(http.usable([RTCIceServer(url)]))] == [url] * kept
