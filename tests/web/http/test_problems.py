import asyncio
import json

import pytest

from stream.errors import DiskError, disk_error
from web.http.problems import Problem, _mattebox_error, render


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
