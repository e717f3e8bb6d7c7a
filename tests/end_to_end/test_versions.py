"""The version before this one and this one on one Redis, as in an upgrade and in going back: nothing fails.

`tests/data/previous_version.tar.xz` has the packages of the former, from the commit before records carried a format
(`git archive COMMIT commands mattebox.py pyproject.toml stream web workers`). Replace it at each release.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from stream.serve.redis_server import Embedded
from tests.end_to_end.caller import Caller, apart, calling, patch
from tests.media import PREVIOUS_VERSION, ROOT, numbered_clip
from tests.rtc import Camera
from tests.rtsp import RtspServer
from tests.servers import asynctest, free_port
from tests.udp_receiver import UdpReceiver
from tests.web.videos.file_worker import submitted
from tests.web.videos.tus import uploaded

OPTIONS = {"engine": "chroma", "key": "#3c78c8", "background": "color:#0000ff"}  # the lower half of pictures and clips
BLUE, RED = (0, 0, 255), (255, 0, 0)
LIMIT_S = 60.0
T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback")]


class Program:
    """A web process or a worker of one version, which logs to `log`."""

    def __init__(self, source: Path, folder: Path, redis_url: str, *words: str) -> None:
        folder.mkdir()
        self.log = folder / "log"
        own = {
            "REDIS_URL": redis_url, "MATTEBOX_STORAGE": str(folder.parent / "storage"),
            "MATTEBOX_DATA_DIR": str(folder),
            "MATTEBOX_LIVE_SESSIONS": "8", "MATTEBOX_UDP_ADDRESS": "127.0.0.1", "MATTEBOX_HW_ENCODE": "0",
            "MATTEBOX_ALLOW_PRIVATE_URLS": "1", "MATTEBOX_RTSP_RETRY_S": "0.5", "MATTEBOX_MAX_OFFERS": "1000",
        }  # fmt: skip
        argv = [sys.executable, "-m", "mattebox", *words, "-v"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=source, env=os.environ | own, stdout=log, stderr=log)

    def tasks(self) -> int:
        """How many tasks of jobs it has taken."""
        return sum(
            " workers.files.worker: job " in line or "workers.files.worker job " in line for line in self._lines()
        )

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def drain(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> None:
        assert self.process.wait(LIMIT_S) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()


class World:
    """Redis, storage, and programs of both versions."""

    def __init__(self, folder: Path, redis_url: str, previous: Path, stack: ExitStack) -> None:
        self._folder, self._redis_url, self._stack = folder, redis_url, stack
        self._sources = {"old": previous, "new": ROOT}
        self._count = 0
        self.jobs: list[str] = []

    def _start(self, version: str, *words: str) -> Program:
        self._count += 1
        folder = self._folder / f"{self._count}-{words[0]}-{version}"
        program = Program(self._sources[version], folder, self._redis_url, *words)
        self._stack.callback(_kill, program.process)
        return program

    def web(self, version: str) -> tuple[Program, httpx.Client]:
        port = free_port()
        program = self._start(version, "web", "--port", str(port))
        http = self._stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        wait(lambda: _answers(http, "/livez"), f"{version} web", program)
        return program, http

    def worker(self, version: str, http: httpx.Client) -> Program:
        """Started, and ready for both kinds of work."""
        lines = [f'mattebox_workers{{kind="{kind}",state="ready"}} ' for kind in ("live", "files")]
        before = [_value(http.get("/metrics").text, line) for line in lines]
        program = self._start(version, "worker")

        def is_ready() -> bool:
            text = http.get("/metrics").text
            return all(_value(text, line) > count for line, count in zip(lines, before, strict=True))

        wait(is_ready, f"the {version} worker", program)
        return program

    def submit(self, http: httpx.Client, clip: bytes, count: int) -> None:
        for _ in range(count):
            self.jobs.append(submitted(http, upload=uploaded(http, clip), options=OPTIONS, outputs=[{"format": "mkv"}]))

    def all_done(self, http: httpx.Client, frames: int) -> None:
        for path in self.jobs:
            wait(partial(_has_ended, http, path, "done", "failed", "cancelled"), "the job ends")
            job = http.get(path).json()
            assert (job["state"], job["progress"]["frames"], job["warnings"]) == ("done", frames, []), job


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _answers(http: httpx.Client, path: str) -> bool:
    try:
        return http.get(path).is_success
    except httpx.TransportError:
        return False


def _value(metrics: str, line: str) -> float:
    found = [text.removeprefix(line) for text in metrics.splitlines() if text.startswith(line)]
    return float(found[0]) if found else 0.0


def _has_ended(http: httpx.Client, path: str, *states: str) -> bool:
    return http.get(path).json()["state"] in states


def wait(condition: Callable[[], T], what: str, program: Program | None = None) -> T:
    until_s = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < until_s, f"{what}: {program.log.read_text() if program else ''}"
        time.sleep(0.1)
    return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "redis").mkdir()
    with tarfile.open(PREVIOUS_VERSION) as archive:
        archive.extractall(tmp_path / "previous", filter="data")
    found = subprocess.check_output(
        [sys.executable, "-c", "import stream; print(stream.__file__)"], cwd=tmp_path / "previous"
    )
    assert str(tmp_path / "previous") in found.decode(), "it is the previous version that runs there"
    with Embedded(tmp_path / "redis") as redis, ExitStack() as stack:
        yield World(tmp_path, redis.url, tmp_path / "previous", stack)


@contextmanager
def camera() -> Iterator[RtspServer]:
    server = RtspServer("--user", "ann:pass-word")
    try:
        yield server
    finally:
        server.kill()


async def shown(caller: Caller, rgb: tuple[int, int, int]) -> None:
    """Wait until the caller sees this background."""
    before, until_s = len(caller.pictures), time.monotonic() + LIMIT_S
    while not any(apart(patch(picture, 0.5, 0.8), rgb) < 60 for _, picture in caller.pictures[before:][-3:]):
        assert time.monotonic() < until_s, await caller.record()
        await asyncio.sleep(0.05)


def fed(http: httpx.Client, feed: str, receiver: UdpReceiver, program: Program) -> None:
    """Wait until a feed is sent by this worker."""

    def by_program() -> bool:
        found = http.get(feed).json()
        pids = [program.process.pid, *_children(program.process.pid)]
        return found["state"] == "running" and int(found["worker"].split("-")[-2]) in pids

    wait(by_program, "the feed runs there", program)
    receiver.clear()
    assert wait(receiver.pictures, "pictures of the feed", program)[-1][5, 5, 2] > 200, "blue"


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def nothing_fails(*clients: httpx.Client) -> None:
    """Every list of every version answers."""
    for http in clients:
        for path in ("/readyz", "/metrics", "/api/jobs", "/api/sessions", "/api/feeds", "/api/options"):
            assert http.get(path).is_success, path


async def ended(http: httpx.Client, session: str) -> tuple[str, str]:
    """State and reason of a session, once it has ended."""
    path = f"/api/sessions/{session}"
    await asyncio.to_thread(wait, partial(_has_ended, http, path, "ended", "failed", "lost"), "the session ends")
    found = http.get(path).json()
    return found["state"], found["reason"]


@asynctest
async def test_an_upgrade_and_a_way_back(world: World, tmp_path: Path) -> None:
    frames = 120
    clip = (await asyncio.to_thread(numbered_clip, tmp_path / "c.mp4", frames, 320, 180)).read_bytes()
    old_web, old = world.web("old")
    old_worker = world.worker("old", old)
    with UdpReceiver() as receiver, camera() as source:
        body = {
            "name": "stage", "source": source.url(user="ann:pass-word"), "width": 320, "height": 240,
            "outputs": [{"address": receiver.url}],
            "options": OPTIONS | {"key": "#00c83c"},
        }  # fmt: skip
        feed = str(old.post("/api/feeds", json=body).headers["location"])
        await asyncio.to_thread(fed, old, feed, receiver, old_worker)
        new_web, new = world.web("new")
        async with calling(str(old.base_url), Camera(rate=15), **OPTIONS) as first:
            await shown(first, BLUE)
            new_worker = await asyncio.to_thread(world.worker, "new", old)
            nothing_fails(old, new)
            for http in (old, new):
                await asyncio.to_thread(world.submit, http, clip, 4)
            # The new web changes what the old worker runs.
            response = new.patch(f"/api/sessions/{first.id}", json={"options": {"background": "color:#ff0000"}})
            assert response.is_success, response.text
            await shown(first, RED)
            assert new.patch(feed, json={"options": {"edges": {"feather": 1.0}}}).is_success
            # The old worker is drained: the new one takes over.
            old_worker.drain()
            await asyncio.to_thread(fed, new, feed, receiver, new_worker)
            assert await ended(new, first.id) == ("ended", "drained")
        await asyncio.to_thread(old_worker.ended)
        await asyncio.to_thread(world.all_done, old, frames)
        assert old_worker.tasks(), "both versions did tasks"
        assert new_worker.tasks(), "both versions did tasks"
        # The old web with the new worker, and then all the way back.
        async with calling(str(old.base_url), Camera(rate=15), **OPTIONS) as second:
            await shown(second, BLUE)
            assert old.patch(f"/api/sessions/{second.id}", json={"options": {"background": "color:#ff0000"}}).is_success
            await shown(second, RED)
            await asyncio.to_thread(world.submit, new, clip, 2)
            await asyncio.to_thread(wait, lambda: new_worker.tasks() > 0, "a task of the new worker")
            older = await asyncio.to_thread(world.worker, "old", new)
            nothing_fails(old, new)
            await asyncio.to_thread(world.submit, new, clip, 2)
            new_worker.drain()
            await asyncio.to_thread(fed, old, feed, receiver, older)
            assert await ended(old, second.id) == ("ended", "drained")
        await asyncio.to_thread(new_worker.ended)
        await asyncio.to_thread(world.all_done, new, frames)
        async with calling(str(new.base_url), Camera(rate=15), **OPTIONS) as third:
            await shown(third, BLUE)
            await third.hang_up()
        assert new.delete(feed).is_success
        nothing_fails(old, new)
    for program in (older, old_web, new_web):
        program.drain()
        await asyncio.to_thread(program.ended)
