"""Two web and two worker processes as on four machines: they share Redis behind Sentinel and a bucket, and no disk.

Each has its own data folder. A proxy without sticky sessions would send any request to either web process.
"""

import hashlib
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from stream.picture.frames import to_av
from stream.serve.die_with_parent import tied
from tests.end_to_end.caller import Caller, apart, calling, patch
from tests.end_to_end.test_service import eventually
from tests.media import ROOT, command, numbered_clip, read
from tests.rtc import Camera, Client
from tests.rtc import until as until_async
from tests.sentinels import sentinel_group
from tests.servers import asynctest, free_port
from tests.waiting import PATIENCE_S, until
from tests.web.videos.file_worker import submitted
from tests.web.videos.test_events import listening
from tests.web.videos.tus import TUS, begun, offset_of, opened, sent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback")]
SIZE = 23_000_000
BEHIND = {"engine": "chroma", "key": "#3c78c8"}  # the colour of the camera's lower half, which becomes background
RED, BLUE = (255, 0, 0), (0, 0, 255)
SDP = {"Content-Type": "application/sdp"}
PART = 8 * 2**20  # what a web process sends to the bucket at once


class Machine:
    """A process of Mattebox with a data folder of its own."""

    def __init__(self, folder: Path, env: dict[str, str], *words: object) -> None:
        self.folder, self._env, self._words = folder, env, words
        folder.mkdir()
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        own = {"MATTEBOX_DATA_DIR": str(self.folder / "data"), "MATTEBOX_HW_ENCODE": "0"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tied(command(*self._words)), cwd=ROOT, env=os.environ | self._env | own, stdout=log, stderr=log
            )

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def files(self) -> list[Path]:
        """What it has stored, except the secret that is not set here, and files for locks, which are empty."""
        files = (path for path in (self.folder / "data").rglob("*") if path.is_file() and path.stat().st_size)
        return [path for path in files if path.name != "secret"]


class Web(Machine):
    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(folder, env, "web", "--port", self.port, "-v")

    def start(self) -> None:
        super().start()
        until(lambda: self.answers("/livez"), f"{self.url} starts")

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).is_success
        except httpx.TransportError:
            return False

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S)


@contextmanager
def running(*machines: Machine) -> Iterator[None]:
    try:
        yield
    finally:
        for machine in machines:
            machine.end()
            print(machine.folder.name, machine.log.read_text())
    assert not [machine.folder.name for machine in machines if "Traceback" in machine.log.read_text()]


@pytest.fixture(scope="module")
def webs(s3_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Web]]:
    """Two web machines, beside two workers."""
    httpx.put(f"{s3_url}/machines", timeout=PATIENCE_S).raise_for_status()
    tmp_path = tmp_path_factory.mktemp("machines")
    with sentinel_group("a-password", "another-password") as group:
        env = {
            "REDIS_URL": group.url(), "MATTEBOX_STORAGE": "s3://machines/prod", "MATTEBOX_S3_ENDPOINT": s3_url,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
            "MATTEBOX_UDP_ADDRESS": "127.0.0.1", "MATTEBOX_LIVE_SESSIONS": "8", "MATTEBOX_LOOPBACK_CANDIDATES": "1",
            "MATTEBOX_MAX_OFFERS": "1000", "MATTEBOX_SECRET": "of all web machines",
        }  # fmt: skip
        a, b = Web(tmp_path / "a", env), Web(tmp_path / "b", env)
        workers = [Machine(tmp_path / name, env, "worker", "-v") for name in ("first", "second")]
        with running(a, b, *workers):
            until(lambda: a.answers("/readyz?for=live") and b.answers("/readyz?for=files"), "the workers are ready")
            yield a, b


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of 40 frames, followed by random bytes, which are ignored."""
    clip = numbered_clip(tmp_path_factory.mktemp("film") / "f.mp4", 40, 128, 96).read_bytes()
    return clip + random.Random(23).randbytes(SIZE - len(clip))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def resume(http: httpx.Client, path: str, content: bytes) -> None:
    """Send the rest of `content` as clients do: again from the server's offset while another connection writes, or
    Redis is unavailable."""

    def accepted() -> bool:
        answer = http.head(path, headers=TUS)
        if answer.is_success:
            at = int(answer.headers["upload-offset"])
            answer = sent(http, path, at, content[at:])
        assert answer.status_code in (204, 409, 423, 503), answer.text
        return answer.status_code == 204

    until(accepted, "the upload is continued", pause_s=0.5)


def test_an_upload_and_its_job_move_between_the_machines(webs: tuple[Web, Web], film: bytes, tmp_path: Path) -> None:
    first, second = webs
    with first.client() as a, second.client() as b:
        path, third = begun(a, SIZE), SIZE // 3
        for client, other, start, end in ((a, b, 0, third), (b, a, third, 2 * third), (a, b, 2 * third, SIZE)):
            assert offset_of(client, path) == start
            resume(client, path, film[:end])
            assert offset_of(other, path) == end
        assert digest(b.get(f"{path}/source").content) == digest(film)
        options = {"background": "color:#0000ff", **BEHIND}
        job = submitted(a, upload=path.rpartition("/")[2], options=options, outputs=[{"format": "mkv"}])
        with listening(second.url, f"{job}/events") as events:
            done = events.next("job", state="done")
        assert done["progress"]["frames"] == 40
        assert a.get(job).json()["state"] == b.get(job).json()["state"] == "done"
        result = tmp_path / "result.mkv"
        result.write_bytes(b.get(done["results"]["result"]["url"]).content)
        assert len(read(result)) == 40
    assert not first.files()
    assert not second.files()


def test_of_two_simultaneous_requests_at_the_two_machines_one_wins(webs: tuple[Web, Web], film: bytes) -> None:
    first, second = webs
    with first.client() as a, second.client() as b, ThreadPoolExecutor(2) as pool:
        path, at = begun(a, SIZE), 0
        while at < SIZE:
            end = min(SIZE, at + 9_000_000)
            answers = list(pool.map(lambda client, at=at, end=end: sent(client, path, at, film[at:end]), (a, b)))
            found = Counter(answer.status_code for answer in answers)
            assert found[204] == 1, found
            assert set(found) <= {204, 409, 423}
            assert offset_of(a, path) == offset_of(b, path) == end
            at = end
        assert digest(a.get(f"{path}/source").content) == digest(film)


def test_a_web_machine_is_killed_in_the_middle_of_a_request(webs: tuple[Web, Web], film: bytes) -> None:
    first, second = webs
    with second.client() as b:
        path = begun(b, SIZE)
        with opened(first.url, path, 0, SIZE) as connection:
            connection.sendall(film[: 2 * PART + 1_000_000])
            until(lambda: offset_of(b, path) >= PART, "the first part is stored")
            first.kill()
        at = offset_of(b, path)
        assert at in (PART, 2 * PART)
        resume(b, path, film)
        assert digest(b.get(f"{path}/source").content) == digest(film)
        first.start()
        with first.client() as a:
            assert a.get(path).json()["state"] == "ready"
            assert digest(a.get(f"{path}/source").content) == digest(film)
    assert not first.files()
    assert not second.files()


def below(client: Client) -> tuple[int, ...]:
    """The colour of the newest picture's lower half."""
    return patch(client.pictures[-1][1], 0.5, 0.8)


