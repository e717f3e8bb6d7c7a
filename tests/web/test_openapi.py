"""The description of the HTTP API: complete, readable, and good enough to generate a client that works."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.end_to_end.browser import CHROMIUM
from tests.media import TALK
from tests.web.http_checks import problem
from tests.web.running_site import Site

Operations = dict[str, tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def schema(http: httpx.Client) -> dict[str, Any]:
    return dict(http.get("/openapi.json").json())


@pytest.fixture(scope="module")
def operations(schema: dict[str, Any]) -> Operations:
    """(method, path, operation) by id."""
    return {o["operationId"]: (m, p, o) for p, path in schema["paths"].items() for m, o in path.items()}


def test_ids_are_unique_and_readable(schema: dict[str, Any], operations: Operations) -> None:
    assert len(operations) == sum(map(len, schema["paths"].values()))
    assert all(id.isidentifier() and "api" not in id for id in operations)
    assert not [name for name in schema["components"]["schemas"] if "__" in name or not name.isidentifier()]
    assert not [name for name in schema["components"]["schemas"] if "HTTPValidationError" in name]


def test_each_operation_has_a_tag_a_summary_and_a_response_with_its_media_type(operations: Operations) -> None:
    for id, (_, _, operation) in operations.items():
        assert len(operation["tags"]) == 1, id
        assert operation["summary"][0].isupper(), id
        assert {"200", "201", "202", "204"} & operation["responses"].keys(), id
    content = {id: list(o["responses"].get("200", o["responses"].get("201", {})).get("content", {})) for id, (_, _, o)
               in operations.items()}  # fmt: skip
    assert content["publish_stream"] == content["view_stream"] == ["application/sdp"]
    assert content["get_gallery_thumbnail"] == content["get_job_preview"] == ["image/jpeg"]
    assert content["preview_frame"] == ["image/jpeg", "image/png"]
    assert content["watch_jobs"] == ["text/event-stream"]
    assert content["get_metrics"] == ["text/plain"]
    assert content["get_job_result"] == ["application/octet-stream"]


def test_every_error_is_a_problem(operations: Operations) -> None:
    for id, (_, _, operation) in operations.items():
        errors = {status: r for status, r in operation["responses"].items() if not status.startswith("2")}
        assert list(errors) == ["default"], id
        assert list(errors["default"]["content"]) == ["application/problem+json"]


def test_credentials(schema: dict[str, Any], operations: Operations) -> None:
    kinds = {
        name: (s["type"], s.get("scheme", s.get("in"))) for name, s in schema["components"]["securitySchemes"].items()
    }
    assert kinds == {"token": ("http", "bearer"), "cookie": ("apiKey", "cookie"), "link": ("apiKey", "query")}
    asked = {id: [name for entry in o.get("security", []) for name in entry] for id, (_, _, o) in operations.items()}
    assert asked["view_stream"] == asked["get_job_result"] == ["token", "cookie", "link"]
    assert {id for id, names in asked.items() if not names} == {"sign_in", "sign_out", "get_liveness", "get_readiness"}
    assert asked["submit_job"] == ["token", "cookie"]


def test_bodies_and_headers_that_routes_read_themselves(operations: Operations) -> None:
    def headers(id: str) -> dict[str, bool]:
        return {p["name"]: p["required"] for p in operations[id][2].get("parameters", []) if p["in"] == "header"}

    def given(id: str, status: str) -> set[str]:
        return set(operations[id][2]["responses"][status]["headers"])

    def sent(id: str) -> str:
        return str(next(iter(operations[id][2]["requestBody"]["content"])))

    assert headers("create_upload") == {
        "Tus-Resumable": True, "Upload-Length": True, "Upload-Metadata": False, "Upload-Checksum": False
    }  # fmt: skip
    assert headers("append_to_upload") == {"Tus-Resumable": True, "Upload-Offset": True, "Upload-Checksum": False}
    assert headers("add_publisher_candidates") == {"If-Match": True}
    assert headers("add_viewer_candidates") == {"If-Match": False}, "viewers need none"
    assert given("create_upload", "201") == {"Location", "Upload-Expires", "Upload-Offset"}
    assert given("publish_stream", "201") == {"Location", "ETag", "Link"}
    assert sent("append_to_upload") == "application/offset+octet-stream"
    assert sent("view_stream") == "application/sdp"
    assert sent("add_publisher_candidates") == "application/trickle-ice-sdpfrag"


def test_json_bodies_have_examples(schema: dict[str, Any], operations: Operations, http: httpx.Client) -> None:
    for id, (_, _, operation) in operations.items():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            name = content["schema"]["$ref"].rpartition("/")[2]
            assert schema["components"]["schemas"][name]["examples"], id
    example = schema["components"]["schemas"]["JobRequest"]["examples"][0]
    problem(http.post("/api/jobs", json=example), 404, "no_upload", "upload")


@pytest.fixture(scope="module")
def client(schema: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package that openapi-python-client generates, with its defaults."""
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(schema))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json"]
    done = subprocess.run(
        [*command, "--output-path", "mattebox_client", "--meta", "none"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module("mattebox_client")
    sys.path.remove(str(folder))


@pytest.mark.long
def test_a_generated_client_has_every_operation(client: ModuleType, operations: Operations) -> None:
    missing = []
    for id, (_, _, operation) in operations.items():
        tag = operation["tags"][0].lower().replace(" ", "_")
        try:
            assert callable(importlib.import_module(f"mattebox_client.api.{tag}.{id}").sync_detailed)
        except ImportError:
            missing.append(id)
    assert not missing


@pytest.mark.long
def test_a_generated_client_uploads_a_video_and_submits_a_job(client: ModuleType, site: Site) -> None:
    def api(module: str) -> Any:
        return importlib.import_module(f"mattebox_client.api.{module}").sync_detailed

    models = importlib.import_module("mattebox_client.models")
    file = importlib.import_module("mattebox_client.types").File
    with client.Client(base_url=site.url) as http, TALK.open("rb") as video:
        created = api("uploads.create_upload")(
            client=http, body=file(video), tus_resumable="1.0.0", upload_length=str(TALK.stat().st_size)
        )
        assert created.status_code == 201
        id = created.headers["Location"].rpartition("/")[2]
        assert api("uploads.get_upload")(id, client=http).parsed.state == "ready"
        job = api("jobs.submit_job")(client=http, body=models.JobRequest(upload=id)).parsed
        assert job.state == models.JobState.QUEUED
        assert [found.id for found in api("jobs.list_jobs")(client=http).parsed.jobs] == [job.id]
        assert api("jobs.remove_job")(job.id, client=http).status_code == 204
        assert api("jobs.remove_job")(job.id, client=http).status_code == 204
        missing = api("jobs.get_job")(job.id, client=http)
        assert (missing.status_code, missing.parsed.code) == (404, "not_found")
        assert api("uploads.remove_upload")(id, client=http, tus_resumable="1.0.0").status_code == 204


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_documentation_page_loads_nothing_from_elsewhere(site: Site, operations: Operations) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith((site.url, "data:")) else faults.append(request.url),
        )
        page.goto(f"{site.url}/docs")
        page.wait_for_function("count => document.querySelectorAll('.opblock').length === count", arg=len(operations))
        browser.close()
    assert not faults


def test_the_description_lists_no_path_of_the_server(schema: dict[str, Any], site: Site) -> None:
    assert str(Path(site.context.settings.data_dir)) not in json.dumps(schema)
