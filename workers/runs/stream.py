"""Sends a live source, matted, to one or more outputs: the implementation of `mattebox stream`.

Knows no concrete source or protocol.

The outputs have no gaps: while the source is unavailable, only the background is shown, in silence. Ctrl-C or SIGTERM
ends them and keeps recordings; a second one discards the recording to a single file.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stream.address import Address
from stream.errors import DiskError, UsageError
from stream.picture.frames import Frame
from stream.progress import Report, Reporter
from stream.pump import Sink, Warnings, pump
from stream.records.options import Options
from stream.settings import Settings
from stream.signals import endings
from stream.sinks.live.fan_out import FanOut
from stream.sources import open_live_source, source_address
from stream.sources.base import LiveSource, SourceOptions
from workers import engines
from workers.device import threads
from workers.engines.base import Engine
from workers.matte import Matte
from workers.runs.outputs import Sending, open_outputs, output_addresses
from workers.scene.backgrounds import check_background, open_background

_CAUSES = {"late": "newer ones arrived before they could be processed", "unusable": "they could not be used"}
_SPARE_BYTES = (
    64 * 2**20
)  # kept free on the disk: on a full one the recording could not be completed, and would be lost
_CHECK_S = 1.0  # between checks of the disk


@dataclass(frozen=True)
class StreamRun:
    """source, output, others: addresses, which may contain passwords; others: further outputs. duration_s, size, loop:
    as in `SourceOptions`. token: of the source, if it is a WHEP server."""

    source: str = field(repr=False)
    output: str = field(repr=False)
    options: Options
    duration_s: float | None = None
    size: tuple[int, int] = (0, 0)
    others: tuple[str, ...] = field(default=(), repr=False)
    loop: bool = False
    sending: Sending = field(default_factory=Sending)
    token: str | None = field(default=None, repr=False)


def record(task: StreamRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte a live source until it ends or is stopped. All checks of the request are made before weights are downloaded
    and before the source is contacted.

    Raises MatteboxError, KeyboardInterrupt; then nothing is left of a single file. Errors of several outputs, and
    of one on the network, are reported as their states.
    """
    origin, outputs = source_address(task.source), output_addresses([task.output, *task.others])
    requested = SourceOptions(
        size=task.size,
        duration_s=task.duration_s,
        loop=task.loop,
        insecure=task.sending.insecure,
        token=task.token,
        on_state=lambda state: reporter.message(f"source {state}"),
    )
    began_s = time.monotonic()
    with ExitStack() as cleanup:
        source = open_live_source(origin, requested, settings)
        cleanup.callback(source.close)
        if task.duration_s is not None and task.duration_s <= 0:
            raise UsageError(f"--duration {task.duration_s:g} would record nothing")
        threads.apply(settings)
        name, reason = engines.choose(task.options, live=True, settings=settings)
        sink = open_outputs(outputs, task.sending, task.options, settings, lambda status: reporter.message(str(status)))
        check_background(task.options.background, settings)
        space = _DiskSpace(outputs)
        engine = engines.load(name, task.options, settings, reporter.message, live=True)
        reporter.message(f"engine {name} on {engine.device}: {reason}")
        reporter.start(source.info, {"input": str(origin), "engine": name, "device": engine.device})
        cleanup.callback(reporter.stop)
        loaded_s = time.monotonic()
        matte = _run(task, source, sink, space, engine, settings, reporter)
    names = str(origin), ", ".join(map(str, outputs)), name, engine.device
    warnings = [*source.warnings, *space.warnings, *dropped(source), *sink.warnings]
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

    end_files = sink.end_files if isinstance(sink, FanOut) else source.end

    def tick(frame: Frame) -> None:
        reporter.tick(frame)
        space.check(end_files)

    with ended_by_signals(source.end):
        pump(source, matte, sink, tick)
    return matte


class _DiskSpace:
    """Ends recordings to files before the disk is full. Raises DiskError if it is full at the start."""

    def __init__(self, outputs: Sequence[Address]) -> None:
        self.warnings: Warnings = []
        files = [output for output in outputs if output.scheme == "file"]
        self._folders = {output.path.absolute().parent for output in files}
        self._next_s = 0.0
        if self._is_short():
            names = ", ".join(map(str, files))
            raise DiskError(f"cannot record to {names}: less than {_SPARE_BYTES // 2**20} MiB are free")

    def check(self, end: Callable[[], object]) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _CHECK_S
        if self._is_short():
            self.warnings.append(("disk", "the disk is nearly full: the recording was stopped"))
            self._folders = set()  # reported once
            end()

    def _is_short(self) -> bool:
        return any(_free_bytes(folder) < _SPARE_BYTES for folder in self._folders)


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # the sink reports what is wrong with the folder
        return _SPARE_BYTES


def dropped(source: LiveSource) -> Warnings:
    """Warnings about frames that a live source dropped."""
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
