import json
from dataclasses import asdict

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from stream.records.engines import ENGINES, offered
from stream.records.live import REASONS, Answer
from stream.settings import Settings
from tests import waiting
from tests.web.http_checks import SDP, begin, problem, until
from tests.web.live_worker_double import CANNED, Double
from tests.web.running_site import Site, running


def test_a_camera_session_starts_and_ends(http: httpx.Client, camera_offer: str) -> None:
    response = begin(http, camera_offer, options={"background": "color:#102030", "engine": "chroma"})
    assert response.status_code == 201
    body = response.json()
    assert (body["sdp"], body["type"]) == (CANNED, "answer")
    path = response.headers["location"]
    assert path == f"/api/sessions/{body['id']}"
    record = until(http, path, state="live")
    assert record["kind"] == "camera"
    assert record["options"]["background"] == "color:#102030"
    assert http.delete(path).status_code == 204
    assert until(http, path, state="ended")["reason"] == "deleted"
    assert http.delete(path).status_code == 204, "ending twice is no error"
    assert body["id"] in [s["id"] for s in http.get("/api/sessions").json()["sessions"]]


def test_meters_of_a_live_video(http: httpx.Client, camera_offer: str) -> None:
    path = begin(http, camera_offer).headers["location"]
    meters = waiting.until(lambda: http.get(path).json()["meters"])
    assert meters["fps_out"] == 29.5
    assert meters["dropped"] == {"late": 3}


def test_changing_some_options_keeps_the_others(worker: Double, http: httpx.Client, camera_offer: str) -> None:
    path = begin(http, camera_offer, options={"background": "blur:0.25", "view": "matte"}).headers["location"]
    until(http, path, state="live")
    changed = http.patch(path, json={"options": {"background": "green"}})
    assert changed.json()["options"]["background"] == "color:#00ff00"
    assert changed.json()["options"]["view"] == "matte"
    assert http.patch(path, json={"options": {"view": None}}).json()["options"]["view"] == "composite"
    sent = [c.options for c in worker.commands if c.kind == "options"]
    assert sent[0] is not None
    assert sent[0].background.spec() == "color:#00ff00"


def test_a_camera_may_show_its_owner_the_room(http: httpx.Client, camera_offer: str) -> None:
    assert begin(http, camera_offer, options={"background": "none", "view": "overlay"}).status_code == 201


def test_a_new_session_replaces_the_old(http: httpx.Client, camera_offer: str) -> None:
    old = begin(http, camera_offer).headers["location"]
    until(http, old, state="live")
    assert begin(http, camera_offer, replaces=old.rpartition("/")[2]).status_code == 201
    assert until(http, old, state="ended")["reason"] == "replaced"
    assert begin(http, camera_offer, replaces="long-gone").status_code == 201


@pytest.mark.long
def test_without_a_worker_an_offer_gets_503(workerless: Site, camera_offer: str) -> None:
    with workerless.client() as http:
        response = begin(http, camera_offer)
        problem(response, 503, "no_worker")
        assert int(response.headers["retry-after"]) >= 1
        assert http.get("/api/sessions").json()["sessions"][0]["reason"] == "no_worker"


@pytest.mark.long
def test_an_offer_that_a_worker_took_but_did_not_answer_gets_503(
    settings: Settings, redis_url: str, camera_offer: str
) -> None:
    """The response, the record and the metric name the same cause."""
    with running(settings.model_copy(update={"offer_wait_s": 1.0}), redis_url) as site, site.client() as http:
        assert site.worker is not None
        site.worker.answer = None
        response = begin(http, camera_offer)
        assert "did not answer" in problem(response, 503, "no_answer")["detail"]
        assert int(response.headers["retry-after"]) >= 1
        record = http.get("/api/sessions").json()["sessions"][0]
        assert (record["state"], record["reason"]) == ("failed", "no_answer")
        assert 'mattebox_offers_total{kind="camera",result="no_answer"} 1.0' in http.get("/metrics").text


def test_a_session_explains_why_it_ended(http: httpx.Client, site: Site, camera_offer: str) -> None:
    path = begin(http, camera_offer).headers["location"]
    assert until(http, path, state="live")["detail"] == ""
    http.delete(path)
    assert until(http, path, state="ended")["detail"] == REASONS["deleted"]
    for reason in ("connect_timeout", "dtls_failed"):
        assert "no connection was established" in REASONS[reason]
    assert all(word in REASONS["connect_timeout"] for word in ("network", "UDP", "TURN"))


@pytest.mark.parametrize(
    ("answer", "status", "retry"),
    [("full", 503, True), ("engine", 503, True), ("bad_sdp", 422, False), ("usage", 422, False)],
)
def test_a_workers_problem_becomes_an_error_response(
    worker: Double, http: httpx.Client, camera_offer: str, answer: str, status: int, retry: bool
) -> None:
    worker.answer = Answer(problem=answer, detail="because")
    response = begin(http, camera_offer)
    assert problem(response, status, answer)["detail"] == "because"
    assert ("retry-after" in response.headers) == retry


