"""`mattebox jobs` against a server: a real web server and a real file worker, in this process."""

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands.app import app
from commands.client import Remote
from commands.jobs import _conclude, _listed
from stream.errors import MatteboxError, RemoteError, UsageError
from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobState
from stream.settings import Settings
from stream.storage import open_storage
from tests.chooser_records import registered
from tests.commands.in_process import mattebox_here
from tests.media import ROOT, command, numbered_clip, read
from tests.servers import RedisServer, free_port, start_server
from tests.stream.records.jobs import new_job
from tests.waiting import PATIENCE_S
from tests.web.running_site import Site, running
from tests.workers.choosers import scene
from workers.files.worker import FileWorker


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"), hw_encode=False, tokens="ann:secret-secret-secret")
    for server in start_server("valkey"):
        with running(chosen, server.url, worker=False) as site, working(chosen, server):
            yield site


@pytest.fixture
def idle_site(tmp_path: Path) -> Iterator[Site]:
    """A server without a worker: no job ends."""
    chosen = Settings(data_dir=tmp_path / "data", hw_encode=False, tokens="ann:secret-secret-secret")
    for server in start_server("valkey"):
        with running(chosen, server.url, worker=False) as site:
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
    done = mattebox_here("jobs", *words, env=env)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.long
def test_a_job_is_submitted_watched_listed_and_downloaded(site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 30)
    code, stdout, stderr = jobs(
        site, "submit", clip, "--engine", "chroma", "--result", "mp4", "--result", "mkv:matte", "--json",
        "--metadata", "keep",
    )  # fmt: skip
    assert (code, stderr) == (0, "")
    job = json.loads(stdout.splitlines()[-1])
    assert job["metadata"] == "keep"
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


@pytest.mark.long
def test_results_of_single_subjects(site: Site, tmp_path: Path) -> None:
    clip = scene.clip(tmp_path / "clip.mp4", frames=2)
    words = list[object]()
    for name in scene.COLOURS:
        Image.fromarray((255 * scene.alpha(name, 0.0)).astype(np.uint8)).save(tmp_path / f"{name}.png")
        words += ["--subject", f"{name}=mask:{tmp_path / f'{name}.png'}"]
    words += ["--engine", "chroma", "--background", "transparent"]
    results = ("-o", f"{tmp_path / 'out.webm'}:red", "--result", "mkv:blue", "--result", "mkv:matte:red+blue")
    code, stdout, stderr = jobs(site, "submit", clip, *words, *results, "--json")
    assert code == 0, stderr
    job = json.loads(stdout.splitlines()[-1])
    assert {output["name"]: output["subject"] for output in job["outputs"]} == {
        "webm-red": ["red"], "mkv-blue": ["blue"], "mkv-matte-red-blue": ["red", "blue"],
    }  # fmt: skip
    code, _, stderr = jobs(site, "get", job["id"], "--name", "mkv-blue", "-o", tmp_path / "blue.mkv")
    assert code == 0, stderr
    for path, shown, hidden in ((tmp_path / "out.webm", "red", "blue"), (tmp_path / "blue.mkv", "blue", "red")):
        alpha = read(path)[0].alpha
        assert alpha is not None
        assert alpha[scene.alpha(shown, 0.0) == 1].min() > 150
        assert alpha[scene.alpha(hidden, 0.0) > 0].max() == 0


