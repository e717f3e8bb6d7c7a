"""One file from name to name: what `mattebox file` runs, and later a job of the service."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError
from stream.progress import Report, Reporter
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources.file import FileSource
from workers import engines
from workers.device import threads
from workers.matte import Matte
from workers.scene.backgrounds import open_background


@dataclass(frozen=True)
class FileRun:
    """One file to matte. Times in seconds from the file's beginning; size as in `FileSource`."""

    source: Path
    output: Path
    options: Options
    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)


def run_file(task: FileRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte one file. What can be known to be wrong with the request is found before weights are fetched.

    Raises MatteboxError; nothing is left of the output then.
    """
    _check(task)
    threads.apply(settings)
    began_s = time.monotonic()
    name, reason = engines.choose(task.options, live=False, settings=settings)
    sink = open_sink(task.output, task.options, settings)
    with ExitStack() as unless_pumped:
        source = FileSource(task.source, settings, task.start_s, task.end_s, task.size)
        unless_pumped.callback(source.close)
        backdrop = open_background(task.options.background, source.info.width, source.info.height, settings)
        unless_pumped.callback(backdrop.close)
        engine = engines.load(name, task.options, settings, reporter.message)
        unless_pumped.pop_all()
    reporter.message(f"engine {name} on {engine.device}: {reason}")
    matte = Matte(task.options, engine, backdrop)
    loaded_s = time.monotonic()
    try:
        reporter.start(source.info, {"input": str(task.source), "engine": name, "device": engine.device})
        pump(source, matte, sink, reporter.tick)
    finally:
        reporter.stop()
    names = str(task.source), str(task.output), name, engine.device
    warnings = [*source.warnings, *sink.warnings]
    return Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)


def _check(task: FileRun) -> None:
    if task.end_s is not None and task.end_s <= task.start_s:
        raise UsageError(f"--end {task.end_s:g} is not after --start {task.start_s:g}")
    if task.output.exists() and task.source.exists() and task.output.samefile(task.source):
        raise UsageError("the output would replace the input; choose another name")
