"""Web and a file worker as on two machines: they share only Redis and the storage."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from stream.serve.redis_server import Embedded
from stream.settings import Settings
from tests.media import ROOT, command, numbered_clip, read
from tests.redis_cluster import start_cluster
from tests.waiting import until
from tests.web.running_site import running
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded
from tests.web_server import serving


def ended(http: httpx.Client, path: str) -> dict[str, Any]:
    """The job, once it has ended."""
    until_s = time.monotonic() + 60
    while (job := http.get(path).json())["state"] in ("queued", "running"):
        assert time.monotonic() < until_s, job
        time.sleep(0.1)
    return dict(job)


def result_of(http: httpx.Client, path: str) -> str:
    """The URL of the job's result."""
    job = ended(http, path)
    assert job["state"] == "done", job
    return str(job["results"]["result"]["url"])


@contextmanager
def working(redis_url: str, folder: Path, **env: str) -> Iterator[None]:
    """A file worker in its own process, with its own data folder. env: settings without MATTEBOX_."""
    own = {"MATTEBOX_DATA_DIR": str(folder), "REDIS_URL": redis_url}
    more = {f"MATTEBOX_{name.upper()}": value for name, value in env.items()}
    worker = subprocess.Popen(command("worker", "--for", "files"), cwd=ROOT, env=os.environ | own | more)
    try:
        yield
    finally:
        worker.terminate()
        assert worker.wait(10) == 0


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "redis").mkdir()
    with Embedded(tmp_path / "redis") as redis:
        yield redis.url


def test_a_worker_needs_no_shared_disk(s3: Settings, redis_url: str, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "c.mp4", 20)
    with (
        running(s3.model_copy(update={"data_dir": tmp_path / "web"}), redis_url, worker=False) as site,
        site.client() as http,
        working(redis_url, tmp_path / "worker", storage=s3.storage, s3_endpoint=s3.s3_endpoint),
    ):
        options = {"engine": "chroma", "key": "#3c78c8", "background": "gallery:dusk"}
        job = {"upload": uploaded(http, clip.read_bytes()), "options": options, "outputs": [{"format": "mkv"}]}
        got = tmp_path / "got.mkv"
        got.write_bytes(http.get(result_of(http, submitted(http, **job))).content)
    assert not (tmp_path / "worker" / "backgrounds").exists()
    frames = read(got)
    assert len(frames) == 20
    assert np.ptp(frames[0].pixels[24:48]) > 20, "the background picture replaces the uniform colour"


@pytest.mark.long
def test_a_redis_cluster(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "c.mp4", 20)
    settings = Settings(data_dir=tmp_path / "web", storage=str(tmp_path / "storage"))
    for cluster in start_cluster("valkey", "a-secret"):
        with (
            running(settings, cluster.url, worker=False) as site,
            site.client() as http,
            working(cluster.url, tmp_path / "worker", storage=settings.storage),
        ):
            until(lambda: site.call(site.store.ping()), "the site reaches the cluster")
            job = {"upload": uploaded(http, clip.read_bytes()), "options": {"engine": "chroma"}}
            url = result_of(http, submitted(http, **job, outputs=[{"format": "mkv"}]))
            assert http.get(url, headers={"Range": "bytes=0-3"}).content == b"\x1a\x45\xdf\xa3", "the start of Matroska"


@pytest.mark.long
def test_a_video_from_a_url(redis_url: str, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "c.mp4", 20)
    settings = Settings(data_dir=tmp_path / "web", storage=str(tmp_path / "storage"), allow_private_urls=True)
    with (
        running(settings, redis_url, worker=False) as site,
        site.client() as http,
        serving() as origin,
        working(redis_url, tmp_path / "worker", storage=settings.storage, allow_private_urls="1"),
    ):
        origin.files |= {"/film.mp4": clip.read_bytes(), "/page.html": b"<html>no video</html>"}
        job = {"options": {"engine": "chroma"}, "outputs": [{"format": "mkv"}], "webhook": f"{origin.url}/hook"}
        url = result_of(http, submitted(http, url=f"{origin.url}/film.mp4", **job))
        assert http.get(url, headers={"Range": "bytes=0-3"}).content == b"\x1a\x45\xdf\xa3", "the start of Matroska"
        for name, reason in (("page.html", "unreadable_media"), ("none.mp4", "fetch")):
            path = submitted(http, url=f"{origin.url}/{name}", **job)
            assert ended(http, path)["reason"] == reason
        for _ in range(100):
            if len(origin.posts) == 3:
                break
            time.sleep(0.1)
        events = sorted(json.loads(body)["event"] for _, _, body in origin.posts)  # delivered in any order
        assert events == ["job.done", "job.failed", "job.failed"]
