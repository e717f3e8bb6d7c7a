import pytest

from stream.fetch.urls import parsed


@pytest.mark.parametrize("url", ["http://host", "HTTP://host:80/x", "http://[::1]:65535/", "http://u:p@host"])
def test_valid_urls(url: str) -> None:
    parts = parsed(url, ("http",))
    assert parts is not None
    assert parts.hostname in ("host", "::1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:80",
        "ftp://host",
        "http://",
        "http://:80",
        "http://[host",
        "http://h:0",
        "http://h:65536",
        "http://h:x",
    ],
)
def test_invalid_urls(url: str) -> None:
    assert parsed(url, ("http", "https")) is None
