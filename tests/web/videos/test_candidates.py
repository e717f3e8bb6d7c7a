"""POST /api/candidates: the jobs that it submits, its answers and its refusals."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.media import numbered_clip
from tests.waiting import PATIENCE_S
from tests.web.http_checks import problem, until
from tests.web.running_site import Site
from tests.web.videos.file_worker import SUGGESTED, FileWorkerDouble
from tests.web.videos.tus import uploaded

PATH = "/api/candidates"


@pytest.fixture(scope="module")
def upload(http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    clip = numbered_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=30)
    return uploaded(http, clip.read_bytes())


@pytest.fixture
def files(site: Site) -> Iterator[FileWorkerDouble]:
    files = FileWorkerDouble(site, candidates=SUGGESTED)
    yield files
    files.clear()


def asked(http: httpx.Client, **fields: Any) -> httpx.Response:
    return http.post(PATH, json=fields, timeout=PATIENCE_S)


def test_the_candidates_of_a_frame(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(asked, http, upload=upload, at_s=0.5, chooser="sam2", most=7, stream=0)
        planned = files.plan()
        assert planned.search is not None
        assert (planned.search.chooser, planned.search.most, planned.search.smallest) == ("sam2", 7, 0.001)
        assert (planned.start_s, planned.stream, planned.priority, planned.listed) == (0.5, 0, 9, False)
        files.segment()
        files.join()
        response = answer.result(PATIENCE_S)
    assert response.status_code == 200, response.text
    assert response.json() == {"candidates": [each.model_dump(mode="json") for each in SUGGESTED]}
    until(http, "/api/jobs", jobs=[])
    assert not files._site.context.storage.keys("jobs/"), "its files are removed"


def test_a_time_after_the_end_gives_the_last_frame(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(asked, http, upload=upload, at_s=99)
        assert files.plan().start_s == pytest.approx(1 - 1 / 30, abs=0.01)
        files.segment()
        files.join()
        assert answer.result(PATIENCE_S).status_code == 200


@pytest.mark.long
def test_a_picture_has_one_frame(http: httpx.Client, files: FileWorkerDouble) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 36), "#cc2020").save(data, "PNG")
    picture = uploaded(http, data.getvalue(), "picture.png")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(asked, http, upload=picture, at_s=3)
        assert files.plan().start_s == 0
        files.segment()
        files.join()
        assert answer.result(PATIENCE_S).status_code == 200


def test_why_a_search_failed(http: httpx.Client, files: FileWorkerDouble, upload: str) -> None:
    detail = "chooser: none that lists candidates is available here"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(asked, http, upload=upload)
        files.fail("failed", detail)
        problem(answer.result(PATIENCE_S), 422, "failed")
    assert answer.result().json()["detail"] == detail


def test_refusals(http: httpx.Client, upload: str) -> None:
    problem(asked(http, upload="0" * 32), 404, "no_upload")
    found = problem(asked(http, upload=upload, chooser="sam3"), 422, "invalid", "chooser")
    assert "use one of: auto, sam2" in str(found)
    problem(asked(http, upload=upload, stream=5), 422, "no_video_stream", "stream")
    problem(asked(http, upload=upload, most=0), 422, "invalid", "most")
    problem(asked(http, upload=upload, grid=3), 422, "invalid", "grid")
