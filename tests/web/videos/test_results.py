"""Results over HTTP: range and conditional requests as players and download managers send them, names, links."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stream.settings import Settings
from tests.media import numbered_clip
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import RESULT, FileWorkerDouble, done
from tests.web.videos.tus import uploaded

END = len(RESULT) - 1


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


@pytest.fixture(scope="module")
def path(site: Site, http: httpx.Client, clip: bytes) -> Iterator[str]:
    """The path of a finished job's result."""
    yield done(http, site, upload=uploaded(http, clip, 'Tänze "im"\r\n Mai/../x.mov')) + "/result"
    FileWorkerDouble(site).clear()


def test_the_whole_file(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert (response.status_code, response.content) == (200, RESULT)
    headers = response.headers
    assert (headers["content-type"], headers["accept-ranges"]) == ("video/mp4", "bytes")
    head = http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == headers["content-length"] == str(len(RESULT))
    assert head.headers["etag"] == headers["etag"]


@pytest.mark.parametrize(("asked", "start", "end"), [
    ("bytes=0-0", 0, 0), ("bytes=0-", 0, END), ("bytes=1000-1999", 1000, 1999), ("bytes=-100", END - 99, END),
    (f"bytes={END}-", END, END), (f"bytes=5-{END + 9999}", 5, END), (f"bytes=-{END + 9999}", 0, END),
    ("bytes = 7 - 9", 7, 9),
])  # fmt: skip
def test_a_range(http: httpx.Client, path: str, asked: str, start: int, end: int) -> None:
    response = http.get(path, headers={"Range": asked})
    assert (response.status_code, response.content) == (206, RESULT[start : end + 1])
    assert response.headers["content-range"] == f"bytes {start}-{end}/{len(RESULT)}"
    assert response.headers["content-length"] == str(end - start + 1)


def test_head_ignores_ranges(http: httpx.Client, path: str) -> None:
    for asked in ("bytes=0-9", f"bytes={END + 1}-"):
        head = http.head(path, headers={"Range": asked})
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(RESULT)))


@pytest.mark.parametrize("asked", [f"bytes={END + 1}-", "bytes=-0", f"bytes={END + 5}-{END + 9}"])
def test_a_range_beyond_the_end(http: httpx.Client, path: str, asked: str) -> None:
    response = http.get(path, headers={"Range": asked})
    problem(response, 416, "range")
    assert response.headers["content-range"] == f"bytes */{len(RESULT)}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=1-" + "9" * 30]
)
def test_invalid_ranges_are_ignored(http: httpx.Client, path: str, asked: str) -> None:
    response = http.get(path, headers={"Range": asked})
    assert (response.status_code, response.content) == (200, RESULT)


def test_conditional_requests(http: httpx.Client, path: str) -> None:
    etag = http.head(path).headers["etag"]
    for weak in (f"W/{etag}", "*"):
        assert http.get(path, headers={"If-None-Match": weak}).status_code == 304
    kept = http.get(path, headers={"If-None-Match": f'"other", {etag}'})
    assert (kept.status_code, kept.content) == (304, b"")
    assert http.get(path, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert http.get(path, headers={"Range": "bytes=0-9", "If-Range": '"older"'}).status_code == 200


def test_the_file_name_is_the_title_without_unsafe_characters(http: httpx.Client, path: str) -> None:
    header = http.get(path, params={"download": True}).headers["content-disposition"]
    kind, ascii_name, full = (part.strip() for part in header.split(";"))
    assert kind == "attachment"
    assert ascii_name == 'filename="T_nze _im_ Mai_.._x-result.mp4"'
    assert full == "filename*=UTF-8''T%C3%A4nze%20%22im%22%20Mai_.._x-result.mp4"
    assert http.head(path).headers["content-disposition"].startswith("inline")


@pytest.mark.long
def test_a_download_link_works_until_it_expires(users: Site, clip: bytes) -> None:
    with users.client("alice-token") as alice, users.client() as anonymous:
        upload = uploaded(alice, clip)
        mine, other = done(alice, users, upload=upload), done(alice, users, upload=upload)
        link = alice.post(f"{mine}/links", json={"expires_s": 60}).json()["url"]
        assert anonymous.get(link).content == RESULT
        assert anonymous.get(link, headers={"Range": "bytes=0-9"}).status_code == 206
        token = link.partition("token=")[2]
        problem(anonymous.get(f"{other}/result", params={"token": token}), 403, "link_scope")
        problem(anonymous.get(mine, params={"token": token}), 403, "link_scope")
        problem(anonymous.get(f"{mine}/result"), 401, "sign_in")
        problem(anonymous.get(f"{mine}/result", params={"token": token[:-2] + "xx"}), 401, "sign_in")
        problem(alice.post(f"{mine}/links", json={"output": "none"}), 422, "invalid", "output")
        old = users.context.gate.issue("download", "alice", mine.rpartition("/")[2], -1)
        problem(anonymous.get(f"{mine}/result", params={"token": old}), 401, "sign_in")


def test_the_latest_picture(site: Site, http: httpx.Client, path: str) -> None:
    job = path.removesuffix("/result")
    problem(http.get(f"{job}/preview"), 404, "not_found")
    FileWorkerDouble(site).put(f"jobs/{job.rpartition('/')[2]}/preview.jpg", b"\xff\xd8picture")
    response = http.get(f"{job}/preview")
    assert (response.headers["content-type"], response.content) == ("image/jpeg", b"\xff\xd8picture")


@pytest.mark.long
def test_a_result_whose_file_is_missing(site: Site, http: httpx.Client, path: str, clip: bytes) -> None:
    job = done(http, site, upload=uploaded(http, clip))
    site.context.storage.remove_all(f"jobs/{job.rpartition('/')[2]}/")
    problem(http.get(f"{job}/result"), 404, "not_found")
    problem(http.get(f"{job}/result", params={"output": "none"}), 404, "no_result")


@pytest.mark.long
def test_uploads_and_results_in_a_bucket(s3: Settings, tmp_path: Path, redis_url: str, clip: bytes) -> None:
    with running(s3.model_copy(update={"data_dir": tmp_path}), redis_url) as site, site.client() as http:
        upload = uploaded(http, clip, "film.mp4")
        assert site.context.storage.keys("uploads/") == [f"uploads/{upload}/info", f"uploads/{upload}/source"]
        other = s3.model_copy(update={"data_dir": tmp_path / "other"})
        with running(other, redis_url, worker=False) as second, second.client() as client:
            path = done(client, second, upload=upload)
        assert http.get(f"{path}/result", headers={"Range": "bytes=1000-1999"}).content == RESULT[1000:2000]
        assert http.get(f"{path}/result").content == RESULT
        assert http.delete(path).status_code == 204
        assert not site.context.storage.keys("jobs/")
