import asyncio
import json

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from stream.errors import DiskError, disk_error
from web.http.guard import SecurityHeaders
from web.http.problems import InternalErrors, Problem, _mattebox_error, render


def test_problems_show_no_paths_of_the_server() -> None:
    response = Problem(422, "invalid", "/srv/mattebox/jobs/1/source is damaged", field="upload").response()
    body = json.loads(bytes(response.body))
    assert body["detail"] == "source is damaged"
    assert body["errors"] == [{"field": "upload", "detail": "source is damaged"}]
    assert (
        json.loads(bytes(render(404, "x", "see https://a.example/b/c").body))["detail"] == "see https://a.example/b/c"
    )


async def answered(exc: Exception) -> bytes:
    return bytes((await _mattebox_error(None, exc)).body)  # type: ignore[arg-type]


def test_the_log_has_the_path_that_the_response_lacks(caplog: pytest.LogCaptureFixture) -> None:
    exc = disk_error(OSError(28, "no space"), "/srv/mattebox/storage/uploads/1/source")
    assert isinstance(exc, DiskError)
    body = json.loads(asyncio.run(answered(exc)))
    assert (body["status"], body["detail"]) == (507, "cannot write source: the disk is full")
    assert "/srv/mattebox/storage/uploads/1/source" in caplog.text


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("a bug")


async def requested(app: ASGIApp) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        return await http.get("/")


def test_an_internal_error_has_the_headers_of_every_response(caplog: pytest.LogCaptureFixture) -> None:
    response = asyncio.run(requested(SecurityHeaders(InternalErrors(fails))))
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["content-type"] == "application/problem+json"
    assert "content-security-policy" in response.headers
    assert "a bug" in caplog.text


def test_a_response_that_has_begun_is_not_followed_by_another() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(requested(InternalErrors(fails_late)))
