"""The sweeper removes what has expired, with its files, and keeps what is still needed."""

import time
from collections.abc import Iterator

import httpx
import pytest

from stream.settings import Settings
from tests.media import numbered_clip
from tests.waiting import PATIENCE_S
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import FileWorkerDouble, done, submitted
from tests.web.videos.tus import PATH, TUS, begun, opened, sent, uploaded, writing
from web.videos.sweeper import Sweeper

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 3).read_bytes()


@pytest.fixture
def site(settings: Settings, redis_url: str) -> Iterator[Site]:
    with running(settings, redis_url) as site:
        yield site


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with site.client() as http:
        yield http


def swept(site: Site, *after_s: float) -> None:
    """Run one sweeper at these times from now."""
    sweeper = Sweeper(site.context)
    for seconds in after_s:
        site.call(sweeper.sweep(seconds))


@pytest.mark.long
def test_abandoned_uploads_are_removed(site: Site, http: httpx.Client, clip: bytes) -> None:
    whole, half = f"{PATH}/{uploaded(http, clip)}", begun(http, len(clip))
    sent(http, half, 0, clip[:10])
    swept(site, DAY_S - 60)
    assert http.get(whole).is_success
    assert http.get(half).is_success
    swept(site, DAY_S + 60)
    problem(http.get(whole), 404, "not_found")
    problem(sent(http, half, 10, clip[10:]), 404, "not_found")
    assert not site.context.storage.keys("uploads/")
    assert not [p for p in (site.context.settings.data_dir / "uploads").rglob("*") if p.is_file() and p.name != ".lock"]


@pytest.mark.long
def test_an_upload_that_is_being_written_or_used_by_a_job_stays(
    site: Site, http: httpx.Client, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = uploaded(http, clip)
    submitted(http, upload=waiting)
    half, locked = begun(http, len(clip)), writing(monkeypatch)
    with opened(site.url, half, 0, len(clip)) as connection:
        connection.sendall(clip[:10])
        assert locked.wait(PATIENCE_S)
        swept(site, DAY_S + 60)
        connection.sendall(clip[10:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    assert http.head(f"{PATH}/{waiting}", headers=TUS).is_success
    assert site.context.storage.keys(f"uploads/{waiting}/")


@pytest.mark.long
def test_expired_jobs_are_removed_with_their_results(site: Site, http: httpx.Client, clip: bytes) -> None:
    upload = uploaded(http, clip)
    path, waiting = done(http, site, upload=upload), submitted(http, upload=upload)
    swept(site, 6.9 * DAY_S)
    assert http.get(f"{path}/result").is_success
    swept(site, 7.1 * DAY_S)
    problem(http.get(path), 404, "not_found")
    assert not site.context.storage.keys("jobs/")
    assert http.get(waiting).json()["state"] == "queued"


@pytest.mark.long
def test_jobs_expire_by_the_clock_of_redis(
    site: Site, http: httpx.Client, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = done(http, site, upload=uploaded(http, clip))
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 8 * DAY_S)
    swept(site, 0)
    assert http.get(f"{path}/result").is_success
    swept(site, 7.1 * DAY_S)
    problem(http.get(path), 404, "not_found")


@pytest.mark.long
def test_the_files_of_a_cancelled_job_are_removed(site: Site, http: httpx.Client, clip: bytes) -> None:
    path = submitted(http, upload=uploaded(http, clip))
    key = f"jobs/{path.rpartition('/')[2]}/segments/0000.mkv"
    FileWorkerDouble(site).put(key, b"half a job")
    http.delete(path)
    swept(site, 0)
    assert site.context.storage.keys("jobs/") == [key], "its worker may still write"
    swept(site, 120)
    assert not site.context.storage.keys("jobs/")
    assert http.get(path).json()["state"] == "cancelled"


def test_files_without_a_record_are_removed_after_a_day(site: Site) -> None:
    FileWorkerDouble(site).put("jobs/gone/result.mp4", b"x")
    swept(site, 0, DAY_S - 60)
    assert site.context.storage.keys("jobs/"), "Redis may return with its data"
    swept(site, 0, DAY_S + 60)
    assert not site.context.storage.keys("jobs/")


def test_background_drafts_of_a_killed_process_are_removed(site: Site) -> None:
    draft = site.context.background_store.draft()
    draft.write_bytes(b"half a background")
    (draft.parent / "painting").mkdir()
    (draft.parent / "painting" / "x").write_bytes(b"half a picture")
    swept(site, DAY_S - 60)
    assert draft.exists()
    swept(site, DAY_S + 60)
    assert not list(draft.parent.iterdir())


@pytest.mark.long
def test_incomplete_objects_and_uploads_are_removed(site: Site, http: httpx.Client, clip: bytes) -> None:
    data = site.context.settings.data_dir
    begun(http, len(clip))
    folder = data / "uploads" / "-" / ("0" * 32)
    folder.mkdir()
    (folder / "data").touch()
    half = site.context.storage.draft("backgrounds/-/0.image")
    assert half is not None
    half.write_bytes(b"half of it")
    swept(site, DAY_S - 60)
    assert half.exists()
    assert folder.exists()
    swept(site, DAY_S + 60)
    assert not half.exists()
    assert not folder.exists()


@pytest.mark.long
def test_an_upload_without_a_record_stays_at_first(site: Site, http: httpx.Client, clip: bytes) -> None:
    path = begun(http, len(clip))
    folder = site.context.settings.data_dir / "uploads" / "-" / path.rpartition("/")[2]
    (folder / "info").rename(folder / "elsewhere")  # as if its record were not written yet
    swept(site, 0)
    assert (folder / "data").exists()