def test_options_of_an_ended_session_cannot_change(http: httpx.Client, camera_offer: str) -> None:
    path = begin(http, camera_offer).headers["location"]
    until(http, path, state="live")
    http.delete(path)
    until(http, path, state="ended")
    problem(http.patch(path, json={"options": {"view": "matte"}}), 409, "over")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-4000-8000-000000000000", "%2e%2e%2fetc", "é", "*"])
def test_an_unknown_session_is_not_found(http: httpx.Client, method: str, name: str) -> None:
    body: dict[str, object] | None = {"options": {}} if method == "PATCH" else None
    problem(http.request(method, f"/api/sessions/{name}", json=body), 404, "not_found")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"background": "blur:NaN"}, "options.background"),
        ({"background": "image:/etc/passwd"}, "options.background"),
        ({"background": "video:/etc/passwd"}, "options.background"),
        ({"background": {"kind": "image", "path": "/etc/passwd"}}, "options.background"),
        ({"background": "gallery:../../etc/passwd"}, "options.background"),
        ({"background": "upload:../alice/x"}, "options.background"),
        ({"engine": "nope"}, "options.engine"),
        ({"engine": ["auto"]}, "options.engine"),
        ({"view": 7}, "options.view"),
        ({"nonsense": 1}, "options.nonsense"),
        ({"\ud800": 1}, "options"),
        (3, "options"),
    ],
)
def test_wrong_options_name_their_field(http: httpx.Client, camera_offer: str, options: object, field: str) -> None:
    body = json.dumps({"sdp": camera_offer, "options": options})
    response = http.post("/api/sessions", content=body, headers={"Content-Type": "application/json"})
    faults = problem(response, 422, response.json()["code"])["errors"]
    assert faults[0]["field"].startswith(field)


def test_the_listed_engines_are_those_that_exist(http: httpx.Client) -> None:
    menu = http.get("/api/options").json()
    assert menu["options"]["properties"]["engine"]["enum"] == ["auto", *offered(Settings())]
    assert [engine["name"] for engine in menu["engines"]] == list(offered(Settings()))
    for engine in menu["engines"]:
        record = ENGINES[engine["name"]]
        assert (engine["label"], engine["sentence"]) == (record.label, record.sentence)
        assert (engine["title"], engine["heavy"]) == (record.title, record.heavy)
        assert engine["options"] == list(record.options)
        assert engine["live"] == (asdict(record.live) if record.live else None)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{", 400), (b"\xff\xfe", 400), (b"[]", 422), (b'{"sdp": 1}', 422), (b"[" * 60_000, 400),
     (b'{"sdp": "x", "n": ' + b"9" * 5000 + b"}", 400), (b"x" * 131_073, 413)],
)  # fmt: skip
def test_invalid_bodies_are_client_errors(http: httpx.Client, body: bytes, status: int) -> None:
    response = http.post("/api/sessions", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_the_size_limit_holds_for_chunked_bodies(http: httpx.Client) -> None:
    chunks = (b"x" * 10_000 for _ in range(20))
    response = http.post("/api/sessions", content=chunks, headers={"Content-Type": "application/json"})
    problem(response, 413, "too_large")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(["engine", "background", "view", "temporal", "key", "subjects", "chooser"]),
    JSON | st.sampled_from(["blur:1e309", "color:#12", "upload:", "gallery:", "none", "auto", "#fff", -1, 1e9]),
)


@pytest.mark.long
@given(body=JSON | st.fixed_dictionaries({"sdp": st.just("@")}, optional={"options": FIELDS | JSON, "replaces": JSON}))
@effort(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_causes_a_server_error(http: httpx.Client, camera_offer: str, body: object) -> None:
    if isinstance(body, dict) and body.get("sdp") == "@":
        body = body | {"sdp": camera_offer}
    text = json.dumps(body)
    response = http.post("/api/sessions", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code < 500, text
    if response.status_code == 201:
        http.delete(response.headers["location"])


@pytest.mark.long
@given(st.text(max_size=300) | st.binary(max_size=300), st.sampled_from(["/whip/x", "/whep/x"]), st.integers(0, 60))
@effort(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sdp_causes_a_server_error(
    http: httpx.Client, camera_offer: str, noise: str | bytes, path: str, line: int
) -> None:
    body = noise.encode(errors="surrogatepass") if isinstance(noise, str) else noise
    lines = camera_offer.encode().split(b"\r\n")
    lines[line % len(lines)] = body
    for content in (body, b"\r\n".join(lines)):
        response = http.post(path, content=content, headers=SDP)
        assert response.status_code < 500, content
        if response.status_code == 201:
            http.delete(response.headers["location"])
