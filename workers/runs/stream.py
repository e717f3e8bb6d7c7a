"""Records a live source, matted: the implementation of `mattebox stream`. Knows no concrete source or sink.

The recording has no gaps: while the source is unavailable, only the background and silence are recorded. Ctrl-C or
SIGTERM ends the recording and keeps it; a second one discards it.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from stream.address import Address
from stream.errors import DiskError, UsageError
from stream.picture.frames import Frame
from stream.progress import Report, Reporter
from stream.pump import Sink, Warnings, pump
from stream.records.options import Options
from stream.settings import Settings
from stream.signals import endings
from stream.sinks import open_sink, sink_address
from stream.sources import open_live_source, source_address
from stream.sources.base import LiveSource, SourceOptions
from workers import engines
from workers.device import threads
from workers.engines.base import Engine
from workers.matte import Matte
from workers.scene.backgrounds import check_background, open_background

_CAUSES = {"late": "newer ones arrived before they could be processed", "unusable": "they could not be used"}
_SPARE_BYTES = (
    64 * 2**20
)  # kept free on the disk: on a full one the recording could not be completed, and would be lost
_CHECK_S = 1.0  # between checks of the disk


@dataclass(frozen=True)
class StreamRun:
    """A recording of a live source. source, output: addresses, which may contain passwords. duration_s, size: as in
    `SourceOptions`."""

    source: str = field(repr=False)
    output: str = field(repr=False)
    options: Options
    duration_s: float | None = None
    size: tuple[int, int] = (0, 0)


def record(task: StreamRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte a live source until it ends or is stopped. All checks of the request are made before weights are downloaded
    and before the source is contacted.

    Raises MatteboxError, KeyboardInterrupt; then nothing is left of the output.
    """
    origin, output = source_address(task.source), sink_address(task.output)
    requested = SourceOptions(
        size=task.size, duration_s=task.duration_s, on_state=lambda state: reporter.message(f"source {state}")
    )
    began_s = time.monotonic()
    with ExitStack() as cleanup:
        source = open_live_source(origin, requested, settings)
        cleanup.callback(source.close)
        if task.duration_s is not None and task.duration_s <= 0:
            raise UsageError(f"--duration {task.duration_s:g} would record nothing")
        threads.apply(settings)
        name, reason = engines.choose(task.options, live=True, settings=settings)
        sink = open_sink(output, task.options, settings)
        check_background(task.options.background, settings)
        space = _DiskSpace(output)
        engine = engines.load(name, task.options, settings, reporter.message)
        reporter.message(f"engine {name} on {engine.device}: {reason}")
        reporter.start(source.info, {"input": str(origin), "engine": name, "device": engine.device})
        cleanup.callback(reporter.stop)
        loaded_s = time.monotonic()
        matte = _run(task, source, sink, space, engine, settings, reporter)
    names = str(origin), str(output), name, engine.device
    warnings = [*source.warnings, *space.warnings, *_dropped(source), *sink.warnings]
    return Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)


def _run(
    task: StreamRun,
    source: LiveSource,
    sink: Sink,
    space: "_DiskSpace",
    engine: Engine,
    settings: Settings,
    reporter: Reporter,
) -> Matte:
    backdrop = open_background(task.options.background, source.info.width, source.info.height, settings)
    matte = Matte(task.options, engine, backdrop, live=True)

    def tick(frame: Frame) -> None:
        reporter.tick(frame)
        space.check(source)

    with ended_by_signals(source.end):
        pump(source, matte, sink, tick)
    return matte


class _DiskSpace:
    """Ends a recording to a file before the disk is full. Raises DiskError if it is full at the start."""

    def __init__(self, output: Address) -> None:
        self.warnings: Warnings = []
        self._folder = output.path.absolute().parent if output.scheme == "file" else None
        self._next_s = 0.0
        if self._is_short():
            raise DiskError(f"cannot record to {output}: less than {_SPARE_BYTES // 2**20} MiB are free")

    def check(self, source: LiveSource) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _CHECK_S
        if self._is_short():
            self.warnings.append(("disk", "the disk is nearly full: the recording was stopped"))
            self._folder = None  # reported once
            source.end()

    def _is_short(self) -> bool:
        if self._folder is None:
            return False
        try:
            return shutil.disk_usage(self._folder).free < _SPARE_BYTES
        except OSError:  # the sink reports what is wrong with the folder
            return False


def _dropped(source: LiveSource) -> Warnings:
    counts = {"late": source.slot.dropped + source.dropped["convert"], "unusable": source.dropped["unusable"]}
    return [(code, f"{n} frames were dropped: {_CAUSES[code]}") for code, n in counts.items() if n]


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Within it, the first terminating signal only calls `end`, and restores the previous handlers for further ones.

    Does nothing outside the main thread, because Python allows signal handlers only there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in endings()}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def first(*_: object) -> None:
        restore()
        end()

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        restore()
