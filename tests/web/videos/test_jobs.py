"""Jobs over HTTP: requests, refusals, transitions, limits and previews."""

import io
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from stream.records.jobs import Job
from stream.records.metadata import Metadata
from stream.settings import Settings
from tests.media import numbered_clip
from tests.waiting import PATIENCE_S
from tests.web.http_checks import problem, until
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import RESULT, FileWorkerDouble, done, pictures, submitted
from tests.web.videos.tus import PATH as UPLOADS
from tests.web.videos.tus import TUS, begun, sent, uploaded


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 30).read_bytes()


@pytest.fixture(scope="module")
def upload(http: httpx.Client, clip: bytes) -> str:
    return uploaded(http, clip, "Tänze im Mai.mp4")


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site)
    yield files
    files.clear()


@pytest.mark.long
def test_a_background_cannot_be_removed_while_a_job_uses_it(
    http: httpx.Client, files: FileWorkerDouble, upload: str
) -> None:
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    own = http.post("/api/backgrounds", content=png.getvalue()).json()
    outputs = [{"name": "plain"}, {"name": "mine", "background": own["spec"]}]
    submitted(http, upload=upload, options={"engine": "chroma"}, outputs=outputs)
    problem(http.delete(f"/api/backgrounds/{own['id']}"), 409, "in_use")
    files.clear()
    assert http.delete(f"/api/backgrounds/{own['id']}").status_code == 204


