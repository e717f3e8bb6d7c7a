import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import BaseRoute

from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobTotals
from stream.records.live import Worker
from stream.records.live_store import LiveStore
from stream.settings import Settings
from tests import waiting
from tests.web.http_checks import begin, problem, until
from tests.web.live_worker_double import Double
from tests.web.running_site import Site, running
from web.app import create_app
from web.health import RecordsCollector

STATIC = Path(__file__).parents[2] / "web/static"


@pytest.mark.parametrize(
    "path", ["/", "/view/studio", "/obs/studio", "/api/sessions", "/nothing", "/static/studio/studio.js", "/livez"]
)
def test_security_headers(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_no_other_origin_is_allowed(http: httpx.Client) -> None:
    response = http.options(
        "/api/sessions", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_the_pages_load_nothing_from_other_sites() -> None:
    texts = {path.relative_to(STATIC).as_posix(): path.read_text() for path in STATIC.rglob("*") if path.is_file()}
    assert {"studio/studio.html", "view/view.html", "obs/obs.html", "studio/studio.js", "shared/style.css"} <= set(
        texts
    )
    for name, text in texts.items():
        foreign = [url for url in re.findall(r"(?:https?:)?//[\w.]+\.\w+", text) if "www.w3.org" not in url]
        assert not foreign, name
        if name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", text), name


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nothing", 404), ("GET", "/static/../app.py", 404), ("GET", "/static/%2e%2e/app.py", 404),
    ("PUT", "/api/sessions", 405), ("POST", "/livez", 405), ("GET", "/redoc", 404), ("GET", "/view/..%2f..%2fx", 404),
    ("BREW", "/api/sessions", 405),
])  # fmt: skip
def test_errors_are_problems(http: httpx.Client, method: str, path: str, status: int) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"].startswith("urn:")


