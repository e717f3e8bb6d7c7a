"""File jobs through the queue: one, two and four workers on one video, and the queue's overhead over `mattebox file`.

Each worker is pinned to one core, as long as there are enough, and so is the command; the ratios are then those of
separate machines. Engines are loaded before the measurement.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.errors import ServerError
from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobState
from stream.records.options import Options
from stream.serve.redis_server import Embedded
from stream.settings import Settings
from stream.storage import keys, open_storage
from workers import engines
from workers.bench.file import make_clip
from workers.files import plan
from workers.files.worker import BEHIND

_WARM_FRAMES = 30
_FILE = "import sys; from workers.bench.jobs import time_file; print(*time_file(*sys.argv[1:]))"


@dataclass(frozen=True)
class Row:
    """workers: 0 is the command `mattebox file`. seconds: wall time. cpu_s: CPU time. ratio: of the wall time to one
    worker's. overhead: of the CPU time over the command's, without the frames that warm up segments. twice: the share
    of those frames."""

    engine: str
    workers: int
    seconds: float
    cpu_s: float
    fps: float
    ratio: float
    overhead: float
    twice: float


async def bench_jobs(
    clip: Path | None,
    engine: str,
    frames: int,
    size: tuple[int, int],
    counts: Sequence[int],
    settings: Settings,
    say: Callable[[str], None],
) -> AsyncIterator[Row]:
    """Measure the command first, then each number of workers, the first of which should be 1."""
    with tempfile.TemporaryDirectory(prefix="mattebox-bench-") as folder:
        film, short = Path(folder) / "film.mp4", Path(folder) / "short.mp4"
        make_clip(film, clip, *size, frames, settings)
        make_clip(short, clip, *size, _WARM_FRAMES, settings)
        say("mattebox file")
        alone_s, alone_cpu_s = await asyncio.to_thread(_command, film, short, engine)
        yield Row(engine, 0, round(alone_s, 1), round(alone_cpu_s, 1), round(frames / alone_s, 1), 0.0, 0.0, 0.0)
        one_s = 0.0
        for count in counts:
            say(f"{count} workers")
            took_s, cpu_s, twice = await _jobs(Path(folder) / f"data{count}", film, short, engine, count, settings)
            one_s = one_s or took_s
            over = cpu_s / (1 + twice) / alone_cpu_s - 1
            figures = round(took_s, 1), round(cpu_s, 1), round(frames / took_s, 1)
            yield Row(engine, count, *figures, round(took_s / one_s, 3), round(over, 4), round(twice, 4))


def time_file(film: str, short: str, engine: str) -> tuple[float, float]:
    """Wall and CPU seconds of `mattebox file` without loading the engine. Runs in a separate process."""
    from io import StringIO

    from stream.progress import LineReporter
    from stream.settings import settings
    from workers.runs.file import FileRun, run_file

    os.nice(BEHIND)  # like a worker for files
    seconds = cpu_s = 0.0
    for path in (short, film):
        output = Path(path).with_suffix(".out.mp4")
        options = Options(engine=engine)
        began_s = time.process_time()
        report = run_file(FileRun(Path(path), output, options), settings(), LineReporter(StringIO()))
        seconds, cpu_s = report.seconds, time.process_time() - began_s
    return seconds, cpu_s


def _command(film: Path, short: Path, engine: str) -> tuple[float, float]:
    argv = [sys.executable, "-c", _FILE, str(film), str(short), engine]
    process = subprocess.Popen(argv, env=_environment(), stdout=subprocess.PIPE, text=True)
    _pin(process.pid, 0)
    out, _ = process.communicate()
    if process.returncode:
        raise ServerError("mattebox file failed")
    seconds, cpu_s = map(float, out.split())
    return seconds, cpu_s


async def _jobs(
    data: Path, film: Path, short: Path, engine: str, count: int, settings: Settings
) -> tuple[float, float, float]:
    """Wall and CPU seconds of the job, and the share of frames that were matted twice."""
    with Embedded(data) as server:
        async with _workers(server.url, data, count) as workers:
            store, storage = JobStore(server.url), open_storage(settings.model_copy(update={"data_dir": data}))

            async def submit(clip: Path) -> Job:
                key, copy = keys.upload_source(str(uuid.uuid4())), data / "upload"
                shutil.copyfile(clip, copy)
                storage.put(key, copy)
                return await store.submit(Job(id=str(uuid.uuid4()), source=key, options=Options(engine=engine)))

            warm = [await submit(short) for _ in range(4 * count)]  # so that every worker gets one
            for job in warm:
                await _finished(store, job)
            before_s = _cpu_s(workers)
            job = await _finished(store, await submit(film))
            cpu_s = _cpu_s(workers) - before_s
            await store.close()
            twice = plan.overlap(job, engines.load(engine, job.options, settings))
    return job.ended_s - job.started_s, cpu_s, twice * (job.progress.segments - 1) / job.progress.of_frames


async def _finished(store: JobStore, job: Job) -> Job:
    while (found := await store.job(job.id)) is not None and not found.state.final:
        await asyncio.sleep(0.1)
    if found is None or found.state is not JobState.DONE:
        raise ServerError(f"a job failed: {found.detail if found else 'lost'}")
    return found


@asynccontextmanager
async def _workers(url: str, data: Path, count: int) -> AsyncIterator[list[int]]:
    """Start `count` workers for files; yields their process ids."""
    env = _environment() | {"REDIS_URL": url, "MATTEBOX_DATA_DIR": str(data)}
    argv = [sys.executable, "-m", "mattebox", "worker", "--for", "files"]
    started = [subprocess.Popen(argv, env=env) for _ in range(count)]
    for number, worker in enumerate(started):
        _pin(worker.pid, number)
    try:
        yield [worker.pid for worker in started]
    finally:
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait()


def _cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds of these processes and their children so far, from Linux's /proc; 0 on other systems."""
    ticks = 0
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ours = int(entry.name) in pids or int(fields[1]) in pids
                ticks += (int(fields[11]) + int(fields[12])) if ours else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    return os.environ | {"MATTEBOX_THREADS": "1", "MATTEBOX_HW_ENCODE": "0"}


def _pin(pid: int, number: int) -> None:
    """Pin the process to one core, in turn, on systems that support it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {cores[number % len(cores)]})
