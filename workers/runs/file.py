"""Mattes one recording: the implementation of `mattebox file`. Knows no concrete source or sink."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stream.address import Address
from stream.errors import UsageError
from stream.progress import Report, Reporter
from stream.pump import pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink
from stream.sources import is_live, open_source
from stream.sources.base import SourceOptions
from workers import engines
from workers.device import threads
from workers.matte import Matte
from workers.scene.backgrounds import open_background


@dataclass(frozen=True)
class FileRun:
    """A recording to matte. source, output: addresses or paths. start_s, end_s, size: as in `SourceOptions`."""

    source: Address | Path
    output: Address | Path
    options: Options
    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)


def run_file(task: FileRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte one recording. All checks of the request are made before weights are downloaded.

    Raises MatteboxError; then nothing is left of the output.
    """
    check(task)
    threads.apply(settings)
    began_s = time.monotonic()
    name, reason = engines.choose(task.options, live=False, settings=settings)
    sink = open_sink(task.output, task.options, settings)
    with ExitStack() as unless_pumped:
        source = open_source(task.source, SourceOptions(task.start_s, task.end_s, task.size), settings)
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


def check(task: FileRun) -> None:
    """Check what can be checked without opening a file. Raises UsageError."""
    if task.end_s is not None and task.end_s <= task.start_s:
        raise UsageError(f"--end {task.end_s:g} is not after --start {task.start_s:g}")
    source, output = Address.of(task.source), Address.of(task.output)
    if is_live(source):
        raise UsageError(f"{source.scheme}:// is live and does not end; record it with mattebox stream")
    if source.scheme == output.scheme == "file" and _is_same(source.path, output.path):
        raise UsageError("the output would overwrite the input; choose another name")


def _is_same(source: Path, output: Path) -> bool:
    return source.exists() and output.exists() and source.samefile(output)