def test_a_job_from_its_submission_to_its_result(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    body: dict[str, Any] = {
        "upload": upload, "options": {"engine": "chroma", "background": "gallery:dusk"}, "start_s": 0.2, "end_s": 0.8,
        "outputs": [{"name": "film"}, {"name": "matte", "format": "mkv", "view": "matte"}],
    }  # fmt: skip
    response = http.post("/api/jobs", json=body)
    assert response.status_code == 202, response.text
    job = response.json()
    path = response.headers["location"]
    assert (path, job["state"]) == (f"/api/jobs/{job['id']}", "queued")
    assert (job["title"], job["upload"], job["media"]["fps"]) == ("Tänze im Mai.mp4", upload, 30)
    assert job["options"]["background"] == "gallery:dusk", "no path of the server is visible"
    assert [(o["name"], o["view"]) for o in job["outputs"]] == [("film", None), ("matte", "matte")]
    assert job["metadata"] == "no-location", "results of the service contain no location"
    assert [j["id"] for j in http.get("/api/jobs").json()["jobs"]] == [job["id"]]
    planned = files.plan(2)
    assert planned.metadata is Metadata.NO_LOCATION
    assert planned.source == f"uploads/{upload}/source"
    assert planned.options.background.path == "storage://gallery/dusk.jpg", "readable on any machine"
    files.segment()
    running = http.get(path).json()
    assert (running["state"], running["progress"]["segments_done"], running["progress"]["frames"]) == ("running", 1, 30)
    problem(http.get(f"{path}/result"), 404, "no_result")
    problem(http.delete(f"{UPLOADS}/{upload}", headers=TUS), 409, "in_use")
    files.segment()
    files.join()
    ended = http.get(path).json()
    assert ended["state"] == "done"
    assert ended["expires_s"] > ended["ended_s"] > 0
    assert set(ended["results"]) == {"film", "matte"}
    assert http.get(ended["results"]["matte"]["url"]).content == RESULT
    assert http.delete(path).status_code == 204
    problem(http.get(path), 404, "not_found")


@pytest.mark.parametrize("metadata", list(Metadata))
def test_a_job_names_the_metadata_that_it_keeps(
    http: httpx.Client, files: FileWorkerDouble, upload: str, metadata: Metadata
) -> None:
    path = submitted(http, upload=upload, metadata=metadata.value)
    assert http.get(path).json()["metadata"] == metadata.value
    assert files.plan().metadata is metadata


@pytest.mark.parametrize(("body", "status", "code", "field"), [
    ({}, 422, "invalid", ""),
    ({"upload": "f" * 32}, 404, "no_upload", "upload"),
    ({"upload": "../../x"}, 404, "no_upload", "upload"),
    ({"upload": "@", "url": "http://example.org/x"}, 422, "invalid", ""),
    ({"upload": "@", "options": {"engine": "magic"}}, 422, "invalid", "options.engine"),
    ({"upload": "@", "options": {"background": "image:/etc/passwd"}}, 422, "bad_background", "options.background"),
    ({"upload": "@", "options": {"more": 1}}, 422, "invalid", "options.more"),
    ({"upload": "@", "options": {"background": "transparent"}}, 422, "unsupported_output", "outputs.0.format"),
    ({"upload": "@", "outputs": [{"background": "transparent", "format": "gif"}, {"name": "b", "format": "mp4",
      "background": "transparent"}]}, 422, "unsupported_output", "outputs.1.format"),
    ({"upload": "@", "outputs": []}, 422, "invalid", "outputs"),
    ({"upload": "@", "outputs": [{"name": "../x"}]}, 422, "invalid", "outputs.0.name"),
    ({"upload": "@", "outputs": [{"name": "preview"}]}, 422, "invalid", "outputs"),
    ({"upload": "@", "outputs": [{}, {}]}, 422, "invalid", ""),
    ({"upload": "@", "outputs": [{"format": "exe"}]}, 422, "invalid", "outputs.0.format"),
    ({"upload": "@", "start_s": -1}, 422, "invalid", "start_s"),
    ({"upload": "@", "start_s": "NaN"}, 422, "invalid", "start_s"),
    ({"upload": "@", "start_s": 1e9}, 422, "invalid", "start_s"),
    ({"upload": "@", "start_s": 0.5, "end_s": 0.5}, 422, "invalid", ""),
    ({"upload": "@", "width": 1e9}, 422, "invalid", "width"),
    ({"upload": "@", "metadata": "some"}, 422, "invalid", "metadata"),
    ({"upload": "@", "unknown": 1}, 422, "invalid", "unknown"),
    ({"upload": "@", "webhook": "http://127.0.0.1/x"}, 422, "fetch", "webhook"),
    ({"url": "file:///etc/passwd"}, 422, "fetch", "url"),
    ({"url": "http://169.254.169.254/latest"}, 422, "fetch", "url"),
    ({"url": "http://0x7f000001/x.mp4"}, 422, "fetch", "url"),
])  # fmt: skip
def test_invalid_requests(
    http: httpx.Client, upload: str, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    if body.get("upload") == "@":
        body = body | {"upload": upload}
    problem(http.post("/api/jobs", json=body), status, code, field)
    assert http.get("/api/jobs").json() == {"jobs": [], "next": None}, "no job is queued"


@pytest.mark.long
def test_an_upload_that_is_not_a_video_reaches_no_worker(http: httpx.Client) -> None:
    id = uploaded(http, b"not a video" * 100)
    problem(http.post("/api/jobs", json={"upload": id}), 422, "unreadable_media", "upload")


def test_an_incomplete_upload(http: httpx.Client, clip: bytes) -> None:
    path = begun(http, len(clip))
    sent(http, path, 0, clip[:100])
    problem(http.post("/api/jobs", json={"upload": path.rpartition("/")[2]}), 409, "incomplete", "upload")


@pytest.mark.long
def test_a_video_with_too_many_pixels(settings: Settings, redis_url: str, clip: bytes) -> None:
    small = settings.model_copy(update={"max_pixels": 1000})
    with running(small, redis_url, worker=False) as site, site.client() as http:
        problem(http.post("/api/jobs", json={"upload": uploaded(http, clip)}), 413, "too_large", "upload")


def test_an_address_instead_of_an_upload(settings: Settings, redis_url: str) -> None:
    private = settings.model_copy(update={"allow_private_urls": True})
    with running(private, redis_url, worker=False) as site, site.client() as http:
        url = "http://ann:secret@127.0.0.1:9/films/my%20film.mp4?key=hidden"
        path = submitted(http, url=url)
        job = http.get(path)
        assert (job.json()["title"], job.json()["url"]) == ("my film.mp4", "http://127.0.0.1:9/films/my%20film.mp4")
        assert "secret" not in job.text
        assert "hidden" not in job.text
        assert FileWorkerDouble(site).task().job.url == url


def test_slow_name_lookups_do_not_delay_other_requests(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked, released = socket.getaddrinfo, threading.Semaphore(0), threading.Event()

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "slow.example":
            return real(host, *args, **kwargs)
        asked.release()
        released.wait(PATIENCE_S)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with ThreadPoolExecutor(24) as pool:
        waiting = [pool.submit(http.post, "/api/jobs", json={"url": "http://slow.example/x"}) for _ in range(24)]
        try:
            assert asked.acquire(timeout=PATIENCE_S)
            assert http.get("/api/backgrounds").is_success
            assert not any(response.done() for response in waiting)
        finally:
            released.set()
        for response in waiting:
            problem(response.result(), 422, "fetch", "url")


def test_pause_resume_cancel_retry(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    path = submitted(http, upload=upload)
    for _ in range(2):
        assert http.patch(path, json={"paused": True}).json()["state"] == "paused"
    assert http.patch(path, json={"paused": False}).json()["state"] == "queued"
    problem(http.post(f"{path}/retry"), 409, "bad_move")
    files.fail()
    failed = http.get(path).json()
    assert (failed["state"], failed["reason"], failed["detail"]) == ("failed", "engine", "the engine gave up")
    problem(http.patch(path, json={"paused": True}), 409, "bad_move")
    assert http.post(f"{path}/retry").json()["state"] == "queued"
    assert http.delete(path).status_code == 204
    assert http.get(path).json()["state"] == "cancelled"
    assert http.delete(path, params={"keep": True}).status_code == 204
    assert http.get(path).is_success, "keep=true removes no job that has ended"
    assert http.delete(path).status_code == 204
    problem(http.delete(path), 404, "not_found")
    problem(http.patch(path, json={"paused": 7}), 422, "invalid", "paused")


def test_a_job_that_is_retried_while_it_is_removed(
    http: httpx.Client, site: Site, files: FileWorkerDouble, upload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = submitted(http, upload=upload)
    key = f"jobs/{path.rpartition('/')[2]}/segments/0000-result.mp4"
    files.put(key, b"a segment")
    read = files.fail()
    assert http.post(f"{path}/retry").is_success

    async def owned(*_: object) -> Job:
        """The record as it was before the retry."""
        return read

    with monkeypatch.context() as patch:
        patch.setattr("web.videos.jobs.owned", owned)
        problem(http.delete(path), 409, "bad_move")
    assert http.get(path).json()["state"] == "queued"
    assert site.context.storage.keys(key) == [key], "finished segments are kept"
    for _ in range(2):
        assert http.delete(path).is_success
    assert not site.context.storage.keys(key)


def test_requests_with_one_idempotency_key_make_one_job(
    http: httpx.Client, files: FileWorkerDouble, upload: str
) -> None:
    def submit(key: str, **fields: object) -> httpx.Response:
        return http.post("/api/jobs", json={"upload": upload, **fields}, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor() as pool:
        ids = {response.json()["id"] for response in pool.map(submit, ["same"] * 8)}
    assert len(ids) == 1
    assert submit("other").json()["id"] not in ids
    problem(submit("same", start_s=0.5), 422, "key_reused")


@pytest.mark.long
def test_jobs_have_owners(users: Site, clip: bytes) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob, users.client() as anonymous:
        id = uploaded(alice, clip)
        problem(bob.post("/api/jobs", json={"upload": id}), 404, "no_upload")
        path = done(alice, users, upload=id)
        assert bob.get("/api/jobs").json() == {"jobs": [], "next": None}
        for method, tail in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/retry"), ("GET", "/result"),
                             ("GET", "/preview"), ("GET", "/events"), ("POST", "/links")):  # fmt: skip
            body = {"paused": True} if method == "PATCH" else {}
            problem(bob.request(method, path + tail, json=body), 404, "not_found")
            problem(anonymous.request(method, path + tail, json=body), 401, "sign_in")
        problem(bob.post("/api/previews", json={"upload": id}), 404, "no_upload")
        assert alice.get(path).json()["state"] == "done"


@pytest.mark.long
def test_a_users_unfinished_jobs_are_limited(settings: Settings, redis_url: str, clip: bytes) -> None:
    few = settings.model_copy(update={"jobs_per_user": 2})
    with running(few, redis_url, worker=False) as site, site.client() as http:
        id = uploaded(http, clip)
        failed = submitted(http, upload=id)
        FileWorkerDouble(site).fail()
        submitted(http, upload=id)
        last = [http.post("/api/jobs", json={"upload": id}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert [response.status_code for response in last] == [202, 202], "a repeated request is not counted"
        assert last[0].json()["id"] == last[1].json()["id"]
        problem(http.post("/api/jobs", json={"upload": id}), 429, "too_many_jobs")
        problem(http.post(f"{failed}/retry"), 429, "too_many_jobs")


@pytest.mark.long
def test_the_storage_of_a_users_jobs_is_limited(settings: Settings, redis_url: str, clip: bytes) -> None:
    small = settings.model_copy(update={"uploads_per_user": len(RESULT) + 100, "allow_private_urls": True})
    with running(small, redis_url, worker=False) as site, site.client() as http:
        first = done(http, site, upload=(id := uploaded(http, clip)))
        fetched = submitted(http, url="http://127.0.0.1:9/film.mp4")
        FileWorkerDouble(site).plan()  # of 100 bytes
        problem(http.post("/api/jobs", json={"upload": id}), 413, "over_quota")
        http.delete(fetched)
        http.delete(fetched)
        submitted(http, upload=id)
        http.delete(first)


def test_a_preview_of_one_frame(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/api/previews", json={"upload": upload, "at_s": 99})
        planned = files.plan()
        assert (planned.priority, planned.outputs[0].format) == (9, "png")
        assert planned.metadata is Metadata.DROP
        assert planned.end_s is not None
        assert planned.end_s == pytest.approx(1.0, abs=0.01), "a time after the end gives the last frame"
        assert planned.start_s == pytest.approx(planned.end_s - 1 / 30 - 0.5, abs=0.01)
        assert http.get("/api/jobs").json() == {"jobs": [], "next": None}, "preview jobs are not listed"
        files.segment()
        files.join()
        response = asked.result(PATIENCE_S)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    assert response.content.startswith(b"\xff\xd8")
    until(http, "/api/jobs", jobs=[])
    assert not files._site.context.storage.keys("jobs/"), "its files are removed"


def test_a_transparent_preview(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    body = {"upload": upload, "options": {"background": "transparent"}}
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/api/previews", json=body)
        files.run()
        response = asked.result(PATIENCE_S)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.content.startswith(b"\x89PNG")


def test_a_preview_with_a_large_zip(http: httpx.Client, files: FileWorkerDouble, upload: str, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    with packed.open("wb") as file:
        file.truncate(300 * 2**20)  # the size of half a second of noise in 4K; a zip may follow other bytes
    with packed.open("ab") as file:
        file.write(pictures())
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/api/previews", json={"upload": upload})
        files.plan()
        files.segment()
        files.join(packed)
        response = asked.result(PATIENCE_S)
    assert response.content.startswith(b"\xff\xd8"), response.text


def test_a_preview_that_fails(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/api/previews", json={"upload": upload})
        files.fail("weights", "the weights are missing")
        problem(asked.result(PATIENCE_S), 422, "weights")


def test_requests_without_redis_fail_with_503(http: httpx.Client, settings: Settings, upload: str) -> None:
    with running(settings, "redis://127.0.0.1:9", worker=False) as site, site.client() as lost:
        for response in (lost.get("/api/jobs"), lost.post("/api/jobs", json={"upload": upload})):
            problem(response, 503, "store_down")
