"""File workers as programs, with a real Redis: jobs survive workers that are killed, hang or lose Redis."""

import asyncio
import contextlib
import io
import multiprocessing
import os
import random
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.picture.frames import Frame
from stream.progress import LineReporter
from stream.records.engines import ENGINES
from stream.records.job_store import JobStore
from stream.records.jobs import Job, JobState, Output
from stream.records.live_store import LiveStore
from stream.records.options import Options, View
from stream.settings import Settings
from stream.storage import open_storage
from tests.end_to_end.serving import descendants, memory_mib
from tests.media import numbered, numbered_clip, read, sound_of, write_video
from tests.onnx_networks import unet
from tests.servers import RedisServer, asynctest, start_server
from tests.web_server import serving
from tests.workers.failing_link import OddLink
from tests.workers.files.running_workers import BOTH, Factory, factory
from tests.workers.files.worker_with_test_engines import RECORDS
from workers.files import process
from workers.files.worker import FileWorker
from workers.runs.file import FileRun, run_file


@pytest.fixture
def server() -> Iterator[RedisServer]:
    yield from start_server("valkey")


@pytest.fixture(autouse=True)
def engines_for_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, record in RECORDS.items():
        monkeypatch.setitem(ENGINES, name, record)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """720 small frames, cut into three segments, with sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, (numbered(n % 256) for n in range(720)), sound_s=24.0, options={"g": "40"})


def same(ours: list[Frame], theirs: list[Frame]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(a.time_s == b.time_s and np.array_equal(a.pixels, b.pixels) for a, b in pairs)


async def killed_at(site: Factory, job: Job, shares: list[float]) -> Job:
    """Run the job, and kill and replace a worker whenever one of these shares of it is done."""
    for share in shares:
        await site.until(job.id, _reached(share * 720))
        site.kill(random.randrange(len(site.workers)))
        site.start()
    return await site.ended(job)


def _reached(frames: float) -> Callable[[Job], bool]:
    return lambda job: job.state.final or job.progress.frames >= frames


@asynctest
async def test_a_job_gives_the_same_result_as_the_command(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, inside=2) as site:
        job = await site.ended(await site.submit(clip, "chroma", outputs=BOTH))
        assert (job.state, job.reason) == (JobState.DONE, ""), site.log.read_text()
        assert (job.progress.frames, job.progress.segments_done) == (720, 3)
        assert job.media is not None
        assert (job.media.width, job.media.fps, job.media.sound) == (64, 30.0, True)
        for output in BOTH:
            options = output.options(job.options)
            path = tmp_path / f"one.{output.format}"
            run_file(FileRun(clip, path, options), site.settings, LineReporter(io.StringIO()))
            ours, theirs = read(site.result(job, output.name)), read(path)
            assert [frame.time_s for frame in ours] == [frame.time_s for frame in theirs]
            apart = [np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in zip(ours, theirs, strict=True)]
            assert max(apart) < 1.0
            (wave, *_), (truth, *_) = sound_of(site.result(job, output.name)), sound_of(path)
            assert np.array_equal(wave, truth)
        assert await site.tidied()
        assert site.storage.size(f"jobs/{job.id}/preview.jpg") > 100


@pytest.mark.slow
@asynctest
async def test_results_in_a_bucket_are_never_stored_completely_on_the_worker(
    server: RedisServer, tmp_path: Path, clip: Path, s3: Settings
) -> None:
    outputs = *BOTH, Output(name="pictures", format="png"), Output(name="small", format="gif")
    async with factory(server.url, tmp_path) as site:
        plain = site.settings
        site.settings = plain.model_copy(update={"storage": s3.storage, "s3_endpoint": s3.s3_endpoint})
        site.storage = open_storage(site.settings)
        site.start_inside()
        with largest(tmp_path / "work") as peaks:
            job = await site.ended(await site.submit(clip, "chroma", outputs=outputs), 120)
        assert (job.state, job.reason) == (JobState.DONE, ""), job.detail
        sizes = {output.format: job.results[output.name].bytes for output in outputs}
        assert peaks[0] < sum(sizes.values()) / 3 + clip.stat().st_size + 2 * sizes["png"] / 3
        await site.end_inside()
        ours = {output.name: site.result(job, output.name).read_bytes() for output in outputs}
        site.settings, site.storage = plain, open_storage(plain)
        site.start_inside()
        job = await site.ended(await site.submit(clip, "chroma", outputs=outputs), 120)
        for output in outputs:
            (there := tmp_path / f"there.{output.format}").write_bytes(ours[output.name])
            if output.format == "png":
                with zipfile.ZipFile(there) as one, zipfile.ZipFile(site.result(job, output.name)) as two:
                    assert [(n.filename, n.CRC) for n in one.infolist()] == [
                        (n.filename, n.CRC) for n in two.infolist()
                    ]
                continue
            assert same(read(there), read(site.result(job, output.name)))
            if output.format != "gif":
                assert np.array_equal(sound_of(there)[0], sound_of(site.result(job, output.name))[0])


@pytest.mark.long
@asynctest
async def test_a_worker_sends_heartbeats(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, inside=1) as site:
        records = LiveStore(site.store.link)
        job = await site.submit(clip)
        await site.until(job.id, lambda job: job.progress.frames > 0)
        async with asyncio.timeout(5):
            while not (there := await records.workers("files")) or not there[0].sessions:
                await asyncio.sleep(0.05)
        assert (there[0].state, there[0].capacity) == ("ready", 1)
        assert await records.workers("live") == []
        await site.store.cancel(job.id)
        await site.end_inside()
        assert await records.workers() == []


@pytest.mark.slow
@asynctest
async def test_an_unexpected_exception_ends_no_loop(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    """The loops of heartbeat, cleanup, tasks and leases: each fails once, and continues."""
    loops = {"live/beat", "job/reap", "job/take", "job/renew"}
    async with factory(server.url, tmp_path) as site:
        link, stop = OddLink(server.url), asyncio.Event()
        link.odd |= loops | {"job/segment_done"}
        running = asyncio.create_task(FileWorker(site.settings, JobStore(link), site.storage).run(stop))
        job = await site.submit(clip)
        await site.until(job.id, lambda job: not link.odd)
        link.calls.clear()
        async with asyncio.timeout(20):
            while not all(link.calls[name] >= 2 for name in loops):
                await asyncio.sleep(0.02)
        assert (await site.ended(job)).state is JobState.DONE
        stop.set()
        await asyncio.wait_for(running, 10)
        await link.close()


@asynctest
@pytest.mark.slow
async def test_each_killed_worker_costs_a_segment_and_the_result_is_unchanged(
    server: RedisServer, tmp_path: Path, clip: Path
) -> None:
    async with factory(server.url, tmp_path, inside=1) as site:
        calm = await site.ended(await site.submit(clip, "chroma", outputs=BOTH))
        await site.end_inside()
        site.start(2)
        job = await killed_at(site, await site.submit(clip, outputs=BOTH), [0.2, 0.6])
        assert job.state is JobState.DONE, (job.detail, site.log.read_text())
        assert sum(site.taken(job).values()) <= 5 + 2
        for output in BOTH:
            assert same(read(site.result(job, output.name)), read(site.result(calm, output.name)))
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_a_worker_killed_during_the_join(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    webm = (Output(format="webm"),)  # its audio is encoded again, which takes a moment
    async with factory(server.url, tmp_path, workers=1) as site:
        job = await site.submit(clip, "chroma", outputs=webm)
        folder = site.settings.data_dir / "storage" / "jobs" / job.id
        while not [*folder.glob(".*.part")]:
            await asyncio.sleep(0.002)
        site.kill()
        assert [*folder.glob(".*.part")], "it was killed during the join"
        site.start()
        done = await site.ended(job)
        assert (done.state, site.taken(job)["join"]) == (JobState.DONE, 2), done.detail
        assert {path.name for path in folder.iterdir()} <= {"result.webm", "preview.jpg", "segments"}
        assert len(read(site.result(done))) == 720
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_redis_restarts_with_its_data(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, workers=1) as site:
        job = await site.submit(clip)
        await site.until(job.id, lambda job: job.progress.frames > 300)
        server.kill()
        await asyncio.sleep(0.5)
        server.start()
        assert (await site.ended(job)).state is JobState.DONE
        assert max(site.taken(job).values()) == 1


@pytest.mark.slow
@asynctest
async def test_redis_loses_its_data(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, inside=1) as site:
        job = await site.submit(clip)
        await site.until(job.id, lambda job: job.progress.segments_done == 1)
        await site.until(job.id, lambda job: job.progress.frames > 300)
        with server.client() as raw:
            raw.flushall()
        while await site.store.job(job.id) is None:
            await asyncio.sleep(0.05)
        done = await site.ended(job)
        assert (done.state, done.progress.frames) == (JobState.DONE, 720)
        assert len(read(site.result(done))) == 720


@pytest.mark.long
@asynctest
async def test_a_cancelled_job_stops_within_a_second_and_leaves_nothing(
    server: RedisServer, tmp_path: Path, clip: Path
) -> None:
    async with factory(server.url, tmp_path, inside=1) as site:
        job, after = await site.submit(clip), await site.submit(clip, "chroma")
        await site.until(job.id, lambda job: job.progress.frames > 300)
        await site.store.cancel(job.id)
        began_s = time.monotonic()
        await site.until(after.id, lambda job: job.state is JobState.RUNNING)
        assert time.monotonic() - began_s < 1.0
        assert (await site.ended(after)).state is JobState.DONE
        assert await site.tidied()


@asynctest
async def test_a_cancelled_job_stops_its_download(server: RedisServer, tmp_path: Path) -> None:
    with serving() as origin:
        origin.files["/film.mp4"], origin.slow_s = bytes(5_000_000), 0.02  # ten seconds
        async with factory(server.url, tmp_path) as site:
            site.settings = site.settings.model_copy(update={"allow_private_urls": True})
            site.start_inside()
            after = numbered_clip(tmp_path / "short.mp4")
            job = await site.submit(after, "chroma", source="", url=f"{origin.url}/film.mp4")
            while not origin.gets:
                await asyncio.sleep(0.05)
            await site.store.cancel(job.id)
            assert (await site.ended(await site.submit(after, "chroma"), 5)).state is JobState.DONE


@pytest.mark.long
@asynctest
async def test_a_job_that_kills_three_processes_is_poison(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, inside=1) as site:
        poisoned = await site.ended(await site.submit(numbered_clip(tmp_path / "short.mp4"), "deadly"))
        assert (poisoned.state, poisoned.reason) == (JobState.FAILED, "poison")
        assert poisoned.detail.endswith("3 times")
        assert (await site.ended(await site.submit(clip, "chroma"))).state is JobState.DONE  # by the same worker
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_a_process_that_dies_with_a_lock_blocks_no_worker(server: RedisServer, tmp_path: Path) -> None:
    short = numbered_clip(tmp_path / "short.mp4")
    async with factory(server.url, tmp_path, workers=1) as site:
        assert (await site.ended(await site.submit(short, "greedy"), 20)).reason == "poison"
        assert (await site.ended(await site.submit(short, "chroma"), 10)).state is JobState.DONE


@pytest.mark.slow
@asynctest
async def test_a_stopped_worker_finishes_its_segment(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, workers=1) as site:
        job = await site.submit(clip)
        await site.until(job.id, lambda job: 240 < job.progress.frames < 480)
        assert site.end() == [0]
        waiting = await site.store.job(job.id)
        assert waiting is not None
        assert (waiting.state, waiting.progress.segments_done) == (JobState.RUNNING, 2)
        site.start_inside()
        assert (await site.ended(job)).state is JobState.DONE
        assert max(site.taken(job).values()) == 1
        site.workers.clear()


@asynctest
async def test_a_full_disk_fails_the_job_and_not_the_next(
    server: RedisServer, tmp_path: Path, small_disk: Path, clip: Path
) -> None:
    async with factory(server.url, small_disk) as site:
        noise = np.random.default_rng(1).integers(0, 255, (20, 48, 64, 3), np.uint8)
        options = Options.read(engine="chroma", background="none")
        big = write_video(tmp_path / "noise.mp4", noise)
        job = await site.submit(big, outputs=(Output(format="png"),), options=options, width=640)
        small = await site.submit(numbered_clip(tmp_path / "short.mp4"), "chroma")
        site.start_inside()
        failed, done = await site.ended(job), await site.ended(small)
        assert (failed.state, failed.reason) == (JobState.FAILED, "disk")
        assert done.state is JobState.DONE, (done.detail, site.log.read_text())
        assert await site.tidied()


@pytest.mark.long
@asynctest
async def test_a_failed_job_has_a_reason(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    (text := tmp_path / "text.mp4").write_text("no video at all")
    async with factory(server.url, tmp_path, inside=1) as site:
        for fields, reason in (
            ({"clip": text}, "unreadable_media"),
            ({"clip": clip, "options": Options.read(engine="chroma", background="image:/none.jpg")}, "bad_background"),
            ({"clip": clip, "engine": "broken"}, "engine"),
            ({"clip": clip, "source": "uploads/gone/source", "engine": "chroma"}, "unreadable_media"),
            ({"clip": clip, "options": Options.read(engine="chroma", background="transparent")}, "failed"),
        ):
            job = await site.ended(await site.submit(**fields))
            assert (job.state, job.reason) == (JobState.FAILED, reason)
            assert job.detail
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_a_task_that_hangs_is_killed(
    server: RedisServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STUCK_S", 4.0)
    async with factory(server.url, tmp_path, inside=1) as site:
        hung = await site.ended(await site.submit(numbered_clip(tmp_path / "short.mp4"), "stuck"))
        assert (hung.state, hung.reason) == (JobState.FAILED, "poison")
        assert (await site.ended(await site.submit(clip, "chroma"))).state is JobState.DONE
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_a_plan_and_a_join_that_hang_are_killed(
    server: RedisServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STUCK_S", 6.0)  # includes the start of the process
    async with factory(server.url, tmp_path, inside=1) as site:
        job = await site.submit(clip, "chroma", outputs=(Output(format="webm"),))
        await stopped_when(lambda: True)
        assert (await site.until(job.id, lambda job: job.progress.segments > 0)).progress.segments == 3
        await stopped_when(lambda: bool([*(site.settings.data_dir / "storage" / "jobs" / job.id).glob(".*.part")]))
        assert (await site.ended(job)).state is JobState.DONE


@pytest.mark.slow
@asynctest
async def test_a_process_that_is_stopped_is_killed_and_its_task_done_by_another(
    server: RedisServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENT_S", 2.5)
    async with factory(server.url, tmp_path, inside=1) as site:
        job = await site.submit(clip, "patient")
        await site.until(job.id, lambda job: job.progress.frames > 5)
        await stopped_when(lambda: True)
        assert (await site.ended(job)).state is JobState.DONE


@pytest.mark.slow
@asynctest
async def test_a_worker_that_was_stopped_writes_nothing_when_it_continues(
    server: RedisServer, tmp_path: Path, clip: Path
) -> None:
    """Its supervisor is stopped with it, as on a suspended machine. Another takes over when the lease expires."""
    async with factory(server.url, tmp_path, workers=1) as site:
        job = await site.submit(clip, outputs=BOTH)
        await site.until(job.id, lambda job: job.progress.frames > 5)
        stopped = [site.workers[0].pid, *descendants(site.workers[0].pid)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        site.start()
        done = await site.ended(job)
        assert done.state is JobState.DONE
        results = [site.result(done, output.name) for output in BOTH]
        before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results]
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        other = await site.ended(await site.submit(clip, "chroma"))
        assert other.state is JobState.DONE
        await asyncio.sleep(2.0)  # longer than the stopped worker needs for its segment
        assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results] == before
        assert await site.store.job(job.id) == done
        assert await site.tidied()


async def stopped_when(reached: Callable[[], bool]) -> None:
    """Wait for a condition, then stop the child process of the worker that runs in this process."""
    while not (reached() and multiprocessing.active_children()):
        await asyncio.sleep(0.002)
    for child in multiprocessing.active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)


@pytest.mark.slow
@asynctest
async def test_ten_kills_at_random(server: RedisServer, tmp_path: Path, clip: Path) -> None:
    async with factory(server.url, tmp_path, workers=2) as site:
        calm = await site.ended(await site.submit(clip, outputs=BOTH))
        shares = sorted(random.random() for _ in range(10))
        job = await killed_at(site, await site.submit(clip, outputs=BOTH), shares)
        assert job.state is JobState.DONE, (job.detail, site.log.read_text())
        assert sum(site.taken(job).values()) <= 5 + 10
        for output in BOTH:
            assert same(read(site.result(job, output.name)), read(site.result(calm, output.name)))
        assert await site.tidied()


@pytest.mark.slow
@asynctest
async def test_200_jobs_of_two_owners_are_done_once_each_and_alternate(server: RedisServer, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "short.mp4", 3)
    async with factory(server.url, tmp_path) as site:
        jobs = [await site.submit(clip, "chroma", owner="ann" if n < 150 else "bob") for n in range(200)]
        site.start(2)
        for job in jobs:
            assert (await site.ended(job, 300)).state is JobState.DONE
            assert set(site.taken(job).values()) == {1}
        ends = sorted(await site.store.read([job.id for job in jobs]), key=lambda job: job.ended_s)
        assert abs(sum(job.owner == "bob" for job in ends[:90]) - 45) <= 2


@pytest.mark.slow
@asynctest
async def test_memory_for_two_hours_is_that_of_minutes(server: RedisServer, tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(pattern(1920, 1080), format="rgb24").reformat(format="yuv420p")
    pictures = (frame for _ in range(720))
    times = [10_000 * n for n in range(720)]
    film = write_video(tmp_path / "film.mp4", pictures, times_ms=times, options={"g": "10", "preset": "ultrafast"})
    async with factory(server.url, tmp_path, workers=1) as site:
        job = await site.submit(film, "chroma")
        sizes = []
        jobs = tmp_path / "storage" / "jobs" / job.id
        with largest(jobs, jobs / "segments", tmp_path / "work") as peaks:
            while not (now := await site.store.job(job.id) or job).state.final:
                if now.progress.frames > 60:
                    sizes.append(max(memory_mib(pid) for pid in descendants(site.workers[0].pid)))
                await asyncio.sleep(0.2)
        done = await site.ended(job)
        assert (done.state, done.progress.frames, done.progress.segments) == (JobState.DONE, 720, 3), done.detail
        assert done.media is not None
        assert done.media.duration_s > 7000
        third = len(sizes) // 3
        assert max(sizes[-third:]) < 1.15 * max(sizes[:third]), sizes
        result = done.results["result"].bytes
        print(f"memory {min(sizes):.0f} to {max(sizes):.0f} MiB")
        stored, parts, desk = (peak / result for peak in peaks)
        print(f"of {result:,} bytes: {stored:.3f} in storage, parts {parts:.3f}, {desk:.3f} on the worker")
        assert parts > 0.5
        assert max(stored, parts + 1) <= 2.0  # both are stored at the same time for a moment
        assert 0 < desk <= 2 / 3  # two of three segments


@pytest.mark.long
@asynctest
async def test_a_network_of_the_operator_runs_in_jobs(server: RedisServer, tmp_path: Path) -> None:
    source, network = numbered_clip(tmp_path / "in.mp4"), unet(tmp_path / "n.onnx")
    async with factory(server.url, tmp_path) as site:
        site.settings = site.settings.model_copy(update={"onnx": f"unit={network}@64x64"})
        site.start_inside()
        options = Options(engine="onnx", view=View.MATTE)
        job = await site.ended(await site.submit(source, options=options, outputs=(Output(format="mkv"),)))
        assert job.state is JobState.DONE, job.detail
        whole = tmp_path / "whole.mkv"
        run_file(FileRun(source, whole, options), site.settings, LineReporter(io.StringIO()))
        assert same(read(site.result(job)), read(whole))


@contextlib.contextmanager
def largest(*folders: Path) -> Iterator[list[int]]:
    """The peak size in bytes of each folder, without previews; checked about every millisecond."""
    peaks, ended = [0] * len(folders), threading.Event()

    def look() -> None:
        while not ended.wait(0.001):
            peaks[:] = map(max, peaks, map(_bytes_below, folders))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peaks
    finally:
        ended.set()
        looking.join()


def _bytes_below(folder: Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError):  # moved in the meantime
        for path in folder.rglob("*"):
            total += path.stat().st_size if path.is_file() and path.name != "preview.jpg" else 0
    return total


def pattern(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = np.full((height, width, 3), (20, 180, 60), np.uint8)
    image[height // 4 :, width // 3 : width // 2] = 190
    return image
