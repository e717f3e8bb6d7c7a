"""/api/feeds on a real server and a real Redis. Addresses are on loopback, and no worker runs the feeds: rules about
addresses are in tests/stream/fetch/test_live_urls.py."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import SecretStr

from stream import limits
from stream.records.feed_pictures import FeedPictures
from stream.records.feed_store import FeedStore
from stream.records.feeds import FeedReport, OutputReport
from stream.records.jobs import POISON
from stream.records.live import Meters
from stream.settings import Settings
from tests.failing_feeds import give_up
from tests.web.http_checks import problem
from tests.web.running_site import Site, running

SOURCE = "rtsp://ann:pass-word@127.0.0.1:1/cam?token=query-secret"
RTMP = "rtmp://127.0.0.1:1/app/stream-key"
SRT = "srt://127.0.0.1:1?passphrase=pass-phrase"
WHIP = "whip+http://bob:pass-word@127.0.0.1:1/whip/stream-key"
SECRET = ("pass-word", "query-secret", "stream-key", "pass-phrase", "bearer-token")
ALICE, BOB = ({"Authorization": f"Bearer {name}-token"} for name in ("alice", "bob"))


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are not resolved, also those that fuzzing makes up."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, family=0, type=0, proto=0, flags=0: real(
            host, port, family, type, proto, flags | socket.AI_NUMERICHOST
        ),
    )


@pytest.fixture(scope="module")
def feed_site(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("feeds"), allow_private_urls=True, feeds_per_user=4,
        tokens=SecretStr("alice:alice-token, bob:bob-token"),
    )  # fmt: skip
    url = f"{valkey}?db=3"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    with running(settings, url, worker=False) as site:
        yield site


@pytest.fixture
def http(feed_site: Site) -> Iterator[httpx.Client]:
    """Alice. Her feeds are removed after the test."""
    with feed_site.client() as client:
        client.headers.update(ALICE)
        yield client
        for feed in client.get("/api/feeds").json()["feeds"]:
            client.delete(f"/api/feeds/{feed['id']}")


def body(name: str = "stage", **more: Any) -> dict[str, Any]:
    return {"name": name, "source": SOURCE, "outputs": [{"address": RTMP}]} | more


def created(http: httpx.Client, name: str = "stage", **more: Any) -> dict[str, Any]:
    response = http.post("/api/feeds", json=body(name, **more))
    assert response.status_code == 201, response.text
    return dict(response.json())


@pytest.mark.long
def test_a_feed_is_created_read_changed_and_removed(http: httpx.Client) -> None:
    response = http.post("/api/feeds", json=body(options={"background": "green"}, outputs=[{"address": RTMP}, {
        "address": SRT, "audio": "off", "bitrate": 2_000_000, "paused": True}]))  # fmt: skip
    assert response.status_code == 201
    feed = response.json()
    path = response.headers["location"]
    assert path == f"/api/feeds/{feed['id']}"
    assert http.get(path).json() == feed
    assert (feed["state"], feed["name"], feed["worker"], feed["meters"]) == ("waiting", "stage", "", None)
    assert feed["source"] == {"address": "rtsp://127.0.0.1:1/cam", "insecure": False, "state": "", "reason": ""}
    assert feed["options"]["background"] == "color:#00ff00"
    first, second = feed["outputs"]
    assert (first["address"], first["audio"], first["bitrate"], first["paused"]) == (
        "rtmp://127.0.0.1:1", "copy", None, False
    )  # fmt: skip
    assert (second["audio"], second["bitrate"], second["paused"], second["state"]) == ("off", 2_000_000, True, "")
    changed = http.patch(path, json={
        "name": "hall", "options": {"engine": "chroma"},
        "outputs": {"add": [{"address": "rtsp://127.0.0.1:1/out"}], "remove": [first["id"]], "resume": [second["id"]]},
    }).json()  # fmt: skip
    assert (changed["name"], changed["options"]["engine"]) == ("hall", "chroma")
    assert changed["options"]["background"] == "color:#00ff00", "what is left out stays"
    assert [(output["address"], output["paused"]) for output in changed["outputs"]] == [
        (second["address"], False), ("rtsp://127.0.0.1:1/out", False)
    ]  # fmt: skip
    assert http.patch(path, json={"outputs": {"pause": [second["id"]]}}).json()["outputs"][0]["paused"]
    assert http.patch(path, json={"running": False}).json()["state"] == "stopped"
    assert http.patch(path, json={"options": {"view": "matte"}}).json()["state"] == "stopped"
    assert http.patch(path, json={"running": True}).json()["state"] == "waiting"
    assert http.delete(path).status_code == 204
    problem(http.get(path), 404, "not_found")
    problem(http.delete(path), 404, "not_found")
    problem(http.patch(path, json={}), 404, "not_found")


@pytest.mark.long
def test_no_answer_contains_a_secret(http: httpx.Client, feed_site: Site) -> None:
    outputs = [{"address": RTMP}, {"address": SRT}, {"address": WHIP, "token": "bearer-token"}]
    response = http.post("/api/feeds", json=body(outputs=outputs))
    path = response.headers["location"]
    answers = [response, http.get(path), http.get("/api/feeds"), http.patch(path, json={"name": "x"})]
    answers += [http.get("/metrics"), http.post("/api/feeds", json=body("x"))]
    answers += [http.post("/api/feeds", json=body("y", source=SOURCE.replace("rtsp", "gopher")))]
    answers += [http.post("/api/feeds", json=body("y", outputs=[{"address": RTMP + " x"}]))]
    for answer in answers:
        assert not [secret for secret in SECRET if secret in answer.text]


def test_a_repeated_request_with_a_key_returns_the_first_feed(http: httpx.Client) -> None:
    key = {"Idempotency-Key": "k1"}
    first = http.post("/api/feeds", json=body(), headers=key)
    again = http.post("/api/feeds", json=body(), headers=key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    other = body(source=SOURCE.replace("pass-word", "another"))
    problem(http.post("/api/feeds", json=other, headers=key), 422, "key_reused", "Idempotency-Key")


def test_names_and_numbers_are_limited(http: httpx.Client) -> None:
    created(http, "a")
    problem(http.post("/api/feeds", json=body("a")), 409, "name_in_use", "name")
    for name in "bcd":
        created(http, name, running=False)
    refused = http.post("/api/feeds", json=body("e"))
    problem(refused, 429, "too_many_feeds")
    assert int(refused.headers["retry-after"]) > 0
    id = http.get("/api/feeds").json()["feeds"][0]["id"]
    problem(http.patch(f"/api/feeds/{id}", json={"name": "a"}), 409, "name_in_use", "name")


def test_the_list_has_pages(http: httpx.Client) -> None:
    for name in "abc":
        created(http, name)
    first = http.get("/api/feeds?limit=2")
    assert [feed["name"] for feed in first.json()["feeds"]] == ["c", "b"]
    link = first.headers["link"]
    assert link.endswith('>; rel="next"')
    last = http.get(link[1:].partition(">")[0])
    assert ([feed["name"] for feed in last.json()["feeds"]], last.json()["next"]) == (["a"], None)
    assert "link" not in last.headers
    problem(http.get("/api/feeds?cursor=nonsense"), 422, "invalid", "cursor")


def test_a_feed_of_another_user_does_not_exist(http: httpx.Client, feed_site: Site) -> None:
    path = f"/api/feeds/{created(http)['id']}"
    for method, change in (("GET", None), ("DELETE", None), ("PATCH", {"running": False})):
        problem(http.request(method, path, headers=BOB, json=change), 404, "not_found")
    assert http.get("/api/feeds", headers=BOB).json() == {"feeds": [], "next": None}
    with feed_site.client() as anyone:
        problem(anyone.get(path), 401, "sign_in")


def test_what_a_worker_reports_is_shown(http: httpx.Client, feed_site: Site) -> None:
    feed = created(http, outputs=[{"address": RTMP}, {"address": SRT}])

    async def report() -> None:
        store = FeedStore(feed_site.context.store.link)
        claimed = await store.claim("w1")
        assert claimed is not None
        outputs = (OutputReport(id=feed["outputs"][1]["id"], state="reconnecting", reason="refused", dropped=3),)
        await store.report(
            claimed.feed, FeedReport(source_state="live", outputs=outputs, meters=Meters(fps_in=25.0))
        )  # fmt: skip

    feed_site.call(report())
    found = http.get(f"/api/feeds/{feed['id']}").json()
    assert (found["state"], found["worker"], found["meters"]["fps_in"]) == ("running", "w1", 25.0)
    assert found["started_s"] >= found["created_s"]
    assert found["source"]["state"] == "live"
    first, second = found["outputs"]
    assert (first["state"], second["state"], second["reason"], second["dropped"]) == ("", "reconnecting", "refused", 3)
    stopped = http.patch(f"/api/feeds/{feed['id']}", json={"running": False}).json()
    assert (stopped["state"], stopped["source"]["state"], stopped["started_s"]) == ("stopped", "", 0.0)


def test_a_feed_that_was_given_up_says_why_and_is_started_again_by_a_change(
    http: httpx.Client, feed_site: Site
) -> None:
    feed = created(http)
    give_up(feed_site, POISON)
    found = http.get(f"/api/feeds/{feed['id']}").json()
    assert (found["state"], found["reason"]) == ("failed", "poison")
    assert "workers died repeatedly" in found["detail"]
    assert "change it or start it again" in found["detail"]
    again = http.patch(f"/api/feeds/{feed['id']}", json={"running": True}).json()
    assert (again["state"], again["reason"], again["detail"]) == ("waiting", "", "")


@pytest.mark.parametrize(("change", "field"), [
    ({"name": "a/b"}, "name"), ({"name": ""}, "name"), ({"name": "x" * 65}, "name"), ({"source": ""}, "source"),
    ({"source": 3}, "source"), ({"source": "rtsp://127.0.0.1:1/a b"}, "source"), ({"source": "clip.mp4"}, "source"),
    ({"source": "file:///etc/passwd"}, "source"), ({"source": "camera:"}, "source"),
    ({"source": "live:../x"}, "source"),
    ({"source": "live://studio"}, "source"), ({"outputs": [{"address": "live:x"}]}, "outputs.0.address"),
    ({"source_token": "t"}, "source_token"), ({"source": "whep+https://127.0.0.1:1/x", "source_token": "a b"},
     "source_token"),
    ({"source": "rtsp://127.0.0.1:1/a@b"}, "source"), ({"source": "x" * 3000}, "source"),
    ({"outputs": [{"address": RTMP}, {"address": "out.mp4"}]}, "outputs.1.address"),
    ({"outputs": [{"address": "camera:"}]}, "outputs.0.address"),
    ({"outputs": [{"address": "http://127.0.0.1:1/x"}]}, "outputs.0.address"),
    ({"outputs": [{"address": RTMP, "bitrate": 1}]}, "outputs.0.bitrate"),
    ({"outputs": [{"address": RTMP, "bitrate": 10**12}]}, "outputs.0.bitrate"),
    ({"outputs": [{"address": RTMP, "audio": "loud"}]}, "outputs.0.audio"),
    ({"outputs": [{"address": RTMP, "token": "t"}]}, "outputs.0.token"),
    ({"outputs": [{"address": "whip+http://127.0.0.1:1/x", "token": "a b"}]}, "outputs.0.token"),
    ({"outputs": [{"address": RTMP, "extra": 1}]}, "outputs.0.extra"),
    ({"outputs": [{"address": RTMP}] * (limits.FEED_OUTPUTS + 1)}, "outputs"),
    ({"options": {"background": "image:/etc/passwd"}}, "options.background"),
    ({"options": {"background": "none"}}, "options.background"), ({"options": {"view": "overlay"}}, "options.view"),
    ({"options": {"engine": "magic"}}, "options.engine"), ({"options": {"edges": {"feather": -1}}},
     "options.edges.feather"), ({"options": {"nonsense": 1}}, "options.nonsense"), ({"unknown": 1}, "unknown"),
    ({"running": "perhaps"}, "running"),
])  # fmt: skip
def test_invalid_requests_name_the_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    response = http.post("/api/feeds", json=body() | change)
    assert response.status_code == 422, response.text
    assert field in [fault["field"] for fault in response.json()["errors"]], response.text


@pytest.mark.parametrize(("change", "field"), [
    ({"outputs": {"remove": ["5f6b6d0e"]}}, "outputs.remove.0"), ({"outputs": {"pause": ["x"]}}, "outputs.pause.0"),
    ({"outputs": {"add": [{"address": "pipe:1"}]}}, "outputs.add.0.address"),
    ({"outputs": {"add": [{"address": RTMP}] * limits.FEED_OUTPUTS}}, "outputs.add"),
    ({"options": {"background": "blur:0.01"}}, "options.background"), ({"name": "?"}, "name"),
    ({"source": "rtsp://127.0.0.1:1/other"}, "source"),
])  # fmt: skip
def test_invalid_changes_name_the_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    path = f"/api/feeds/{created(http)['id']}"
    before = http.get(path).json()
    response = http.patch(path, json=change)
    assert response.status_code == 422, response.text
    assert field in [fault["field"] for fault in response.json()["errors"]], response.text
    assert http.get(path).json() == before


def test_a_stream_of_this_server_is_not_matted_again(http: httpx.Client) -> None:
    """Its viewers may see all of it, so nothing has to be allowed."""
    feed = created(http, source="live:studio")
    path = f"/api/feeds/{feed['id']}"
    assert (feed["source"]["address"], feed["options"]["background"]) == ("live:studio", "none")
    changed = http.patch(path, json={"options": {"background": "blur", "view": "overlay"}})
    assert changed.json()["options"]["background"] == "blur:0.5"
    assert http.patch(path, json={"options": {"background": None}}).json()["options"]["background"] == "none"
    blurred = created(http, "blurred", source="live:studio", options={"background": "green", "engine": "chroma"})
    assert (blurred["options"]["background"], blurred["options"]["engine"]) == ("color:#00ff00", "chroma")


def test_a_whep_server_may_be_the_source(http: httpx.Client, feed_site: Site) -> None:
    feed = created(http, source="whep+https://127.0.0.1:1/whep/stream-key", source_token="bearer-token")
    assert feed["source"]["address"] == "whep+https://127.0.0.1:1"

    async def claimed() -> str:
        found = await FeedStore(feed_site.context.store.link).claim("w1")
        assert found is not None
        assert "bearer-token" not in repr(found)
        return found.secrets.source_token

    assert feed_site.call(claimed()) == "bearer-token"
    assert not [secret for secret in SECRET if secret in http.get("/api/feeds").text]


def test_outputs_may_show_the_room_if_that_is_meant(http: httpx.Client) -> None:
    feed = created(http, options={"background": "none"}, show_room=True)
    path = f"/api/feeds/{feed['id']}"
    assert http.patch(path, json={"options": {"engine": "chroma"}}).status_code == 200
    problem(http.patch(path, json={"options": {"view": "overlay"}}), 422, "shows_room")


_ADDRESSES = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}127.0.0.1{}".format,
        st.sampled_from(
            ["rtsp://", "rtmp://", "srt://", "udp://", "whip+https://", "file://", "camera:", "http:", "live:"]
        ),
        st.text("ab:@%/?#[]\\\x00\u2100é", max_size=8),
        st.text("0123456789:@%/?#[]\\\n\ud800é", max_size=8),
    ),
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_OPTIONS = ["background", "engine", "view", "key", "edges", "subjects", "chooser"]
_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | _JSON,
        "source": _ADDRESSES | _JSON,
        "outputs": st.lists(st.fixed_dictionaries({"address": _ADDRESSES}) | _JSON, max_size=3) | _JSON,
        "options": st.dictionaries(st.sampled_from(_OPTIONS), _JSON) | _JSON,
        "running": _JSON,
        "show_room": _JSON,
    },
)


@pytest.mark.long
@effort(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_BODIES)
def test_no_request_is_a_server_error(http: httpx.Client, request_body: dict[str, Any]) -> None:
    content = json.dumps(request_body)
    for method, path in (("POST", "/api/feeds"), ("PATCH", _path_of_one(http))):
        response = http.request(method, path, content=content, headers={"Content-Type": "application/json"})
        assert response.status_code < 500, response.text


def _path_of_one(http: httpx.Client) -> str:
    listed = http.get("/api/feeds").json()["feeds"]
    return f"/api/feeds/{listed[0]['id'] if listed else created(http, 'one')['id']}"


def test_the_text_of_the_slate_is_set_changed_and_reset(http: httpx.Client) -> None:
    feed = created(http, options={"slate": " Zurück um 20 Uhr "})
    path = f"/api/feeds/{feed['id']}"
    assert feed["options"]["slate"] == "Zurück um 20 Uhr"
    assert http.patch(path, json={"options": {"slate": "すぐ戻ります"}}).json()["options"]["slate"] == "すぐ戻ります"
    assert http.patch(path, json={"options": {"slate": None}}).json()["options"]["slate"] == ""
    refused = http.patch(path, json={"options": {"slate": "soon 😀"}})
    problem(refused, 422, "invalid", "options.slate")
    assert "“😀” cannot be drawn" in refused.json()["errors"][0]["detail"], refused.json()


def test_the_picture_is_for_the_owner_and_is_not_stored(http: httpx.Client, feed_site: Site) -> None:
    feed = created(http)
    path = f"/api/feeds/{feed['id']}/picture"
    assert http.get(path).status_code == 204, "it waits for a worker"
    asked: list[str] = []

    async def draw(id: str) -> bytes:
        asked.append(id)
        return b"jpeg"

    async def work() -> "asyncio.Task[None]":
        link = feed_site.context.store.link
        assert await FeedStore(link).claim("w9")
        task = asyncio.create_task(FeedPictures(link).serve("w9", draw))
        while not await link.ask("PUBSUB", "CHANNELS", "*w9"):
            await asyncio.sleep(0.01)
        return task

    task = feed_site.call(work())
    try:
        found = http.get(path)
        assert (found.status_code, found.content, asked) == (200, b"jpeg", [feed["id"]])
        assert (found.headers["content-type"], found.headers["cache-control"]) == ("image/jpeg", "no-store")
        same = http.get(path, headers={"If-None-Match": found.headers["etag"]})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", found.headers["etag"])
        problem(http.get(path, headers=BOB), 404, "not_found")
        with feed_site.client() as anyone:
            problem(anyone.get(path), 401, "sign_in")
        assert len(asked) == 2, "only the owner's requests reach the worker"
    finally:
        feed_site._loop.call_soon_threadsafe(task.cancel)
    http.patch(f"/api/feeds/{feed['id']}", json={"running": False})
    assert http.get(path).status_code == 204


def test_the_metrics_have_no_names_of_feeds(http: httpx.Client, feed_site: Site) -> None:
    feed = created(http, "a-name-of-mine")
    created(http, "stopped", running=False)

    async def report() -> None:
        store = FeedStore(feed_site.context.store.link)
        claimed = await store.claim("w1")
        assert claimed is not None
        output = OutputReport(id=feed["outputs"][0]["id"], state="reconnecting", latency_ms=80.0)
        await store.report(claimed.feed, FeedReport(source_state="live", outputs=(output,)))

    feed_site.call(report())
    text = http.get("/metrics").text
    for line in (
        'mattebox_feeds{state="running"} 1.0', 'mattebox_feeds{state="stopped"} 1.0',
        'mattebox_feeds{state="failed"} 0.0', 'mattebox_feed_sources{state="live"} 1.0',
        'mattebox_feed_outputs{state="reconnecting"} 1.0', 'mattebox_feed_outputs{state="live"} 0.0',
        'mattebox_feed_latency_seconds{over="worst"} 0.08',
    ):  # fmt: skip
        assert line in text.splitlines()
    assert not [word for word in ("a-name-of-mine", feed["id"], "127.0.0.1", "alice") if word in text]
