"""`mattebox jobs` against a server: a real web server and a real file worker, in this process."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.client import Remote
from commands.jobs import _listed
from stream.errors import RemoteError, UsageError
from stream.records.job_store import JobStore
from stream.settings import Settings
from stream.storage import open_storage
from tests.media import ROOT, command, mattebox, numbered_clip, read
from tests.servers import RedisServer, free_port, start_server
from tests.stream.records.jobs import new_job
from tests.web.running_site import Site, running
from workers.files.worker import FileWorker


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"), hw_encode=False, tokens="ann:secret-secret-secret")
    for server in start_server("valkey"):
        with running(chosen, server.url, worker=False) as site, working(chosen, server):
            yield site


class working:  # noqa: N801 - reads as a statement
    """Runs a file worker in a thread."""

    def __init__(self, chosen: Settings, server: RedisServer) -> None:
        self._chosen, self._url = chosen, server.url
        self._loop, self._thread = asyncio.new_event_loop(), threading.Thread(target=self._work)

    def _work(self) -> None:
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._stop, store = asyncio.Event(), JobStore(self._url)
        await FileWorker(self._chosen, store, open_storage(self._chosen)).run(self._stop)
        await store.close()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


def jobs(site: Site, *words: object) -> tuple[int, str, str]:
    env = {"MATTEBOX_SERVER": site.url, "MATTEBOX_TOKEN": "secret-secret-secret"}
    done = mattebox("jobs", *words, env=env)
    return done.returncode, done.stdout, done.stderr


def test_a_job_is_submitted_watched_listed_and_downloaded(site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 30)
    code, stdout, stderr = jobs(
        site, "submit", clip, "--engine", "chroma", "--output", "mp4", "--output", "mkv:matte", "--json"
    )
    assert (code, stderr) == (0, "")
    job = json.loads(stdout.splitlines()[-1])
    assert (job["state"], sorted(job["results"]), job["title"]) == ("done", ["mkv-matte", "mp4"], "clip.mp4")
    code, stdout, _ = jobs(site, "list")
    assert code == 0
    assert job["id"] in stdout
    assert "30/30" in stdout
    code, stdout, stderr = jobs(site, "get", job["id"][:8], "--name", "mkv-matte", "-o", tmp_path / "matte.mkv")
    assert (code, stdout, stderr) == (0, f"{tmp_path / 'matte.mkv'}\n", "")
    assert len(read(tmp_path / "matte.mkv")) == 30
    code, _, stderr = jobs(site, "get", job["id"], "--name", "none")
    assert (code, stderr) == (1, "error: the job is done and has no result 'none'\n")


def test_a_failed_job_has_exit_code_1(site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 5)
    code, stdout, stderr = jobs(site, "submit", clip, "--engine", "chroma", "--start", "0.01", "--end", "0.02")
    assert (code, stderr) == (1, "")
    assert "failed" in stdout
    code, _, stderr = jobs(site, "submit", clip, "--background", "image:/etc/passwd")
    assert code == 1
    assert stderr.startswith("error: the server: ")
    assert jobs(site, "watch", "zzz")[0] == 1


def test_a_list_is_read_page_by_page(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> list[str]:
        jobs = [await site.context.jobs.submit(new_job(owner="ann")) for _ in range(5)]  # which fail: there is no video
        return [job.id for job in reversed(jobs)]

    ids = site.call(fill())
    monkeypatch.setattr("stream.limits.JOBS_PAGE_MOST", 2)
    everything = [job["id"] for job in _listed(remote(site, tmp_path))]
    assert everything[:5] == ids
    assert len(set(everything)) == len(everything)
    code, stdout, _ = jobs(site, "list", "--limit", 3, "--json")
    assert (code, [json.loads(line)["id"] for line in stdout.splitlines()]) == (0, ids[:3])
    code, stdout, _ = jobs(site, "list")
    assert (code, [line.split()[0] for line in stdout.splitlines()]) == (0, everything)


def remote(site: Site, folder: Path) -> Remote:
    return Remote(site.url, "secret-secret-secret", Settings(cache_dir=folder))


def test_an_interrupted_upload_is_resumed(site: Site, tmp_path: Path) -> None:
    content = numbered_clip(tmp_path / "clip.mp4", 30).read_bytes()
    clip, progress = tmp_path / "clip.mp4", list[tuple[int, int]]()

    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remote(site, tmp_path).upload(clip, stop)
    (place,) = json.loads((tmp_path / "uploads.json").read_text()).values()
    with site.client("secret-secret-secret") as http:
        body = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        assert http.patch(place, content=content[:1000], headers=body).status_code == 204
    id = remote(site, tmp_path).upload(clip, lambda done, size: progress.append((done, size)))
    assert progress == [(1000, len(content)), (len(content), len(content))]
    assert place.endswith(id)
    assert site.context.storage.size(f"uploads/{id}/source") == len(content)
    assert json.loads((tmp_path / "uploads.json").read_text()) == {}


def test_invalid_urls_and_tokens_are_refused() -> None:
    for url in ("ftp://host", "host:80", "", "http://[bad", "http://host:99999", "http://host:x"):
        with pytest.raises(UsageError):
            Remote(url, "", Settings())
    for token in ("two\nlines", "中"):
        with pytest.raises(UsageError):
            Remote("http://host", token, Settings())


def test_an_unreachable_server_is_reported_at_once() -> None:
    line = command("jobs", "list", "--server", f"http://127.0.0.1:{free_port()}")
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            message = process.stderr.readline()
        finally:
            process.kill()
    assert "cannot be reached: " in message
    assert message.endswith("; retrying for 60 s\n")


def test_a_refusal_is_one_line(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"^the server: [^\n]+$"):
        Remote(site.url, "wrong", Settings(cache_dir=tmp_path)).ask("GET", "/api/jobs")
    with pytest.raises(RemoteError, match="no such job"):
        remote(site, tmp_path).ask("GET", "/api/jobs/x")
