"""POST /api/jobs as a form, as curl sends it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream import limits
from tests.chooser_records import registered
from tests.media import TALK
from tests.tracks import Video, write_streams
from tests.web.http_checks import problem
from tests.web.running_site import Site
from tests.web.videos.file_worker import FileWorkerDouble

PATH = "/api/jobs"


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site)
    yield files
    files.clear()


def posted(http: httpx.Client, content: bytes, name: str = "clip.mp4", **fields: str) -> httpx.Response:
    return http.post(PATH, files={"file": (name, content)}, data=fields)


def kept(site: Site) -> int:
    return len(site.call(site.context.upload_store.uploads("")))


def test_a_file_and_its_options_become_a_job(http: httpx.Client, site: Site, files: FileWorkerDouble) -> None:
    fields = {"background": "color:#102030", "format": "webm", "start_s": "0.5", "height": "240", "temporal": "off"}
    response = posted(http, TALK.read_bytes(), "my clip.mp4", **fields)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{PATH}/{job['id']}"
    assert (job["title"], job["start_s"], job["height"], job["state"]) == ("my clip.mp4", 0.5, 240, "queued")
    assert (job["options"]["background"], job["options"]["temporal"]) == ("color:#102030", "off")
    assert [output["format"] for output in job["outputs"]] == ["webm"]
    assert job["media"]["width"] == 640
    assert b"".join(site.context.storage.read(f"uploads/{job['upload']}/source")) == TALK.read_bytes()


@pytest.mark.long
def test_subjects_are_repeated(http: httpx.Client, files: FileWorkerDouble) -> None:
    fields = {"subjects": ["ann=point:0.5,0.25", "not:box:1,2,30,40"], "chooser": "quick"}
    with registered():
        job = http.post(PATH, files={"file": ("clip.mp4", TALK.read_bytes())}, data=fields).json()
    assert [(each["name"], each["prompts"]) for each in job["options"]["subjects"]] == [
        ("ann", ["point:0.5,0.25"]), ("removed", ["box:1,2,30,40"]),
    ]  # fmt: skip
    assert job["options"]["chooser"] == "quick"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_with_curl(site: Site, files: FileWorkerDouble) -> None:
    words = ["curl", "-sS", "--fail-with-body", "-F", f"file=@{TALK}", "-F", "background=green", f"{site.url}{PATH}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"title":"talk_bikes.mp4"' in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(("fields", "field"), [
    ({"format": "tea"}, "outputs.0.format"), ({"background": "plaid"}, "options.background"),
    ({"engin": "chroma"}, "options.engin"), ({"start_s": "soon"}, "start_s"), ({"upload": "x"}, "options.upload"),
    ({"stream": "-1"}, "stream"),
])  # fmt: skip
def test_a_refused_request_keeps_no_file(http: httpx.Client, site: Site, fields: dict[str, str], field: str) -> None:
    before = kept(site)
    response = posted(http, TALK.read_bytes(), **fields)
    assert response.status_code == 422
    assert [fault["field"] for fault in response.json()["errors"]] == [field]
    assert kept(site) == before


@pytest.mark.long
def test_a_video_stream_is_selected_by_its_number(
    http: httpx.Client, site: Site, files: FileWorkerDouble, tmp_path: Path
) -> None:
    content = write_streams(tmp_path / "two.ts", [Video((64, 48)), Video((128, 96))]).read_bytes()
    job = posted(http, content, stream="0").json()
    assert (job["stream"], job["media"]["video_streams"]) == (0, 2)
    assert posted(http, content).json()["stream"] is None
    refused = problem(posted(http, content, stream="2"), 422, "no_video_stream", field="stream")
    assert refused["detail"] == "the file has no video stream 2, only streams 0 to 1"


def test_what_is_no_video_is_refused_and_not_kept(http: httpx.Client, site: Site) -> None:
    before = kept(site)
    assert posted(http, b"no video at all\n" * 100).status_code == 422
    assert kept(site) == before


def test_forms_that_cannot_be_read(http: httpx.Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(http.post(PATH, content=b"nonsense", headers=headers), 400, "bad_form")
    problem(http.post(PATH, content=b"--x--\r\n", headers=headers), 422, "invalid", "file")
    problem(http.post(PATH, data={"file": "text"}, files={"other": b"x"}), 422, "invalid", "file")
    problem(http.post(PATH, content=b"x", headers={"Content-Type": "multipart/form-data"}), 400, "bad_form")
    key = {"Idempotency-Key": "k"}
    problem(http.post(PATH, files={"file": b"x"}, headers=key), 422, "invalid", "Idempotency-Key")


def test_a_large_form_is_refused_before_it_is_read(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORM_BYTES", 1000)
    body = problem(posted(http, bytes(2000)), 413, "too_large")
    assert "tus" in body["detail"]


def test_other_routes_and_bodies_keep_their_limit(http: httpx.Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert http.post("/api/links", content=bytes(200_000), headers=headers).status_code == 413
    assert http.post(PATH, content=bytes(200_000), headers={"Content-Type": "application/json"}).status_code == 413


def test_another_users_credentials_are_needed(users: Site) -> None:
    with users.client() as nobody:
        problem(posted(nobody, TALK.read_bytes()), 401, "sign_in")
