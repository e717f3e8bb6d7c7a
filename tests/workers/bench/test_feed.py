"""`mattebox bench feed`: its arithmetic, and one short run of everything."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.errors import ServerError
from stream.settings import Settings
from workers.bench import processes
from workers.bench.camera import encoded, film
from workers.bench.feed import Run, bench_feed, delays_ms, row
from workers.bench.rtp import Packetizer, nal_units
from workers.bench.rtsp import Published

SIZE = (320, 240)
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def test_a_frame_is_the_last_one_sent_before_with_its_number() -> None:
    sent = [(0, 1.0), (1, 2.0), (0, 3.0), (1, 4.0)]
    assert delays_ms(sent, [(0, 1.25), (1, 2.5), (0, 3.125), (1, 3.75)]) == [250.0, 500.0, 125.0, 1750.0]


def test_frames_that_were_not_sent_before_are_left_out() -> None:
    assert delays_ms([(5, 1.0)], [(4, 1.5), (5, 0.5), (5, 1.5)]) == [500.0]


def test_a_row_has_medians_of_the_pairs() -> None:
    pairs = [
        (Run(30, before, []), Run(fps, after, [])) for before, after, fps in ((10, 11, 30), (20, 30, 29), (8, 16, 9))
    ]
    compared = row("CPU", "2 outputs", "1 output", pairs, lambda run: run.cpu_ms)
    assert (compared.baseline_value, compared.value) == (10, 16)
    assert (compared.ratio, compared.difference) == (1.5, 8)
    assert compared.fps == 29


@pytest.mark.long
def test_numbers_are_read_from_what_was_published() -> None:
    """Also where the parameter sets are only in the description, as FFmpeg publishes them."""
    pictures = encoded(film(None, *SIZE, Settings(), "screen")[:40], *SIZE, Settings())
    packetize = Packetizer()
    published = Published([unit for unit in nal_units(pictures[0]) if unit[0] & 0x1F in (7, 8)])
    for n, picture in enumerate(pictures):
        units = [unit for unit in nal_units(picture) if unit[0] & 0x1F not in (7, 8)]
        for packet in packetize(units, 3000 * n):
            published.add(packet, float(n))
    assert len(published.parameters) == 2
    assert published.numbers() == [(n, float(n)) for n in range(40)]


@contextmanager
def waiting(code: str) -> Iterator["subprocess.Popen[str]"]:
    """A program that prints a line and waits for its standard input to close."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


@linux
def test_the_tree_has_children_of_children() -> None:
    inner = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], start_new_session=True)"
    with waiting(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {outer!r}])") as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        found = processes.tree(process.pid)
        assert {process.pid, grandchild} < found
        assert len(found) == 3
        assert os.getpid() not in found


@linux
def test_processor_time_and_memory_of_this_process() -> None:
    before_s = processes.cpu_s(os.getpid())
    while processes.cpu_s(os.getpid()) <= before_s:
        sum(range(10_000))
    assert processes.rss(os.getpid()) > 10 * 2**20


@pytest.mark.slow
def test_a_short_run() -> None:
    p50, p95, *rest = bench_feed(None, SIZE, 2.0, 1, Settings(), lambda _: None)
    assert (p50.measure, p50.case, p50.baseline) == ("delay p50, ms", "mattebox", "plain relay")
    assert 0 < p50.baseline_value <= p95.baseline_value
    assert 0 < p50.value <= p95.value
    assert p50.fps > 0
    assert len(rest) == Path("/proc/self/stat").exists()
    for cpu in rest:
        assert cpu.value > 0
        assert cpu.baseline_value > 0
        assert cpu.ratio == pytest.approx(cpu.value / cpu.baseline_value, abs=0.1)


@pytest.mark.slow
def test_a_program_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_RTSP_TIMEOUT_S", "nonsense")
    with pytest.raises(ServerError, match="MATTEBOX_RTSP_TIMEOUT_S"):
        next(bench_feed(None, SIZE, 1.0, 1, Settings(rtsp_timeout_s=5), lambda _: None))
