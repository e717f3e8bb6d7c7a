"""Probe processes: their number at a time, and what happens to those that wait."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.errors import Overloaded, TooLarge, UnreadableMedia
from stream.settings import Settings
from stream.sources import probe
from stream.sources.probe import AT_ONCE, Prober
from tests.media import numbered_clip
from tests.processes import children
from tests.servers import asynctest


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 12)


@contextmanager
def counted(most: list[int]) -> Iterator[None]:
    """Appends the number of probe processes, again and again."""

    async def watch() -> None:
        while True:
            most.append(len(children(os.getpid(), "stream.sources.probe")))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(watch())
    yield
    task.cancel()


@pytest.mark.long
@asynctest
async def test_a_few_files_are_probed_at_a_time(clip: Path) -> None:
    prober, numbers = Prober(Settings()), list[int]()
    with counted(numbers):
        found = await asyncio.gather(*(prober.probe(clip) for _ in range(5)))
    assert {media.width for media in found} == {64}
    assert max(numbers) == AT_ONCE


@asynctest
async def test_a_cancelled_probe_ends_its_process_and_releases_its_place(clip: Path) -> None:
    prober = Prober(Settings())
    probes = [asyncio.create_task(prober.probe(clip)) for _ in range(AT_ONCE + 2)]
    while not children(os.getpid(), "stream.sources.probe"):
        await asyncio.sleep(0.005)
    for task in probes:
        task.cancel()
    await asyncio.wait(probes)
    assert not children(os.getpid(), "stream.sources.probe")
    assert (await prober.probe(clip)).width == 64


@asynctest
async def test_a_wait_for_a_turn_is_bounded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WAIT_S", 0.05)
    prober = Prober(Settings())
    for _ in range(AT_ONCE):
        await prober._free.acquire()
    with pytest.raises(Overloaded):
        await prober.probe(clip)
    prober._free.release()
    assert (await prober.probe(clip)).width == 64


@pytest.mark.long
@asynctest
async def test_a_probe_has_limits_of_time_and_memory(clip: Path) -> None:
    with pytest.raises(UnreadableMedia, match=r"within 0\.01 s"):
        await Prober(Settings()).probe(clip, 0.01)
    with pytest.raises(TooLarge):
        await Prober(Settings(max_pixels=100)).probe(clip)
    code = (
        f"import os, resource; from stream.sources import probe; probe.main({str(clip)!r}, '{{}}'); "
        "print(resource.getrlimit(resource.RLIMIT_AS)[0], os.nice(0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == [str(4 * 2**30), str(os.nice(0) + 5)]
