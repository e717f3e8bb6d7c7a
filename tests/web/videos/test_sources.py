"""GET /api/uploads/{id}/source: an uploaded video, for its owner only."""

import httpx
import pytest

from tests.media import TALK
from tests.web.running_site import Site
from tests.web.videos.tus import PATH, begun, uploaded
from web.videos.sources import media_type


@pytest.mark.long
def test_the_source_is_the_uploaded_file_and_can_be_read_in_parts(http: httpx.Client) -> None:
    video = TALK.read_bytes()
    path = f"{PATH}/{uploaded(http, video)}/source"
    whole = http.get(path)
    assert (whole.status_code, whole.content) == (200, video)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-disposition"].startswith("inline")
    part = http.get(path, headers={"Range": "bytes=1000-1999", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, video[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(video)}"
    assert http.get(path, headers={"Range": f"bytes={len(video)}-"}).status_code == 416
    assert http.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = http.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(video)), b"")


@pytest.mark.long
def test_an_upload_that_is_incomplete_or_no_video_has_no_source(http: httpx.Client) -> None:
    arriving = begun(http, 100)
    assert http.get(f"{arriving}/source").status_code == 409
    text = b"no video at all\n" * 100
    assert http.get(f"{PATH}/{uploaded(http, text)}/source").json()["code"] == "not_ready"
    for id in ("0" * 32, "..%2f..", "x"):
        assert http.get(f"{PATH}/{id}/source").status_code == 404


@pytest.mark.long
def test_a_removed_upload_has_no_source(http: httpx.Client) -> None:
    path = f"{PATH}/{uploaded(http, TALK.read_bytes())}"
    http.delete(path, headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
    assert http.get(f"{path}/source").json()["code"] == "not_found"


@pytest.mark.long
def test_other_users_do_not_find_it(users: Site) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob, users.client() as nobody:
        path = f"{PATH}/{uploaded(alice, TALK.read_bytes())}/source"
        assert [client.get(path).status_code for client in (alice, bob, nobody)] == [200, 404, 401]
        assert [client.head(path).status_code for client in (alice, bob, nobody)] == [200, 404, 401]


@pytest.mark.parametrize(
    ("title", "type"),
    [
        ("film.mp4", "video/mp4"),
        ("FILM.WEBM", "video/webm"),
        ("photo.jpg", "image/jpeg"),
        ("page.html", "application/octet-stream"),
        ("drawing.svg", "application/octet-stream"),
        ("film.mp4.js", "application/octet-stream"),
        ("film", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_only_types_of_videos_and_pictures_are_passed_on(title: str, type: str) -> None:
    assert media_type(title) == type