async def published(http: httpx.AsyncClient, name: str, **options: str) -> Caller:
    """A camera that is published through this web machine."""
    camera = Caller(http, Camera(rate=15), "H264")
    answer = await http.post(f"/whip/{name}", params=options, content=await camera.offer(), headers=SDP)
    assert answer.status_code == 201, answer.text
    await camera.take(answer.text)
    camera.id = answer.headers["Location"].rpartition("/")[2]
    return camera


async def watched(http: httpx.AsyncClient, name: str) -> Client:
    """A viewer of a stream through this web machine."""
    viewer = Client(None, "H264")
    offer = await viewer.offer()

    async def answered() -> bool:
        answer = await http.post(f"/whep/{name}", content=offer, headers=SDP)
        if answer.status_code == 201:
            await viewer.take(answer.text)
        return answer.status_code == 201

    await eventually(answered, PATIENCE_S, f"the stream {name}")
    return viewer


@asynctest
async def test_live_video_through_either_machine(webs: tuple[Web, Web]) -> None:
    first, second = webs
    async with httpx.AsyncClient(base_url=first.url) as a, httpx.AsyncClient(base_url=second.url) as b:
        for there, here, name, colour in ((a, b, "one", RED), (b, a, "two", BLUE)):
            spec = "color:#" + "".join(f"{level:02x}" for level in colour)
            camera = await published(there, name, background=spec, **BEHIND)
            viewer = await watched(here, name)
            await until_async(lambda: len(viewer.pictures) > 10, what="pictures")  # noqa: B023
            assert apart(below(viewer), colour) < 60
            await viewer.close()
            await camera.hang_up()
        async with calling(first.url, Camera(rate=15), background="color:#ff0000", **BEHIND) as caller:
            await until_async(lambda: len(caller.pictures) > 10, what="pictures")
            found: dict[str, Any] = (await b.get(f"/api/sessions/{caller.id}")).json()
            assert found["state"] == "live"
            change = {"options": {"background": "color:#0000ff"}}
            assert (await b.patch(f"/api/sessions/{caller.id}", json=change)).status_code == 200
            await until_async(lambda: apart(below(caller), BLUE) < 60, what="blue")
            assert (await b.delete(f"/api/sessions/{caller.id}")).status_code == 204
    assert not first.files()


def test_a_background_added_at_one_machine_is_used_at_the_other(webs: tuple[Web, Web], tmp_path: Path) -> None:
    picture = tmp_path / "own.png"
    Image.new("RGB", (64, 48), (0, 0, 255)).save(picture)
    clip = numbered_clip(tmp_path / "c.mp4", 5).read_bytes()
    with webs[0].client() as a, webs[1].client() as b:
        own = a.post("/api/backgrounds", content=picture.read_bytes()).json()
        assert own["spec"] in [choice["spec"] for choice in b.get("/api/backgrounds").json()["backgrounds"]]
        assert a.get(own["thumbnail"]).content == b.get(own["thumbnail"]).content
        thumbnail = "/api/backgrounds/gallery/dusk/thumbnail"
        assert a.get(thumbnail).content == b.get(thumbnail).content
        files, fields = {"file": ("c.mp4", clip)}, {"background": own["spec"], "format": "mkv", **BEHIND}
        answer = b.post("/api/jobs", files=files, data=fields)
        assert answer.status_code == 202, answer.text
        job = answer.headers["location"]
        done = until(lambda: [job for job in [a.get(job).json()] if job["state"] == "done"], "the job is done")[0]
        result = tmp_path / "result.mkv"
        result.write_bytes(a.get(done["results"]["result"]["url"]).content)
        preview = {"upload": done["upload"], "options": {"background": own["spec"], **BEHIND}}
        assert b.post("/api/previews", json=preview).is_success
        assert a.delete(f"/api/backgrounds/{own['id']}").status_code == 204
    assert apart(patch(to_av(read(result)[0], "rgb24"), 0.5, 0.8), BLUE) < 40
    assert not webs[0].files()
