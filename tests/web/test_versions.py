"""Records that a newer version has stored, over HTTP: they are shown, ended and removed, and never a server error."""

import json
from uuid import uuid4

import httpx
import pytest
import redis

from stream.records.feeds import Feed, FeedSecrets
from stream.records.jobs import Job
from stream.records.live import Session, SessionKind
from stream.records.versions import FORMAT, NEWER
from tests.servers import KEYS
from tests.web.running_site import Site

FUTURE = {
    "an unknown format": {"format": "99"},
    "an unknown engine": {"options": '{"engine": "unheard-of"}'},
    "an unknown option": {"options": '{"hologram": {"depth": 1}}'},
    "unknown values": {"options": '{"view": "hologram", "background": "depth:3"}', "format": str(FORMAT + 1)},
    "an unknown field": {"added": "text", "outputs": '[{"name": "result", "format": "holo", "added": 1}]'},
    "an unknown state": {"state": "archived"},
}


@pytest.fixture(params=FUTURE.values(), ids=list(FUTURE))
def fields(request: pytest.FixtureRequest) -> dict[str, str]:
    found: dict[str, str] = request.param
    return found


def alter(valkey: str, key: str, fields: dict[str, str]) -> None:
    with redis.Redis.from_url(valkey) as client:
        client.hset(key, mapping=fields)


def refused(response: httpx.Response, is_known: bool) -> None:
    """A change is refused if the record has contents that would be lost."""
    assert response.is_success if is_known else (response.status_code, response.json()["code"]) == (409, NEWER)


def test_a_job(site: Site, http: httpx.Client, valkey: str, fields: dict[str, str]) -> None:
    job = site.call(site.context.jobs.submit(Job(id=str(uuid4()), source="uploads/1/source")))
    alter(valkey, KEYS.job(job.id), fields)
    path = f"/api/jobs/{job.id}"
    shown = http.get(path)
    assert shown.status_code == 200, shown.text
    is_known = not ({"format", "outputs", "state"} & fields.keys() or "hologram" in fields.get("options", ""))
    assert [code for code, _ in shown.json()["warnings"]] == ([] if is_known else [NEWER])
    assert job.id in [found["id"] for found in http.get("/api/jobs").json()["jobs"]]
    assert http.get("/metrics").status_code == http.get("/api/sessions").status_code == 200
    assert http.patch(path, json={"paused": True}).status_code in (200, 409)
    expected = 409 if "state" in fields else 204  # it is not known whether it has ended
    assert http.delete(path).status_code == expected


def test_a_feed(site: Site, http: httpx.Client, valkey: str, fields: dict[str, str]) -> None:
    new = Feed(id=str(uuid4()), name=f"stage-{uuid4().hex[:8]}", source="rtsp://camera.example/cam")
    feed = site.call(site.context.feeds.create(new, FeedSecrets("rtsp://camera.example/cam"), 1000))
    own = {name: text for name, text in fields.items() if name != "outputs"}
    alter(valkey, KEYS.feed(feed.id), own)
    path = f"/api/feeds/{feed.id}"
    shown = http.get(path)
    assert shown.status_code == 200, shown.text
    assert feed.id in [found["id"] for found in http.get("/api/feeds").json()["feeds"]]
    is_known = not ({"format", "state"} & own.keys() or "hologram" in own.get("options", ""))
    refused(http.patch(path, json={"running": False}), is_known)
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        kept = client.hgetall(KEYS.feed(feed.id))
    assert is_known or own.items() <= kept.items(), "nothing of it is lost"
    assert http.delete(path).status_code == 204


def test_a_session(site: Site, http: httpx.Client, valkey: str, fields: dict[str, str]) -> None:
    session = Session(id=str(uuid4()), kind=SessionKind.CAMERA)
    pairs = session.to_fields()
    alter(valkey, KEYS.session(session.id), dict(zip(pairs[::2], pairs[1::2], strict=True)))
    own = {name: text for name, text in fields.items() if name != "outputs"}
    alter(valkey, KEYS.session(session.id), own)
    with redis.Redis.from_url(valkey) as client:
        client.zadd(KEYS.sessions, {session.id: 1e12})
    path = f"/api/sessions/{session.id}"
    assert http.get(path).status_code == 200
    assert session.id in [found["id"] for found in http.get("/api/sessions").json()["sessions"]]
    is_known = not ({"format", "state"} & own.keys() or "hologram" in own.get("options", ""))
    if "engine" not in json.loads(own.get("options", "{}")):
        refused(http.patch(path, json={"options": {"background": "blur"}}), is_known)
    assert http.delete(path).status_code == 204


def test_a_session_of_an_unknown_kind_and_such_a_worker(site: Site, http: httpx.Client, valkey: str) -> None:
    pairs = Session(id=str(uuid4()), kind=SessionKind.CAMERA).to_fields()
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True)) | {"kind": "hologram"}
    alter(valkey, KEYS.session(fields["id"]), fields)
    with redis.Redis.from_url(valkey) as client:
        client.zadd(KEYS.sessions, {fields["id"]: 1e12})
    worker = json.dumps({"id": "future", "kind": "hologram", "state": "ready", "added": 1})
    site.call(site.store.link.run("live/beat", "future", worker, ""))
    assert http.get(f"/api/sessions/{fields['id']}").status_code == 404
    for path in ("/api/sessions", "/readyz", "/metrics"):
        assert http.get(path).status_code == 200, path
    with redis.Redis.from_url(valkey) as client:
        client.zrem(KEYS.sessions, fields["id"])
