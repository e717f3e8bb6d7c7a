"""Requests while Redis refuses calls: 503 `store_down` for each that needs one, and never 500."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.settings import Settings
from tests.media import numbered_clip
from tests.refusals import REFUSALS
from tests.servers import RedisServer, start_server
from tests.web.http_checks import SDP, problem
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded

UNREADABLE = {"loading", "password changed", "permissions changed", "endless script"}
"""Refusals of reads too."""
AT_ONCE = 8
SLOW = {"paused"}
"""Each request would wait for a second: tested by `test_redis_link.py`."""

FREES_MEMORY = {"its end", "the end of a stream", "a pause", "a job's end", "a job's removal"}
"""A server whose memory is full runs scripts that begin by removing something."""


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    yield from start_server("valkey")


@pytest.fixture
def site(redis_server: RedisServer, tmp_path: Path) -> Iterator[Site]:
    settings = Settings(data_dir=tmp_path / "data", offer_wait_s=0.6)
    with running(settings, redis_server.url) as site:
        yield site


class Known:
    """Records that exist before Redis refuses writes, so that requests reach the write."""

    def __init__(self, http: httpx.Client, clip: Path, sdp: str) -> None:
        self.http, self.sdp = http, sdp
        self.upload = uploaded(http, clip.read_bytes())
        self.job = submitted(http, upload=self.upload)
        self.ended = submitted(http, upload=self.upload)
        assert http.delete(self.ended, params={"keep": True}).is_success

        self.session = self._session("/api/sessions", json={"sdp": sdp, "type": "offer"})
        self.whip = self._session("/whip/stage", content=sdp, headers=SDP)

    def _session(self, path: str, **request: Any) -> str:
        response = self.http.post(path, **request)
        assert response.status_code == 201, response.text
        return str(response.headers["location"])

    def writes(self) -> dict[str, httpx.Response]:
        """The responses to one request of every kind that writes to Redis."""
        http, offer = self.http, {"sdp": self.sdp, "type": "offer"}
        return {
            "a live video": http.post("/api/sessions", json=offer),
            "its options": http.patch(self.session, json={"options": {}}),
            "its end": http.delete(self.session),
            "a stream": http.post("/whip/other", content=self.sdp, headers=SDP),
            "the end of a stream": http.delete(self.whip),
            "a job": http.post("/api/jobs", json={"upload": self.upload}),
            "a preview": http.post("/api/previews", json={"upload": self.upload}),
            "a pause": http.patch(self.job, json={"paused": True}),
            "a job's end": http.delete(self.job),
            "a job's removal": http.delete(self.ended),
            "readiness": http.get("/readyz"),
            "readiness for files": http.get("/readyz?for=files"),
        }


def paths(http: httpx.Client, known: Known) -> Iterator[tuple[str, str]]:
    """Every operation of the API as (method, path), with the ids of existing records."""
    ids = {"{id}": known.job.rpartition("/")[2], "{session}": known.whip.rpartition("/")[2], "{name}": "stage"}
    for path, operations in http.get("/openapi.json").json()["paths"].items():
        for method in operations:
            target = path
            for name, value in ids.items():
                target = target.replace(name, value)
            if not target.endswith("/events"):  # endless responses, which `test_events.py` tests
                yield method.upper(), target


def assert_no_bugs(http: httpx.Client, known: Known) -> None:
    """Of all operations, several at a time: some wait for Redis before they give up."""

    def check(operation: tuple[str, str]) -> None:
        response = http.request(*operation)
        assert response.status_code < 500 or response.json()["code"] == "store_down", (*operation, response.text)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(check, paths(http, known)))


@pytest.mark.parametrize("kind", sorted(REFUSALS.keys() - UNREADABLE - SLOW))
def test_every_request_gets_an_answer_or_503(
    redis_server: RedisServer, site: Site, tmp_path: Path, camera_offer: str, kind: str
) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 8)
    with site.client() as http:
        known = Known(http, clip, camera_offer)
        REFUSALS[kind].begin(redis_server)
        for what, response in known.writes().items():
            if kind == "memory full" and what in FREES_MEMORY and response.is_success:
                continue
            assert response.status_code == 503, (what, response.text)
            problem(response, 503, "store_down")
        assert_no_bugs(http, known)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(UNREADABLE))
def test_every_request_that_reads_gets_503(
    redis_server: RedisServer, site: Site, tmp_path: Path, camera_offer: str, kind: str
) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 8)
    with site.client() as http:
        known = Known(http, clip, camera_offer)
        REFUSALS[kind].begin(redis_server)
        reads = {path: http.get(path) for path in ("/api/sessions", "/api/jobs", known.session, known.job)}
        for what, response in (known.writes() | reads).items():
            assert response.status_code == 503, (what, response.text)
            problem(response, 503, "store_down")
        assert_no_bugs(http, known)
