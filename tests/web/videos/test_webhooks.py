"""Webhooks: told once, signed, and told again when nobody listened."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from stream.settings import Settings
from tests.media import numbered_clip
from tests.origin import Origin, serving
from tests.web.site import Site, running
from tests.web.videos.filing import Filing, done, submitted
from tests.web.videos.tus import uploaded
from web.videos.webhooks import _AGAIN_S, SIGNATURE, signature


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def inside(settings: Settings, redis_url: str) -> Iterator[Site]:
    with running(settings.model_copy(update={"allow_private_urls": True}), redis_url) as site:
        yield site


@pytest.fixture
def http(inside: Site) -> Iterator[httpx.Client]:
    with inside.client() as http:
        yield http


def heard(origin: Origin, calls: int) -> None:
    for _ in range(200):
        if len(origin.posts) >= calls:
            return
        time.sleep(0.03)
    raise AssertionError(f"{len(origin.posts)} calls came")


def test_the_end_of_a_job_is_told_and_signed(inside: Site, http: httpx.Client, origin: Origin, clip: bytes) -> None:
    job = done(http, inside, upload=uploaded(http, clip), webhook=f"{origin.url}/hook?key=1")
    heard(origin, 1)
    path, headers, body = origin.posts[0]
    assert path == "/hook?key=1"
    told = json.loads(body)
    assert (told["event"], told["job"]["id"]) == ("job.done", job.rpartition("/")[2])
    assert told["job"]["results"]["result"]["url"].startswith(job)
    stamp, given = (part.partition("=")[2] for part in headers[SIGNATURE].split(","))
    assert abs(int(stamp) - time.time()) < 60
    secret = http.get("/api/webhook-secret").json()["secret"]
    assert given == signature(secret, stamp, body)
    time.sleep(1.3)
    assert len(origin.posts) == 1, "and once only"


def test_it_is_told_again_when_nobody_listened(
    inside: Site, http: httpx.Client, origin: Origin, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.videos.webhooks._AGAIN_S", (0.05,) * 3)
    monkeypatch.setattr("web.videos.webhooks._IDLE_S", 0.05)
    origin.status = 500
    submitted(http, upload=uploaded(http, clip), webhook=f"{origin.url}/hook")
    Filing(inside).fail()
    heard(origin, 4)
    time.sleep(0.4)
    assert len(origin.posts) == 4, "the last refusal is the last call"
    assert {json.loads(body)["event"] for _, _, body in origin.posts} == {"job.failed"}


def test_the_tries_take_about_an_hour() -> None:
    assert len(_AGAIN_S) + 1 == 6
    assert 3000 < sum(_AGAIN_S) < 4200