@pytest.mark.long
def test_a_failed_job_has_exit_code_1(site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 40)
    content = bytearray(clip.read_bytes())
    start = content.index(b"mdat")
    size = int.from_bytes(content[start - 4 : start])
    most = slice(start + size * 55 // 100, start + size - 8)
    content[most] = bytes(most.stop - most.start)  # the first frame is whole, most others are lost
    clip.write_bytes(content)
    code, stdout, stderr = jobs(site, "submit", clip, "--engine", "chroma")
    assert (code, stderr) == (1, "")
    assert "failed" in stdout
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


@pytest.mark.long
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


@pytest.mark.long
def test_a_result_is_saved_with_an_uploaded_background(site: Site, tmp_path: Path) -> None:
    clip, mars = numbered_clip(tmp_path / "clip.mp4", 8), tmp_path / "mars.png"
    Image.new("RGB", (64, 48), (200, 60, 20)).save(mars)
    words = ("--engine", "chroma", "--key", "#00ff00", "--background", f"image:{mars}")
    code, stdout, stderr = jobs(site, "submit", clip, *words, "-o", tmp_path / "out.mkv", "--result", "mp4", "--json")
    assert (code, stderr) == (0, f"saved as {tmp_path / 'out.mkv'}\n"), stderr
    assert len(read(tmp_path / "out.mkv")) == 8
    job = json.loads(stdout.splitlines()[-1])
    assert sorted(job["results"]) == ["mkv", "mp4"]
    assert job["options"]["background"].startswith("upload:")
    assert job["options"]["key"] == [0, 255, 0]


@pytest.mark.long
def test_pictures_are_unpacked_unless_a_zip_file_is_named(site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 3)
    words = ("submit", clip, "--engine", "chroma", "--background", "transparent")
    for pattern, out in (("%05d.png", tmp_path / "frames"), ("cut_%d.png", tmp_path / "cut" / "cut_%d.png")):
        assert jobs(site, *words, "-o", out)[0] == 0
        folder = out if pattern == "%05d.png" else out.parent
        assert {p.name for p in folder.iterdir()} == {*(pattern % n for n in (1, 2, 3)), "timestamps.txt"}
    assert jobs(site, *words, "-o", tmp_path / "frames.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "frames.zip") as pictures:
        assert len(pictures.namelist()) == 4


def test_a_background_is_uploaded_once(site: Site, tmp_path: Path) -> None:
    client = remote(site, tmp_path)
    with BytesIO() as file:
        Image.new("RGB", (32, 32), (1, 2, 3)).save(file, "PNG")
        content = file.getvalue()
    spec = client.add_background(content)
    assert client.add_background(content) == spec
    client.ask("DELETE", f"/api/backgrounds/{spec.removeprefix('upload:')}")
    assert client.add_background(content) != spec


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["CLIP", "--background", "image:/none.jpg"], 1, "/none.jpg"),
        (["CLIP", "--background", f"image:{__file__}"], 1, "test_jobs.py"),
        (["CLIP", "--background", "gallery:nowhere"], 2, "'gallery:nowhere' is not one of: blur:0.3"),
        (["CLIP", "--background", "transparent"], 2, "does not support transparency"),
        (["CLIP", "--engine", "chrome"], 2, "did you mean chroma?"),
        (["CLIP", "--engine", "rvm", "--key", "#00ff00"], 2, "--key: supported only by chroma"),
        (["CLIP", "--result", "mp5"], 2, "did you mean mp4?"),
        (["CLIP", "--result", "mp4:mate"], 2, "did you mean matte?"),
        (["CLIP", "--result", "webm:ann"], 2, "'ann' is not one of: composite"),
        (["CLIP", "-o", "out.webm:ann"], 2, "-o out.webm:ann: there is no subject 'ann'; none is chosen"),
        (["CLIP", "-o", "out.webm:an", "--subject", "ann=mask:CLIP"], 2, "did you mean ann?"),
        (["CLIP", "--result", "mkv:anne", "--subject", "ann=mask:CLIP"], 2, "--result mkv:anne: there is no subject"),
        (
            ["CLIP", "-o", "{subject}.mkv", "--subject", "a=mask:CLIP", "--subject", "b=mask:CLIP"],
            2,
            "saves one result",
        ),
        (["CLIP", "--start", "2", "--end", "1"], 2, "--end 1 is not after --start 2"),
        (["CLIP", "--start", "99"], 2, "is after its end"),
        (["CLIP", "--stream", "1"], 1, "has no video stream 1, only stream 0"),
        (["CLIP", "-o", "mkv:matte"], 2, "--result mkv:matte"),
        (["CLIP", "-o", "out.avi"], 2, ".avi is not an output format"),
        (["CLIP", "-o", "out.mp4", "--no-watch"], 2, "--no-watch"),
        (["CLIP", "-o", "/no/such/out.mp4"], 1, "does not exist"),
        (["CLIP", "-o", "CLIP"], 2, "would overwrite the input"),
        (["CLIP", "-o", __file__, "--result", "mp4"], 2, ".py is not an output format"),
        (["/none.mp4"], 1, "/none.mp4 does not exist"),
        ([__file__], 1, "test_jobs.py"),
        ([__file__, "-o", "out.jpg"], 1, "is text"),
        (["/none.jpg", "-o", "out.mp4"], 1, "/none.jpg does not exist"),
        (["CLIP", "--token", "wrong"], 1, "access token"),
    ],
)
def test_everything_is_checked_before_anything_is_uploaded(
    site: Site, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    clip = str(numbered_clip(tmp_path / "clip.mp4", 3))
    before = len(site.context.storage.keys("uploads"))
    server = ["--server", site.url, "--token", "secret-secret-secret"]
    with pytest.raises(MatteboxError) as caught:
        app(["jobs", "submit", *server, *[clip if word == "CLIP" else word for word in words]], standalone_mode=False)
    assert caught.value.exit_code == code
    assert message in str(caught.value)
    assert len(site.context.storage.keys("uploads")) == before


@pytest.mark.long
def test_a_download_continues_where_it_was_cut_off(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    with cutting_server(content, 100_000) as (url, ranges):
        Remote(url, "", Settings()).download("/result", tmp_path / "out", lambda done, size: None)
    assert (tmp_path / "out").read_bytes() == content
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@contextmanager
def cutting_server(content: bytes, at_most: int) -> Iterator[tuple[str, list[str | None]]]:
    """A server that closes the connection after `at_most` bytes. Yields its URL and the ranges that are requested."""
    ranges: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ranges.append(self.headers["Range"])
            begin = int((self.headers["Range"] or "bytes=0-")[6:-1])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(content[begin : begin + at_most])

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", ranges
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
def test_an_interrupted_wait_prints_that_the_job_continues(idle_site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 3)
    line = command("jobs", "submit", clip, "--engine", "chroma", "-o", tmp_path / "out.mp4", "--json")
    env = os.environ | {"MATTEBOX_SERVER": idle_site.url, "MATTEBOX_TOKEN": "secret-secret-secret"}
    with subprocess.Popen(
        line, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert first["event"] == "progress"
    assert process.returncode == 130
    assert f"job {first['id']} continues on the server" in stderr
    assert f"mattebox jobs get {first['id'][:8]}" in stderr
    assert f"mattebox jobs cancel {first['id'][:8]}" in stderr
    assert not (tmp_path / "out.mp4").exists()


def test_invalid_urls_and_tokens_are_refused() -> None:
    for url in ("ftp://host", "host:80", "", "http://[bad", "http://host:99999", "http://host:x"):
        with pytest.raises(UsageError):
            Remote(url, "", Settings())
    for token in ("two\nlines", "中"):
        with pytest.raises(UsageError):
            Remote("http://host", token, Settings())


@pytest.mark.long
def test_the_masks_of_a_job_are_uploaded(idle_site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 5)
    Image.new("L", (64, 48), 255).save(tmp_path / "mask.png")
    words = ("submit", clip, "--no-watch", "--json", "--subject", f"mask:{tmp_path / 'mask.png'}@1.5")
    with registered():
        code, stdout, stderr = jobs(idle_site, *words, "--subject", "not:point:0.5,0.5")
        assert (code, stderr) == (0, "")
        subject, removed = json.loads(stdout.splitlines()[-1])["options"]["subjects"]
        (prompt,) = subject["prompts"]
        assert re.fullmatch("mask:upload:[0-9a-f]{32}@1.5", prompt)
        assert (removed["keep"], removed["prompts"]) == (False, ["point:0.5,0.5"])

        of_server = prompt.removesuffix("@1.5")
        code, stdout, stderr = jobs(idle_site, "submit", clip, "--no-watch", "--json", "--subject", of_server)
        assert (code, stderr) == (0, "")
        assert json.loads(stdout.splitlines()[-1])["options"]["subjects"][0]["prompts"] == [of_server]
        refused = jobs(idle_site, "submit", tmp_path / "clip.mp4", "--subject", "mask:nothing.png")
    assert refused == (2, "", "error: --subject: mask:nothing.png: No such file or directory\n")


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


def test_the_warnings_of_a_job_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(id="j" * 8, state=JobState.DONE, warnings=(("several_videos", "the file has 2 video streams"),))
    record = job.model_dump(mode="json")
    _conclude(record, as_json=False)
    assert capsys.readouterr().err == "warning: the file has 2 video streams\n"
    _conclude(record, as_json=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out)["warnings"] == [["several_videos", "the file has 2 video streams"]]
