"""Mattes one recording: the implementation of `mattebox file`. Knows no concrete source or sink."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from stream.address import Address
from stream.errors import UsageError
from stream.picture.frames import VideoInfo
from stream.picture.numbering import Numbering
from stream.progress import Report, Reporter
from stream.pump import Item, pump
from stream.records.engines import AUTO
from stream.records.metadata import Metadata
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import check_input, open_sink, takes_photos
from stream.sinks.parts.numbered_pictures import PictureOptions
from stream.slot import BoundedQueue
from stream.sources import is_live, open_source
from stream.sources.base import SourceOptions
from workers import choosers, engines
from workers.choosers import unsure
from workers.device import threads
from workers.engines.base import Engine
from workers.engines.for_pictures import ForPictures, picture_options
from workers.matte import Matte
from workers.measure import runtimes
from workers.scene.backgrounds import Backdrop, open_background

_FEW = 3


@dataclass(frozen=True)
class FileRun:
    """A recording to matte. source, output: addresses or paths. pictures: how those of a sequence are written; None:
    with the defaults. The other fields are as in `SourceOptions`."""

    source: Address | Path
    output: Address | Path
    options: Options
    start_s: float = 0.0
    end_s: float | None = None
    size: tuple[int, int] = (0, 0)
    stream: int | None = None
    metadata: Metadata = Metadata.KEEP
    rate: Fraction | None = None
    hold: bool = False
    pictures: PictureOptions | None = None


class SharedEngine:
    """The engine of several runs with the same options: loaded by the first one that needs it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def get(self, options: Options, settings: Settings, reporter: Reporter, info: VideoInfo | None = None) -> Engine:
        """info: of the file; None for one of which only a part is matted. Raises UsageError, WeightsError."""
        if self._engine is None:
            name, reason = engines.choose(options, live=False, settings=settings)
            if info is not None:
                runtimes.measure_for(name, info, settings, reporter.message)
            self._engine = engines.load(name, options, settings, reporter.message)
            reporter.message(f"engine {name} on {self._engine.device}: {reason}")
        return self._engine


def run_file(task: FileRun, settings: Settings, reporter: Reporter, shared: SharedEngine | None = None) -> Report:
    """Matte one video or picture. All checks of the request are made before weights are downloaded.

    shared: for several runs with the same options. Raises MatteboxError; then nothing is left of the output.
    """
    check(task)
    threads.apply(settings)
    began_s = time.monotonic()
    engines.choose(task.options, live=False, settings=settings)  # these raise UsageError early
    choosers.choose(task.options, live=False, settings=settings)
    sink = open_sink(task.output, task.options, settings, task.pictures)
    with ExitStack() as unless_pumped:
        requested = SourceOptions(
            task.start_s,
            task.end_s,
            task.size,
            task.stream,
            task.rate,
            task.hold,
            photos=takes_photos(task.output),
            metadata=task.metadata,
        )
        source = open_source(task.source, requested, settings)
        unless_pumped.callback(source.close)
        check_input(task.output, source.info)
        backdrop = open_background(task.options.background, source.info.width, source.info.height, settings)
        unless_pumped.callback(backdrop.close)
        engine = (shared or SharedEngine()).get(task.options, settings, reporter, source.info)
        unless_pumped.pop_all()
    matte = _matte(task.options, engine, backdrop, source.info, task.start_s)
    loaded_s = time.monotonic()
    try:
        reporter.start(source.info, {"input": str(task.source), "engine": engine.name, "device": engine.device})
        pump(source, matte, sink, reporter.tick, *_handovers(task.output))
    finally:
        reporter.stop()
    names = str(task.source), str(task.output), engine.name, engine.device
    warnings = [*source.warnings, *sink.warnings, *unsure.warnings(matte.unsure)]
    return Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)


def _handovers(output: Address | Path) -> tuple[BoundedQueue[Item], ...]:
    """Shorter queues than usual where frames may carry their picture: one of 4K takes 50 MB."""
    return (BoundedQueue(_FEW), BoundedQueue(_FEW)) if takes_photos(output) else ()


def _matte(options: Options, engine: Engine, backdrop: Backdrop, info: VideoInfo, start_s: float) -> Matte:
    if info.still is None:
        return Matte(options, engine, backdrop, start_s=start_s)
    return Matte(picture_options(options, engine.name), ForPictures(engine), backdrop)


def check(task: FileRun) -> None:
    """Check what can be checked without opening a file. Raises UsageError."""
    if task.end_s is not None and task.end_s <= task.start_s:
        raise UsageError(f"--end {task.end_s:g} is not after --start {task.start_s:g}")
    if task.options.engine != AUTO:
        engines.check_known(task.options.engine)
    if fault := task.options.misplaced():
        raise UsageError(": ".join(fault))
    source, output = Address.of(task.source), Address.of(task.output)
    if is_live(source):
        raise UsageError(f"{source.scheme}:// is live and does not end; record it with mattebox stream")
    if source.scheme == output.scheme == "file" and _is_same(source.path, output.path):
        raise UsageError("the output would overwrite the input; choose another name")


def _is_same(source: Path, output: Path) -> bool:
    """Whether the output has the name of the input, or its pictures have names of those of the input."""
    if source.exists() and output.exists() and source.samefile(output):
        return True
    numbering = Numbering.read(output.name)
    folder = source if source.is_dir() else source.parent
    if numbering is None or folder.resolve() != output.parent.resolve():
        return False
    if source.is_dir():
        return any(numbering.number(path.name) is not None for path in folder.iterdir())
    return Numbering.read(source.name) == numbering
