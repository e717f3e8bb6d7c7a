"""One file from name to name: what `mattebox file` runs, and later a job of the service."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from stream.progress import Reporter
from stream.pump import pump
from stream.session import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.file import FileSource
from workers import engines, threads
from workers.matte import Matte


@dataclass(frozen=True)
class Task:
    """One file to matte. Times in seconds from the file's beginning; size as in `FileSource`."""

    source: Path
    output: Path
    options: Options
    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)


def run_file(task: Task, settings: Settings, reporter: Reporter) -> dict[str, Any]:
    """Matte one file and return a report: engine, frames, seconds, fps, size, warnings.

    Everything that can be wrong with the request is found before weights are fetched or a frame is decoded.
    Raises MatteboxError; nothing is left of the output then.
    """
    _check(task)
    threads.apply(settings)
    began_s = time.monotonic()
    sink = open_sink(task.output, task.options, settings)
    source = FileSource(task.source, settings, task.start_s, task.end_s, task.size)
    try:
        name, reason = engines.choose(task.options, live=False)
        engine = engines.load(name, task.options, settings, reporter.say)
        reporter.say(f"engine {name} on {engine.device}: {reason}")
    except BaseException:
        source.close()
        raise
    matte = Matte(task.options, engine, settings)
    about = {"input": str(task.source), "output": str(task.output), "engine": name, "device": engine.device}
    reporter.start(source.info, about)
    count = 0

    def on_frame(_: object) -> None:
        nonlocal count
        count += 1
        reporter.tick()

    loaded_s = time.monotonic()
    try:
        pump(source, matte, sink, on_frame)
    finally:
        reporter.stop()
    took_s = time.monotonic() - loaded_s
    found = [*source.warnings, *getattr(sink, "warnings", [])]
    return {
        **about,
        "frames": count,
        "seconds": round(took_s, 3),
        "fps": round(count / max(took_s, 1e-9), 2),
        "load_seconds": round(loaded_s - began_s, 3),
        "width": matte.info.width,
        "height": matte.info.height,
        "warnings": [{"code": code, "message": sentence} for code, sentence in found],
    }


def _check(task: Task) -> None:
    if task.end_s is not None and task.end_s <= task.start_s:
        raise UsageError(f"--end {task.end_s:g} is not after --start {task.start_s:g}")
    if task.output.exists() and task.source.exists() and task.output.samefile(task.source):
        raise UsageError("the output would replace the input; choose another name")
