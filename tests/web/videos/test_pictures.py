"""Pictures as uploads and jobs: formats, refusals, the result of a real worker, lists and previews."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from stream.records.job_store import JobStore
from stream.records.jobs import Media
from tests.media import numbered_clip
from tests.pictures import SKIN, person, points
from tests.tracks import Video, write_streams
from tests.waiting import PATIENCE_S
from tests.web.http_checks import problem
from tests.web.running_site import Site
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import PATH as UPLOADS
from tests.web.videos.tus import uploaded
from workers.files.worker import FileWorker

CHROMA = {"engine": "chroma", "background": "transparent"}


@pytest.fixture(scope="module")
def upload(http: httpx.Client) -> str:
    png = io.BytesIO()
    Image.fromarray(person()).save(png, "PNG")
    return uploaded(http, png.getvalue(), "Ein Bild.png")


@pytest.fixture(scope="module")
def _file_worker(site: Site, valkey: str) -> Iterator[None]:
    """A real worker for files, in a thread of this process."""
    stop, loops = threading.Event(), []

    async def work() -> None:
        store, ended = JobStore(valkey), asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        stop.set()
        await FileWorker(site.context.settings, store, site.context.storage).run(ended)
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert stop.wait(PATIENCE_S)
    yield
    loop, ended = loops[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(PATIENCE_S)


def accepted(http: httpx.Client, upload: str, **fields: Any) -> dict[str, Any]:
    path = submitted(http, upload=upload, options=CHROMA, **fields)
    job: dict[str, Any] = http.get(path).json()
    http.delete(path)
    http.delete(path)
    return job


def ended(http: httpx.Client, path: str) -> dict[str, Any]:
    """The job once it has ended, however slow the machine is."""
    while True:
        job: dict[str, Any] = http.get(path).json()
        if job["ended_s"]:
            assert job["state"] == "done", job
            return job
        time.sleep(0.05)


@pytest.mark.long
def test_an_uploaded_picture_is_probed(http: httpx.Client, upload: str) -> None:
    found = http.get(f"{UPLOADS}/{upload}").json()
    assert found["state"] == "ready"
    media = Media.model_validate(found["media"])
    assert (media.width, media.height, media.still, media.duration_s) == (61, 45, True, 0)


def test_the_format_is_that_of_a_picture(http: httpx.Client, upload: str) -> None:
    outputs = [{"name": "default"}, {"name": "png", "format": "png"}, {"name": "webp", "format": "webp"}]
    job = accepted(http, upload, outputs=outputs)
    assert [output["format"] for output in job["outputs"]] == ["png-picture", "png-picture", "webp"]
    assert [output["format"] for output in accepted(http, upload)["outputs"]] == ["png-picture"]
    clip_default = http.get("/openapi.json").json()["components"]["schemas"]["OutputIn"]["properties"]["format"]
    assert "mp4 for a video, png-picture for a picture" in clip_default["description"]


@pytest.mark.long
def test_unsuitable_values_are_refused_with_their_field(http: httpx.Client, upload: str, tmp_path_factory: Any) -> None:
    def refused(code: str, field: str, id: str, **fields: Any) -> str:
        body = {"upload": id, "options": {"engine": "chroma"}} | fields
        return str(problem(http.post("/api/jobs", json=body), 422, code, field)["detail"])

    outputs = [{"name": "a"}, {"name": "b", "format": "mp4"}]
    detail = refused("unsupported_output", "outputs.1.format", upload, outputs=outputs)
    assert "the input is a picture" in detail
    refused("invalid", "start_s", upload, start_s=1)
    refused("invalid", "end_s", upload, end_s=1)
    opaque = [{"format": "jpg"}]
    detail = refused("unsupported_output", "outputs.0.format", upload, outputs=opaque, options=CHROMA)
    assert "JPEG does not support transparency" in detail
    clip = uploaded(http, numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes(), "c.mp4")
    detail = refused("unsupported_output", "outputs.0.format", clip, outputs=[{"format": "webp"}])
    assert "the input is a video" in detail


@pytest.mark.long
def test_a_damaged_picture_is_unusable(http: httpx.Client) -> None:
    png = io.BytesIO()
    Image.fromarray(person()).save(png, "PNG")
    found = http.get(f"{UPLOADS}/{uploaded(http, png.getvalue()[:90], 'cut.png')}").json()
    assert (found["state"], found["problem"]) == ("unusable", "unreadable_media")
    assert "/" not in found["detail"], "no path of the server"


@pytest.mark.long
@pytest.mark.usefixtures("_file_worker")
def test_a_job_gives_one_picture(http: httpx.Client, upload: str) -> None:
    path = submitted(http, upload=upload, options=CHROMA, outputs=[{"name": "cut"}])
    job = ended(http, path)
    assert (job["media"]["still"], job["progress"]["segments"], job["progress"]["frames"]) == (True, 1, 1)
    result = http.get(job["results"]["cut"]["url"])
    assert result.headers["content-type"] == "image/png"
    assert "Ein%20Bild-cut.png" in result.headers["content-disposition"]
    assert "inline" in result.headers["content-disposition"]
    assert job["results"]["cut"] | {"url": ""} == {"url": "", "bytes": len(result.content), "mime": "image/png"}
    with Image.open(io.BytesIO(result.content)) as image:
        assert (image.size, image.mode) == ((61, 45), "RGBA")
        assert np.asarray(image)[points()[0]].tolist() == [*SKIN, 255]
    assert [one["id"] for one in http.get("/api/jobs").json()["jobs"]] == [job["id"]]
    assert http.delete(path).status_code == 204


@pytest.mark.usefixtures("_file_worker")
def test_a_preview_of_a_picture(http: httpx.Client, upload: str) -> None:
    response = http.post("/api/previews", json={"upload": upload, "at_s": 3, "options": CHROMA})
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png"), response.text
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.size, image.mode) == ((61, 45), "RGBA")
    problem(http.post("/api/previews", json={"upload": upload, "stream": 0}), 422, "invalid", field="stream")


@pytest.mark.long
@pytest.mark.usefixtures("_file_worker")
def test_a_preview_of_a_video_stream(http: httpx.Client, tmp_path: Path) -> None:
    video = uploaded(http, write_streams(tmp_path / "two.ts", [Video((64, 48)), Video((128, 96))]).read_bytes())
    for stream, size in ((0, (64, 48)), (1, (128, 96)), (None, (128, 96))):
        response = http.post("/api/previews", json={"upload": video, "stream": stream, "options": CHROMA})
        assert response.status_code == 200, response.text
        with Image.open(io.BytesIO(response.content)) as image:
            assert image.size == size
