"""A live source into a file: what `mattebox stream` runs.

The file keeps the time: while the source is away its background is recorded, at the source's rate. Ctrl-C, or SIGTERM,
is how a recording ends; the second one throws it away.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stream.errors import DiskError, UsageError
from stream.picture.frames import Frame
from stream.progress import Report, Reporter
from stream.pump import Sink, pump
from stream.records.options import Options
from stream.registry import find
from stream.settings import Settings
from stream.signals import endings
from stream.sinks import open_sink
from stream.sources import SOURCES
from stream.sources.rtsp import RtspSource
from stream.sources.rtsp_connection import Address
from workers import engines
from workers.device import threads
from workers.engines.base import Engine
from workers.matte import Matte
from workers.scene.backgrounds import check_background, open_background

LIVE_SOURCES = {"rtsp": "rtsp", "rtsps": "rtsp"}
"""By scheme: which of `SOURCES` reads such an address."""

_CAUSES = {"late": "newer ones came before there was time for them", "unusable": "they could not be used"}
_SPARE_BYTES = 64 * 2**20  # left on the disk: a recording that ran into its end could not be closed, and would be lost
_LOOK_S = 1.0


@dataclass(frozen=True)
class StreamRun:
    """source: an address, perhaps with a password. output: a file's name. duration_s: None: until it is ended."""

    source: str = field(repr=False)
    output: str
    options: Options
    duration_s: float | None = None
    size: tuple[int, int] = (0, 0)


def record(task: StreamRun, settings: Settings, reporter: Reporter) -> Report:
    """Matte what comes until it is ended. Raises MatteboxError, KeyboardInterrupt; nothing is left of the output
    then."""
    kind, output = _source_kind(task.source), _file(task.output)
    if task.duration_s is not None and task.duration_s <= 0:
        raise UsageError(f"--duration {task.duration_s:g} would record nothing")
    threads.apply(settings)
    began_s = time.monotonic()
    name, reason = engines.choose(task.options, live=True, settings=settings)
    sink = open_sink(output, task.options, settings)
    check_background(task.options.background, settings)
    room = _Room(output)
    engine = engines.load(name, task.options, settings, reporter.message)
    reporter.message(f"engine {name} on {engine.device}: {reason}")
    source: RtspSource = find(SOURCES[kind])(
        task.source, settings, task.size, task.duration_s, lambda state: reporter.message(f"source {state}")
    )
    with ExitStack() as cleanup:
        cleanup.callback(source.close)
        reporter.start(source.info, {"input": str(source.address), "engine": name, "device": engine.device})
        cleanup.callback(reporter.stop)
        loaded_s = time.monotonic()
        matte = _pumped(task, source, sink, room, engine, settings, reporter)
    names = str(source.address), str(output), name, engine.device
    warnings = [*source.warnings, *_left_out(source), *sink.warnings]
    return Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)


def _pumped(
    task: StreamRun,
    source: RtspSource,
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
        pump(source, matte, sink, tick, read=source.slot)
    return matte


class _Room:
    """Ends a recording before its disk is full. Raises DiskError where it is so from the beginning."""

    def __init__(self, output: Path) -> None:
        self._folder, self._next_s = output.absolute().parent, 0.0
        if self._is_short():
            raise DiskError(f"cannot record to {output}: less than {_SPARE_BYTES // 2**20} MiB are free")

    def look(self, source: RtspSource) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _LOOK_S
        if self._is_short():
            source.warnings.append(("disk", "the disk is nearly full: the recording ended there"))
            source.end()

    def _is_short(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free < _SPARE_BYTES
        except OSError:  # whoever writes there says so better
            return False


def _left_out(source: RtspSource) -> list[tuple[str, str]]:
    counts = {"late": source.slot.dropped + source.dropped["convert"], "unusable": source.dropped["unusable"]}
    return [(code, f"{n} pictures were left out: {_CAUSES[code]}") for code, n in counts.items() if n]


def _source_kind(address: str) -> str:
    """Which of `SOURCES`. Raises UsageError, which does not quote the address: it may hold a password."""
    scheme, mark, _ = address.partition("://")
    if scheme.lower() not in LIVE_SOURCES or not mark:
        known = ", ".join(f"{scheme}://" for scheme in LIVE_SOURCES)
        raise UsageError(f"the source is none that can be read live ({known}); for a file: mattebox file")
    Address(address)  # raises where it is none: not only when an engine has been loaded
    return LIVE_SOURCES[scheme.lower()]


def _file(output: str) -> Path:
    """Raises UsageError for an address."""
    scheme, mark, _ = output.partition("://")
    if mark:
        raise UsageError(f"{scheme}:// cannot be sent to yet; give the name of a file, such as out.mkv")
    return Path(output)


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
