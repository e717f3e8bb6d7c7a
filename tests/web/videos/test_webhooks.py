"""Webhooks: delivered once, signed, and retried after failures."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from stream.settings import Settings
from tests.media import numbered_clip
from tests.waiting import until
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import FileWorkerDouble, done, submitted
from tests.web.videos.tus import uploaded
from tests.web_server import Origin, serving
from web.videos.webhooks import _RETRY_S, signed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Request it before `site`, whose loops read the delays when they start."""
    monkeypatch.setattr("web.videos.webhooks._RETRY_S", (0.05,) * 3)
    monkeypatch.setattr("web.videos.webhooks.IDLE_S", 0.05)


@pytest.fixture
def site(settings: Settings, redis_url: str) -> Iterator[Site]:
    with running(settings.model_copy(update={"allow_private_urls": True}), redis_url) as site:
        yield site


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with site.client() as http:
        yield http


def wait_for_calls(origin: Origin, calls: int) -> None:
    until(lambda: len(origin.posts) >= calls, f"{calls} calls arrive")


@pytest.mark.long
def test_a_signed_call_when_a_job_ends(
    short_delays: None, site: Site, http: httpx.Client, origin: Origin, clip: bytes
) -> None:
    job = done(http, site, upload=uploaded(http, clip), webhook=f"{origin.url}/hook?key=1")
    wait_for_calls(origin, 1)
    path, headers, body = origin.posts[0]
    assert path == "/hook?key=1"
    secret = http.get("/api/webhook-secret").json()
    event = Webhook(secret["secret"]).verify(body, headers)
    assert (event["type"], event["data"]["id"]) == ("job.done", job.rpartition("/")[2])
    assert event["data"]["results"]["result"]["url"].startswith(job)
    assert datetime.fromisoformat(event["timestamp"]).timestamp() == pytest.approx(event["data"]["ended_s"], abs=0.001)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret["secret"]).verify(body + b" ", headers)
    stamp, legacy = (part.partition("=")[2] for part in headers["Mattebox-Signature"].split(","))
    signed = f"{stamp}.".encode() + body
    assert legacy == hmac.new(secret["legacy_secret"].encode(), signed, hashlib.sha256).hexdigest()
    assert (event["event"], event["job"]) == (event["type"], event["data"])
    time.sleep(0.4)
    assert len(origin.posts) == 1, "it is delivered only once"


@pytest.mark.long
def test_a_failed_call_is_retried(
    short_delays: None, site: Site, http: httpx.Client, origin: Origin, clip: bytes
) -> None:
    origin.status = 500
    submitted(http, upload=uploaded(http, clip), webhook=f"{origin.url}/hook")
    FileWorkerDouble(site).fail()
    wait_for_calls(origin, 4)
    time.sleep(0.4)
    assert len(origin.posts) == 4, "there is no call after the last failure"
    assert {json.loads(body)["type"] for _, _, body in origin.posts} == {"job.failed"}
    assert len({headers["webhook-id"] for _, headers, _ in origin.posts}) == 1, "an id for receivers to ignore repeats"


@pytest.mark.long
def test_a_receiver_that_is_gone_is_not_called_again(
    short_delays: None, site: Site, http: httpx.Client, origin: Origin, clip: bytes
) -> None:
    origin.status = 410
    submitted(http, upload=uploaded(http, clip), webhook=f"{origin.url}/hook")
    FileWorkerDouble(site).fail()
    wait_for_calls(origin, 1)
    time.sleep(0.4)
    assert len(origin.posts) == 1


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the specification's text, with our secret's form."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_attempts_take_about_an_hour() -> None:
    assert len(_RETRY_S) + 1 == 6
    assert 3000 < sum(_RETRY_S) < 4200
