"""Addresses of sources and outputs of feeds. Nothing here opens a connection or asks a name server."""

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import FetchError
from stream.fetch.live_urls import OUTPUT_SCHEMES, SOURCE_SCHEMES, check_live_url
from stream.settings import Settings

ALL = sorted({*SOURCE_SCHEMES, *OUTPUT_SCHEMES})
INSIDE = Settings(allow_private_urls=True)
each_scheme = pytest.mark.parametrize("scheme", ALL)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test, and so does the resolution of a name that is not numeric."""
    real = socket.getaddrinfo

    def connect(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address}")

    def numeric(host: str, port: object, *rest: int, **more: int) -> object:
        return real(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", numeric)


@each_scheme
@pytest.mark.parametrize("host", [
    "169.254.169.254", "[fd00:ec2::254]", "192.0.0.192", "100.100.100.200", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "[fe80::1]", "[ff02::1]", "[::]", "[::ffff:169.254.169.254]",
])  # fmt: skip
def test_metadata_services_and_multicast_are_never_allowed(scheme: str, host: str) -> None:
    for settings in (Settings(), INSIDE):
        with pytest.raises(FetchError, match="not allowed"):
            check_live_url(f"{scheme}://ann:secret-word@{host}:1234/path/key?x=y", ALL, settings)


@each_scheme
@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "[::1]", "10.0.0.8", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fc00::1]", "0x7f000001",
    "2130706433", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "[2002:7f00:1::]",
])  # fmt: skip
def test_private_addresses_only_if_the_operator_allows_them(scheme: str, host: str) -> None:
    with pytest.raises(FetchError) as refused:
        check_live_url(f"{scheme}://ann:secret-word@{host}:1234/path/stream-key", ALL, Settings())
    assert "secret-word" not in str(refused.value)
    assert "stream-key" not in str(refused.value)
    if host != "localhost":  # a name
        check_live_url(f"{scheme}://{host}:1234/path/stream-key", ALL, INSIDE)


@each_scheme
def test_public_addresses_are_allowed(scheme: str) -> None:
    check_live_url(f"{scheme}://ann:secret@8.8.8.8:1234/app/key?token=x", ALL, Settings())
    check_live_url(f"{scheme}://[2606:4700::1]/app", ALL, Settings())


@pytest.mark.parametrize("url", [
    "file:///etc/passwd", "/etc/passwd", "clip.mp4", "concat:a|b", "pipe:0", "pipe://0", "fd:0", "-", "", "://",
    "rtsp:/8.8.8.8/x", "rtsp://", "rtsp:///x", "rtsp://8.8.8.8:0/", "rtsp://8.8.8.8:99999/", "rtsp://[::1",
    "rtsp://8.8.8.8/a b", "rtsp://8.8.8.8/\n", "rtsp://8.8.8.8/\x00", "subfile,,start,0,end,9,,:/etc/passwd",
    "cache:rtsp://8.8.8.8/", "ffrtmphttp://8.8.8.8/", "tcp://8.8.8.8:22", "gopher://8.8.8.8/", "live:stage",
    "data:video/mp4;base64,AAAA", "rtsp://8.8.8.8/" + "x" * 3000, "udp://@:5000", "srt://:9000?mode=listener",
    "pattern://", "stdin://",
])  # fmt: skip
def test_what_is_no_network_address_is_refused(url: str) -> None:
    for settings in (Settings(), INSIDE):
        with pytest.raises(FetchError):
            check_live_url(url, ALL, settings)


def test_cameras_only_if_the_operator_allows_them() -> None:
    for url in ("camera:", "camera:/dev/video2", "Camera:x"):
        with pytest.raises(FetchError, match="MATTEBOX_FEED_DEVICES"):
            check_live_url(url, ALL, INSIDE)
        check_live_url(url, ALL, Settings(feed_devices=True))
    with pytest.raises(FetchError):
        check_live_url("camera:\n", ALL, Settings(feed_devices=True))


def test_a_scheme_that_is_not_listed_is_refused() -> None:
    with pytest.raises(FetchError, match="rtsp"):
        check_live_url("srt://8.8.8.8:9000", ["rtsp"], Settings())


def test_offline_refuses_everything() -> None:
    with pytest.raises(FetchError, match="OFFLINE"):
        check_live_url("rtsp://8.8.8.8/x", ALL, Settings(offline=True))


@given(st.text(max_size=60), st.sampled_from(ALL))
def test_any_text_is_accepted_or_refused(text: str, scheme: str) -> None:
    for url in (text, f"{scheme}://{text}", f"{scheme}:{text}"):
        with suppress(FetchError):
            check_live_url(url, ALL, INSIDE)


def test_udp_is_received_on_the_checked_address_only() -> None:
    check_live_url("udp://8.8.8.8:9000?fifo_size=9", ALL, Settings())
    with pytest.raises(FetchError, match="localaddr"):
        check_live_url("udp://8.8.8.8:9000?localaddr=0.0.0.0", ALL, INSIDE)


def test_a_stream_of_this_server_is_a_name_where_it_is_allowed() -> None:
    check_live_url("live:studio", [*SOURCE_SCHEMES, "live"], Settings())
    for url in ("live:", "live:a/b", "live://127.0.0.1/x", "live:a b", "live:studio\n"):
        with pytest.raises(FetchError, match="live:NAME"):
            check_live_url(url, [*SOURCE_SCHEMES, "live"], Settings())
    with pytest.raises(FetchError):
        check_live_url("live:studio", OUTPUT_SCHEMES, Settings())