def test_openapi_lists_the_routes(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    paths = set(schema["paths"])
    assert {"/api/sessions", "/api/sessions/{name}", "/whip/{name}", "/whep/{name}/{session}", "/metrics"} <= paths
    assert "application/sdp" in schema["paths"]["/whip/{name}"]["post"]["requestBody"]["content"]
    assert "201" in schema["paths"]["/api/sessions"]["post"]["responses"]


def test_ready_needs_a_ready_worker(http: httpx.Client, worker: Double) -> None:
    assert http.get("/livez").json() == {"status": "ok"}
    ready = http.get("/readyz").json()
    assert (ready["workers"], ready["capacity"]) == (1, 4)
    worker.state = "draining"
    waiting.until(lambda: http.get("/readyz").status_code == 503, "the service is no longer ready")
    response = http.get("/readyz")
    problem(response, 503, "no_worker")
    assert response.headers["retry-after"]


def test_ready_for_one_kind_is_not_ready_for_the_other(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, site.client() as http:
        for kind, other in (("files", "live"), ("live", "files")):
            problem(http.get("/readyz"), 503, "no_worker")
            site.call(site.store.beat(Worker(id=kind, kind=kind, state="ready", capacity=1)))
            for query in ("", f"?for={kind}"):
                assert http.get(f"/readyz{query}").json()["ready_for"] == [kind]
            problem(http.get(f"/readyz?for={other}"), 503, "no_worker")
            site.call(site.store.leave(kind))
        problem(http.get("/readyz?for=tea"), 422, "invalid", "for")


def test_the_choosers_are_those_that_a_worker_has_the_packages_for(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, site.client() as http:

        def names() -> list[str]:
            return [chooser["name"] for chooser in http.get("/api/options").json()["choosers"]]

        assert names() == []
        site.call(site.store.beat(Worker(id="one", kind="live", choosers=("sam2", "a later one"))))
        assert names() == ["sam2"]
        site.call(site.store.beat(Worker(id="two", kind="files", choosers=("mask", "sam2"))))
        assert names() == ["mask", "sam2"]
        for id in ("one", "two"):
            site.call(site.store.leave(id))


@pytest.mark.usefixtures("wrong_clock")
def test_a_web_process_with_a_wrong_clock_sees_the_workers(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, site.client() as http:
        site.call(site.store.beat(Worker(id="one", kind="live", state="ready", capacity=1)))
        site.call(site.store.reap())
        assert http.get("/readyz?for=live").json()["capacity"] == 1


def test_without_redis_routes_answer_503(settings: Settings, camera_offer: str) -> None:
    with running(settings, "redis://127.0.0.1:9", worker=False) as site, site.client() as http:
        assert http.get("/livez").is_success
        for response in (http.get("/readyz"), http.get("/api/sessions"), begin(http, camera_offer)):
            problem(response, 503, "store_down")
            assert int(response.headers["retry-after"]) >= 1
        found = samples(http.get("/metrics").text)
        assert found[("mattebox_redis_up",)] == 0
        assert "mattebox_tasks" not in {name for name, *_ in found}, "unknown is not 0"


def samples(text: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_metrics(http: httpx.Client, site: Site, worker: Double, camera_offer: str) -> None:
    path = begin(http, camera_offer).headers["location"]
    rate = ("mattebox_frames_per_second", "out")
    waiting.until(lambda: samples(http.get("/metrics").text).get(rate), "the worker reports")
    found = samples(http.get("/metrics").text)
    assert found[("mattebox_redis_up",)] == 1
    assert found[("mattebox_workers", "live", "ready")] == 1
    assert found[("mattebox_capacity_sessions",)] == 4
    assert found[("mattebox_sessions", "camera", "live")] == 1
    assert found[("mattebox_frames_per_second", "out")] == 29.5
    assert found[("mattebox_frames_dropped", "late")] == 3
    assert found[("mattebox_latency_seconds", "worst")] == pytest.approx(0.0125)
    assert found[("mattebox_glass_to_glass_seconds", "median")] == pytest.approx(0.0305)
    assert found[("mattebox_stage_seconds", "matte")] == pytest.approx(0.0041)
    assert ("mattebox_stage_seconds", "decode") not in found, "unknown values are left out"
    assert found[("mattebox_sent_bytes_per_second",)] == 100_000
    assert found[("mattebox_offers_total", "camera", "answered")] >= 1
    assert found[("mattebox_http_requests_total", "POST", "/api/sessions", "201")] >= 1
    http.delete(path)
    until(http, path, state="ended")


def test_waiting_tasks_are_counted_without_a_worker(settings: Settings, redis_url: str) -> None:
    with running(settings, redis_url, worker=False) as site, site.client() as http:
        jobs = JobStore(redis_url)
        for _ in range(3):
            site.call(jobs.submit(Job(id=str(uuid4()), source="uploads/1/source")))
        task = site.call(jobs.take_task("w1", 0))
        site.call(jobs.close())
        assert task is not None
        found = samples(http.get("/metrics").text)
        assert found[("mattebox_tasks", "waiting")] == 2
        assert found[("mattebox_tasks", "running")] == 1


def test_failed_sessions_are_counted_by_reason() -> None:
    workers = [
        Worker(id="a", failures={"dtls_failed": 2, "connect_timeout": 1}),
        Worker(id="b"),
        Worker(id="c", kind="files"),
    ]
    registry = CollectorRegistry()
    registry.register(RecordsCollector(True, workers, [], JobTotals()))
    found = samples(generate_latest(registry).decode())
    counts = {key[1:]: value for key, value in found.items() if key[0] == "mattebox_sessions_failed_total"}
    assert counts == {("dtls_failed", "a"): 2, ("connect_timeout", "a"): 1}


def test_unknown_paths_create_no_metric_labels(http: httpx.Client) -> None:
    for n in range(20):
        http.get(f"/made/up/{n}")
        http.get(f"/api/sessions/{n}")
    found = samples(http.get("/metrics").text)
    routes = {key[2] for key in found if key[0] == "mattebox_http_requests_total"}
    assert "/api/sessions/{name}" in routes
    assert not [route for route in routes if re.search(r"\d", route)]


def test_routes_and_their_dependencies_run_on_the_event_loop(settings: Settings) -> None:
    """FastAPI runs functions in threads of a small pool, where slow work of others would hold up every request."""
    app = create_app(settings, LiveStore("redis://127.0.0.1:1"))
    calls = {call for route in _api_routes(app.routes) for call in _called(route.dependant)}
    assert len(calls) > 40
    assert [call for call in calls if not _is_coroutine_function(call)] == []


def _is_coroutine_function(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _api_routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif router := getattr(route, "original_router", None):  # how newer versions of FastAPI include a router
            yield from _api_routes(router.routes)


def _called(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call:
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _called(dependency)


def test_static_files_are_counted_apart_from_routes(http: httpx.Client) -> None:
    def counted(route: str, status: str) -> float:
        found = samples(http.get("/metrics").text)
        return found.get(("mattebox_http_requests_total", "GET", route, status), 0)

    before = [counted("static", "200"), counted("static", "404"), counted("none", "404")]
    assert http.get("/static/shared/style.css").status_code == 200
    assert http.get("/static/studio/studio.js").status_code == 200
    assert http.get("/static/none.js").status_code == 404
    assert http.get("/none").status_code == 404
    after = [counted("static", "200"), counted("static", "404"), counted("none", "404")]
    assert [now - earlier for now, earlier in zip(after, before, strict=True)] == [2, 1, 1]


def test_static_files_are_compressed_and_sent_whole(http: httpx.Client) -> None:
    plain = http.get("/static/shared/live.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = http.get("/static/shared/live.js", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert packed.status_code == 200
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.content == plain.content
    assert packed.num_bytes_downloaded < len(plain.content) / 2
    again = http.get("/static/shared/live.js", headers={"If-None-Match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
