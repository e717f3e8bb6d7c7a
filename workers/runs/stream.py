"""A live source into a sink: what `mattebox stream` runs. Knows no concrete source or sink.

A recording keeps the time: while the source is away, only the background is recorded. Ctrl-C or SIGTERM ends a
recording; the second one throws it away.
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

_CAUSES = {"late": "newer ones came before there was time for them", "unusable": "they could not be used"}
_SPARE_BYTES = 64 * 2**20  # left on the disk: a recording that ran into its end could not be closed, and would be lost
_LOOK_S = 1.0


@dataclass(frozen=True)
class StreamRun:
    """source, output: addresses, perhaps with passwords. duration_s, size: as in `SourceOptions`."""

    source: str = field(repr=False)
    output: str = field(repr=False)
    options: Options
    duration_s: float | None = None
    size: tuple[int, int] = (0, 0)


def record(task: StreamRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte what comes until it is ended. What can be known to be wrong with the request is found before weights are
    fetched and the source is asked. Raises MatteboxError, KeyboardInterrupt; nothing is left of the output then."""
    origin, output = source_address(task.source), sink_address(task.output)
    asked = SourceOptions(
        size=task.size, duration_s=task.duration_s, on_state=lambda state: reporter.say(f"source {state}")
    )
    began_s = time.monotonic()
    with ExitStack() as cleanup:
        source = open_live_source(origin, asked, settings)
        cleanup.callback(source.close)
        if task.duration_s is not None and task.duration_s <= 0:
            raise UsageError(f"--duration {task.duration_s:g} would record nothing")
        threads.apply(settings)
        name, reason = engines.choose(task.options, live=True, settings=settings)
        sink = open_sink(output, task.options, settings)
        check_background(task.options.background, settings)
        room = _Room(output)
        engine = engines.load(name, task.options, settings, reporter.say)
        reporter.say(f"engine {name} on {engine.device}: {reason}")
        reporter.start(source.info, {"input": str(origin), "engine": name, "device": engine.device})
        cleanup.callback(reporter.stop)
        loaded_s = time.monotonic()
        matte = _pumped(task, source, sink, room, engine, settings, reporter)
    names = str(origin), str(output), name, engine.device
    warnings = [*source.warnings, *room.warnings, *_left_out(source), *sink.warnings]
    return Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)


def _pumped(
    task: StreamRun,
    source: LiveSource,
    sink: Sink,
    room: "_Room",
    engine: Engine,
    settings: Settings,
    reporter: Reporter,
) -> Matte:
    backdrop = open_background(task.options.background, source.info.width, source.info.height, settings)
    matte = Matte(task.options, engine, backdrop, live=True)

    def tick(frame: Frame) -> None:
        reporter.tick(frame)
        room.look(source)

    with ended_by_signals(source.end):
        pump(source, matte, sink, tick)
    return matte


class _Room:
    """Ends a recording to a file before its disk is full. Raises DiskError where it is full from the beginning."""

    def __init__(self, output: Address) -> None:
        self.warnings: Warnings = []
        self._folder = output.path.absolute().parent if output.scheme == "file" else None
        self._next_s = 0.0
        if self._is_short():
            raise DiskError(f"cannot record to {output}: less than {_SPARE_BYTES // 2**20} MiB are free")

    def look(self, source: LiveSource) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _LOOK_S
        if self._is_short():
            self.warnings.append(("disk", "the disk is nearly full: the recording ended there"))
            self._folder = None  # said once
            source.end()

    def _is_short(self) -> bool:
        if self._folder is None:
            return False
        try:
            return shutil.disk_usage(self._folder).free < _SPARE_BYTES
        except OSError:  # the sink reports what is wrong with the folder
            return False


def _left_out(source: LiveSource) -> Warnings:
    counts = {"late": source.slot.dropped + source.dropped["convert"], "unusable": source.dropped["unusable"]}
    return [(code, f"{n} pictures were left out: {_CAUSES[code]}") for code, n in counts.items() if n]


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """The first signal that ends programs only calls `end`; from then on they do what they did before. In the main
    thread only, as Python has it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in endings()}

    def restore() -> None:
        for number, done in before.items():
            signal.signal(number, done)

    def first(*_: object) -> None:
        restore()
        end()

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        restore()
