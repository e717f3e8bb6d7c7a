"""What people write as addresses; that secrets are neither shown nor quoted."""

from pathlib import Path

import pytest

from stream.address import Address, with_password
from stream.errors import UsageError

SCHEMES = ("file", "pattern", "rtsp", "camera")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@cam.lan:554/Streaming/101", "rtsp://cam.lan:554/Streaming/101"),
        ("rtsps://cam.lan/x?user=u&password=p", "rtsps://cam.lan/x"),
        ("rtsp://[::1]:8554/user=admin_password=p_channel=1", "rtsp://[::1]:8554"),
        ("rtmp://live.example/app/the-stream-key", "rtmp://live.example"),
        ("srt://u:p@host:9000?passphrase=p", "srt://host:9000"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert str(Address.read(url)) == shown
    assert repr(Address.read(url)) == f"Address({shown!r})"
    assert Address.read(url).url == url


def test_a_scheme_in_capitals_is_made_small() -> None:
    assert Address.read("RTSPS://u:p@Cam/X").url == "rtsps://u:p@Cam/X"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("film.mp4", "film.mp4"),
        ("/a b/100%.mp4", "/a b/100%.mp4"),
        ("talk:2.mp4", "talk:2.mp4"),
        ("12:30.mp4", "12:30.mp4"),
        ("C:\\films\\a.mp4", "C:\\films\\a.mp4"),
        ("file:film.mp4", "film.mp4"),
        ("file:///a%20b/film.mp4", "/a b/film.mp4"),
        ("file://localhost/film.mp4", "/film.mp4"),
    ],
)
def test_a_file_is_named_by_its_path(text: str, path: str) -> None:
    address = Address.read(text, SCHEMES)
    assert (address.scheme, address.path, str(address)) == ("file", Path(path), path)


def test_a_path_is_taken_as_it_is() -> None:
    assert Address.file(Path("rtsp:x%20y")).path == Path("rtsp:x%20y")
    assert Address.of(Path("a.mp4")) == Address.read("a.mp4")


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("pattern:", "", "pattern:"),
        ("Pattern:room", "room", "pattern:room"),
        ("pattern://room", "room", "pattern://room"),
        ("camera:/dev/video0", "/dev/video0", "camera:/dev/video0"),
        ("rtsp:u:hush@cam/x", "u:hush@cam/x", "rtsp:"),
    ],
)
def test_what_is_no_network_address_has_a_name(text: str, name: str, shown: str) -> None:
    address = Address.read(text, SCHEMES)
    assert (address.name, str(address), repr(address)) == (name, shown, f"Address({shown!r})")
    with pytest.raises(UsageError):
        assert address.path


@pytest.mark.parametrize(
    "text", ["file://server/u:hush.mp4", "file://", " rtmp://u:hush@host/x", "a/rtmp://u:hush@host/x", "://hush"]
)
def test_what_is_neither_a_file_nor_an_address_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Address.read(text, SCHEMES)
    assert "hush" not in str(refused.value)


def test_a_password_is_put_after_its_user() -> None:
    assert with_password("rtsp://ann@cam/x", b"s3cr@t/") == "rtsp://ann:s3cr%40t%2F@cam/x"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("srt://host:9000", "srt://host:9000?passphrase=one%20%26%20two"),
        ("srt://host:9000?latency=200", "srt://host:9000?latency=200&passphrase=one%20%26%20two"),
    ],
)
def test_for_srt_it_is_the_passphrase(url: str, expected: str) -> None:
    assert with_password(url, b"one & two") == expected
    with pytest.raises(UsageError, match="has a passphrase already") as refused:
        with_password(expected, b"hush")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("url", ["rtsp://cam/x", "rtsp://u:hush@cam/x", "film.mp4"])
def test_a_password_needs_a_user_who_has_none(url: str) -> None:
    with pytest.raises(UsageError, match="rtsp://USER@HOST/PATH") as refused:
        with_password(url, b"hush")
    assert "hush" not in str(refused.value)
