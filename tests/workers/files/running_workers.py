"""File workers as programs that can be killed, jobs for them, and ways to wait for the jobs."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from stream.records.job_store import JobStore
from stream.records.jobs import Job, Output
from stream.records.options import Options, View
from stream.settings import Settings
from stream.storage import Storage, open_storage
from tests.media import ROOT
from tests.waiting import PATIENCE_S
from workers.files.worker import FileWorker

_LIMIT_S = 60.0


class Factory:
    """Workers with one Redis and one folder. log: of all of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings(data_dir=folder, hw_encode=False)
        self.storage: Storage = open_storage(self.settings)
        self.store = JobStore(url)
        self.log = folder / "workers.log"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.inside: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._url = url
        self._env = os.environ | {"REDIS_URL": url, "MATTEBOX_DATA_DIR": str(folder), "MATTEBOX_HW_ENCODE": "0"}

    def start(self, count: int = 1) -> None:
        argv = [sys.executable, "-m", "tests.workers.files.worker_with_test_engines"]
        with self.log.open("ab") as log:
            for _ in range(count):
                self.workers.append(subprocess.Popen(argv, cwd=ROOT, env=self._env, stderr=log))

    def start_inside(self) -> asyncio.Event:
        """Start a worker in this process, without delay; it ends when the event is set."""
        stop, store = asyncio.Event(), JobStore(self._url)

        async def work() -> None:
            await FileWorker(self.settings, store, self.storage).run(stop)
            await store.close()

        self.inside.append((stop, asyncio.create_task(work())))
        return stop

    async def end_inside(self) -> None:
        for stop, _ in self.inside:
            stop.set()
        await asyncio.gather(*(work for _, work in self.inside))
        self.inside.clear()

    def kill(self, number: int = 0) -> None:
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait()

    def end(self) -> list[int]:
        """End the programs. Returns their exit codes."""
        for worker in self.workers:
            worker.terminate()
        return [worker.wait(PATIENCE_S) for worker in self.workers]

    def uploaded(self, clip: Path) -> str:
        key, copy = f"uploads/{uuid4()}/source", self.settings.data_dir / "upload"
        shutil.copyfile(clip, copy)
        self.storage.put(key, copy)
        return key

    async def submit(self, clip: Path, engine: str = "patient", **fields: Any) -> Job:
        fields = {"source": self.uploaded(clip), "options": Options(engine=engine)} | fields
        return await self.store.submit(Job(id=str(uuid4()), **fields))

    async def until(self, id: str, true: Callable[[Job], bool], limit_s: float = _LIMIT_S) -> Job:
        async with asyncio.timeout(limit_s):
            while True:
                job = await self.store.job(id)
                assert job is not None
                if true(job):
                    return job
                await asyncio.sleep(0.02)

    async def ended(self, job: Job, limit_s: float = _LIMIT_S) -> Job:
        return await self.until(job.id, lambda job: job.state.final, limit_s)

    def result(self, job: Job, name: str = "result") -> Path:
        return self.storage.local(job.results[name].key, self.settings.data_dir)

    def taken(self, job: Job) -> Counter[str]:
        """How often each task of the job was started by a program."""
        return Counter(re.findall(rf"job {job.id}: (plan|join|\d+)$", self.log.read_text(), re.MULTILINE))

    async def tidied(self) -> bool:
        """Whether all temporary files of ended jobs are removed within a few seconds."""
        for _ in range(100):
            if not self._left():
                return True
            await asyncio.sleep(0.05)
        return False

    def _left(self) -> list[str]:
        """Temporary files of the workers, and segments."""
        work = (path for path in (self.settings.data_dir / "work").rglob("*") if path.is_file())
        return [path.name for path in work if path.name not in ("lock", "preview.jpg")] + [
            key for key in self.storage.keys("jobs/") if "/segments/" in key
        ]


@asynccontextmanager
async def factory(url: str, folder: Path, workers: int = 0, inside: int = 0) -> AsyncIterator[Factory]:
    """workers: programs. inside: workers in this process."""
    made = Factory(url, folder)
    made.start(workers)
    for _ in range(inside):
        made.start_inside()
    try:
        yield made
    finally:
        codes = made.end()
        await made.end_inside()
        await made.store.close()
    assert codes == [0] * len(codes), (codes, made.log.read_text())


BOTH = (Output(name="video", format="mp4"), Output(name="matte", format="mkv", view=View.MATTE))
