"""Batches on Ray. Its processes listen on loopback only."""

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import UsageError
from stream.progress import LineReporter
from stream.settings import Settings
from tests.media import ROOT, command, numbered, read, write_video
from tests.workers.batch import processes
from tests.workers.batch.test_intake import request
from workers.batch.ray_cluster import RayCluster, Shape
from workers.runs.file import FileRun, run_file

OPTIONS = ("--format", "mkv", "--engine", "chroma", "--json")
LONG, SHORT = 520, 100  # frames; the long ones are cut in two
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


def node(cpus: float, gpus: float = 0.0, alive: bool = True) -> dict[str, Any]:
    """As Ray describes it."""
    return {"Alive": alive, "Resources": {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})}


@pytest.mark.parametrize(
    ("shape", "nodes", "count"),
    [
        (Shape(), [node(4.0), node(2.0), node(8.0, alive=False)], 6),
        (Shape(cpus=3), [node(4.0), node(8.0)], 3),
        (Shape(gpus=0.5), [node(16.0, 2.0), node(1.0, 4.0), node(64.0)], 5),
        (Shape(cpus=4, gpus=0.1), [node(64.0, 1.0)], 10),
        (Shape(gpus=2.0), [node(64.0, 1.0)], 1),
        (Shape(), [], 1),
        (Shape(count=7, cpus=8), [node(4.0)], 7),
    ],
)
def test_as_many_actors_as_fit(shape: Shape, nodes: list[dict[str, Any]], count: int) -> None:
    assert shape.fitting(nodes) == count


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"mattebox batch needs an extra: .*mattebox\[ray\]"):
        RayCluster("auto", Shape(), "/results", {}, print)


