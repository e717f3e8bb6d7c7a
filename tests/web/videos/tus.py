"""A small tus 1.0 client for tests. It can also use a raw socket, to interrupt uploads."""

import base64
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.waiting import PATIENCE_S
from web.videos import uploads

PATH = "/api/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BODY = TUS | {"Content-Type": "application/offset+octet-stream"}


def begun(http: httpx.Client, length: int, name: str = "clip.mp4", **headers: str) -> str:
    """The path of a new upload."""
    response = http.post(PATH, headers=creation_headers(length, name) | headers)
    assert response.status_code == 201, response.text
    return str(response.headers["location"])


def creation_headers(length: int, name: str = "clip.mp4") -> dict[str, str]:
    encoded = base64.b64encode(name.encode()).decode()
    return TUS | {"Upload-Length": str(length), "Upload-Metadata": f"filename {encoded}".strip()}


def sent(http: httpx.Client, path: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    return http.patch(path, content=content, headers=BODY | {"Upload-Offset": str(offset)} | headers)


def offset_of(http: httpx.Client, path: str) -> int:
    response = http.head(path, headers=TUS)
    assert response.status_code == 200
    return int(response.headers["upload-offset"])


def uploaded(http: httpx.Client, content: bytes, name: str = "clip.mp4") -> str:
    """The id of a finished upload."""
    path = begun(http, len(content), name)
    assert sent(http, path, 0, content).status_code == 204
    return path.rpartition("/")[2]


def writing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a server of this process has locked a draft, and begins to read what its client sends."""
    real, begun = uploads._write_body, threading.Event()

    async def watched(*args: Any) -> None:
        begun.set()
        await real(*args)

    monkeypatch.setattr(uploads, "_write_body", watched)
    return begun


def cut_off(url: str, path: str, offset: int, content: bytes, after: int) -> None:
    """Announce all of `content`, send `after` bytes of it, and close the connection."""
    with opened(url, path, offset, len(content)) as connection:
        connection.sendall(content[:after])


def opened(url: str, path: str, offset: int, length: int) -> socket.socket:
    """A connection on which the headers of a PATCH of `length` bytes have been sent."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)
    fields = BODY | {"Host": parts.netloc, "Upload-Offset": str(offset), "Content-Length": str(length)}
    head = "\r\n".join([f"PATCH {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
    connection.sendall(head.encode())
    return connection
