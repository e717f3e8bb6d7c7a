"""The commands for backup and restore in docs/operations.md, run as they are written, on a real Redis."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from stream.records.feeds import Feed, FeedSecrets
from stream.records.jobs import Job
from stream.settings import Settings
from tests.docker.manifests import ROOT
from tests.servers import RedisServer, start_server
from tests.web.running_site import Site, running
from tests.web.videos.file_worker import RESULT, FileWorkerDouble

SECTION = (ROOT / "docs/operations.md").read_text().partition("\n## Backup\n")[2].partition("\n## ")[0]
BACKUP, RESTORE = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(
    not (shutil.which("redis-cli") and shutil.which("redis-server")), reason="needs redis-cli and redis-server"
)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    yield from start_server("redis", "--repl-diskless-sync-delay", "0")


def run(script: str, **variables: object) -> None:
    env = {"PATH": os.environ["PATH"]} | {name: str(value) for name, value in variables.items()}
    subprocess.run(["sh", "-eu", "-c", script], env=env, check=True, timeout=60)


def filled(site: Site) -> tuple[Job, Job, Feed]:
    """A finished job, one with a finished and a waiting segment, and a feed with a secret."""
    here, worker = site.context, FileWorkerDouble(site)
    done = site.call(here.jobs.submit(Job(id=str(uuid4()), owner="ann", source="uploads/1/source")))
    worker.run()
    half = site.call(here.jobs.submit(Job(id=str(uuid4()), owner="ann", source="uploads/1/source")))
    worker.plan(segments=2)
    worker.segment()
    feed = Feed(id=str(uuid4()), owner="ann", name="door", source="rtsp://127.0.0.1:1/x")
    site.call(here.feeds.create(feed, FeedSecrets(source="rtsp://me:secret@127.0.0.1:1/x"), 9))
    return done, half, feed


def test_what_is_backed_up_is_there_after_a_restore(server: RedisServer, tmp_path: Path) -> None:
    storage, backup, redis_dir = (tmp_path / name for name in ("storage", "backup", "redis"))
    backup.mkdir()
    redis_dir.mkdir()
    settings = Settings(
        data_dir=tmp_path / "web", storage=str(storage), tokens=SecretStr("ann:token"), secret=SecretStr("s" * 32)
    )
    places = {"BACKUP": backup, "MATTEBOX_STORAGE": storage, "REDIS_URL": server.url, "REDIS_DIR": redis_dir}
    with running(settings, server.url, worker=False) as site:
        done, half, feed = filled(site)
        run(BACKUP, **places)
    server.kill()
    shutil.rmtree(storage)

    run(RESTORE, **places)
    program = shutil.which("redis-server")
    assert program
    restored = RedisServer(program, redis_dir, True, "--appendonly", "no")
    try:
        with restored.client() as client:
            client.config_set("appendonly", "yes")
        with running(settings, restored.url, worker=False) as site, site.client("token") as http:
            assert http.get(f"/api/jobs/{done.id}/result").content == RESULT
            assert http.get(f"/api/jobs/{half.id}").json()["progress"]["segments_done"] == 1
            assert [each["id"] for each in http.get("/api/feeds").json()["feeds"]] == [feed.id]
            claimed = site.call(site.context.feeds.claim("w1"))
            assert claimed is not None
            assert claimed.secrets.source == "rtsp://me:secret@127.0.0.1:1/x"
            worker = FileWorkerDouble(site)
            worker.segment()
            assert worker.join().state == "done", "it continues where it was"
    finally:
        restored.kill()