@contextmanager
def two_nodes(env: dict[str, str]) -> Iterator[tuple[str, Callable[[], None]]]:
    """(address, a function that kills one of the nodes)."""
    words = [sys.executable, "-m", "tests.workers.batch.two_ray_nodes"]
    with subprocess.Popen(
        words, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        out, commands = process.stdout, process.stdin

        def kill() -> None:
            commands.write("kill\n")
            commands.flush()
            assert out.readline() == "killed\n"

        try:
            address = out.readline().strip()
            assert address.startswith("127.0.0.1:")
            yield address, kill
        finally:
            commands.close()
            process.wait(60)
        wait_for_end(env)


def wait_for_end(env: dict[str, str]) -> None:
    """No process of a batch or of its Ray is left."""
    processes.wait_for_end(marked(env))


def on_loopback(env: dict[str, str]) -> bool:
    """All sockets of a batch and of its Ray are on loopback."""
    sockets = processes.listening(processes.with_variable(marked(env)))
    assert len(sockets) > 3, "Ray listens"
    return all(sockets.values())


def marked(env: dict[str, str]) -> str:
    return f"MATTEBOX_DATA_DIR={env['MATTEBOX_DATA_DIR']}"


def batch(env: dict[str, str], *arguments: object, on_event: Callable[[dict[str, Any]], None]) -> int:
    """Run `mattebox batch`. on_event: called with each of its JSON lines."""
    with subprocess.Popen(
        command("batch", *arguments, *OPTIONS), cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            on_event(json.loads(line))
    return process.returncode


def same(ours: Path, theirs: Path) -> bool:
    pairs = list(zip(read(ours), read(theirs), strict=True))
    return bool(pairs) and all(a.time_s == b.time_s and np.array_equal(a.pixels, b.pixels) for a, b in pairs)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "MATTEBOX_DATA_DIR": str(tmp_path / "data"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "MATTEBOX_HW_ENCODE": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on loopback
    }


def films_in(folder: Path, count: int) -> Path:
    """Some of them are cut in two."""
    folder.mkdir()
    for number in range(count):
        frames = LONG if number % 5 == 1 else SHORT
        images = (numbered((number + n) % 256, 320, 240) for n in range(frames))
        write_video(folder / f"{number:02d}.mp4", images, options={"g": "30", "preset": "ultrafast"}, sound_s=2.0)
    return folder


@needs_ray
@pytest.mark.slow
def test_a_node_is_lost_and_nothing_is_done_twice(tmp_path: Path, env: dict[str, str]) -> None:
    films, results = films_in(tmp_path / "films", 20), tmp_path / "results"
    events: list[dict[str, Any]] = []
    with two_nodes(env) as (address, kill):
        ready: list[str] = []

        def watch(event: dict[str, Any]) -> None:
            events.append(event)
            if "2 of 2 actors are ready" in event.get("text", ""):
                ready.append("both")
            if event["event"] == "done" and ready == ["both"]:
                ready.append("killed")
                assert on_loopback(env)
                kill()

        assert batch(env, films, results, "--address", address, on_event=watch) == 0
        assert ready == ["both", "killed"], "a node was killed in the middle"
        assert events[-1]["done"] == 20
        assert any("a node was lost; trying again" in event.get("text", "") for event in events), "it had a call"
        before = {path: path.stat().st_mtime_ns for path in results.glob("*.mkv")}
        again: list[dict[str, Any]] = []
        assert batch(env, films, results, "--address", address, on_event=again.append) == 0
    assert [event["event"] for event in again if event["event"] != "message"] == ["skipped"] * 20 + ["summary"]
    assert {path: path.stat().st_mtime_ns for path in results.glob("*.mkv")} == before
    settings, options = Settings(hw_encode=False, threads=1), request().job.options
    for clip in sorted(films.iterdir()):
        run_file(FileRun(clip, tmp_path / "one.mkv", options), settings, LineReporter(io.StringIO()))
        assert same(results / f"{clip.stem}.mkv", tmp_path / "one.mkv"), clip.name


@needs_ray
@pytest.mark.slow
def test_on_this_machine_alone(tmp_path: Path, env: dict[str, str]) -> None:
    films, results = films_in(tmp_path / "films", 2), tmp_path / "results"
    (films / "bad.mp4").write_bytes(b"")
    events: list[dict[str, Any]] = []
    loopback: list[bool] = []

    def watch(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "done":
            loopback.append(on_loopback(env))

    del env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]
    env |= {"RAY_ADDRESS": "127.0.0.1:9", "HOME": str(tmp_path / "home")}
    assert batch(env, films, results, "--address", "local", on_event=watch) == 1
    assert {name: events[-1][name] for name in ("done", "failed")} == {"done": 2, "failed": 1}
    assert loopback == [True, True]
    assert [path.name for path in sorted(results.glob("*.mkv"))] == ["00.mkv", "01.mkv"]
    assert list((tmp_path / "data").rglob("lock")) == [], "temporary files are removed"
    assert not (tmp_path / "home").exists(), "Ray writes nothing there"
    wait_for_end(env)


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("stage", ["message", "done"])
def test_an_interruption_ends_all_processes(tmp_path: Path, env: dict[str, str], stage: str) -> None:
    """stage: the event at which it is interrupted: when an actor is ready, or in the middle."""
    films, results = films_in(tmp_path / "films", 6), tmp_path / "results"
    with subprocess.Popen(
        command("batch", films, results, "--address", "local", "--actors", 1, *OPTIONS),
        cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["event"] != stage:
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: also to Ray's processes
        process.stdout.read()
    assert process.returncode == 130
    wait_for_end(env)
    assert list((tmp_path / "data").rglob("lock")) == [], "temporary files are removed"
    events: list[dict[str, Any]] = []
    assert batch(env, films, results, "--address", "local", on_event=events.append) == 0
    assert events[-1]["done"] + events[-1]["skipped"] == 6
    assert events[-1]["skipped"] > 0 or stage == "message", "at a message, a video may be done"


@needs_ray
@pytest.mark.slow
def test_without_a_cluster_it_is_said_how_to_get_one(tmp_path: Path, env: dict[str, str]) -> None:
    words = command(
        "batch", films_in(tmp_path / "films", 1), tmp_path / "results", "--address", "127.0.0.1:9", *OPTIONS
    )
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "there is no Ray cluster at 127.0.0.1:9" in done.stderr
    assert "ray start --head" in done.stderr
