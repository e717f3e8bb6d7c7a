"""Mattes one recording: the implementation of `mattebox file`. Knows no concrete source or sink."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from stream.address import Address
from stream.errors import UsageError
from stream.picture.frames import VideoInfo
from stream.picture.numbering import Numbering
from stream.progress import Report, Reporter
from stream.pump import Item, Sink, pump
from stream.records import selection
from stream.records.engines import AUTO
from stream.records.metadata import Metadata
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import check_input, open_sink, takes_photos
from stream.sinks.parts.numbered_pictures import PictureOptions
from stream.sinks.parts.several import SeveralSink
from stream.slot import BoundedQueue
from stream.sources import is_live, open_source
from stream.sources.base import SourceOptions
from stream.sources.container import reopened_sound
from workers import choosers, engines
from workers.choosers import unsure
from workers.device import threads
from workers.engines.base import Engine
from workers.engines.for_pictures import ForPictures, picture_options
from workers.matte import Matte
from workers.rendition import Rendition
from workers.scene.backgrounds import open_background

_FEW = 3


@dataclass(frozen=True)
class Target:
    """Where a result goes. output: address or path. subject: names of the only subjects in it; (): all that are
    kept."""

    output: Address | Path
    subject: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileRun:
    """A recording to matte. source: address or path. output, subject: as in `Target`; others: further results of the
    same matte. pictures: how those of a sequence are written; None: with the defaults. The other fields are as in
    `SourceOptions`."""

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
    subject: tuple[str, ...] = ()
    others: tuple[Target, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """All results, the first one first."""
        return [Target(self.output, self.subject), *self.others]


class SharedEngine:
    """The engine of several runs with the same options: loaded by the first one that needs it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def get(self, options: Options, settings: Settings, reporter: Reporter) -> Engine:
        """Raises UsageError, WeightsError."""
        if self._engine is None:
            name, reason = engines.choose(options, live=False, settings=settings)
            self._engine = engines.load(name, options, settings, reporter.message)
            reporter.message(f"engine {name} on {self._engine.device}: {reason}")
        return self._engine


def run_file(task: FileRun, settings: Settings, reporter: Reporter, shared: SharedEngine | None = None) -> Report:
    """Matte one video or picture. All checks of the request are made before weights are downloaded.

    shared: for several runs with the same options. Raises MatteboxError; then nothing is left of an incomplete output.
    """
    check(task)
    threads.apply(settings)
    began_s = time.monotonic()
    engines.choose(task.options, live=False, settings=settings)  # these raise UsageError early
    choosers.choose(task.options, live=False, settings=settings)
    sinks = [open_sink(target.output, task.options, settings, task.pictures) for target in task.targets]
    with ExitStack() as opened:
        with ExitStack() as unless_pumped:
            source = open_source(task.source, _requested(task), settings)
            unless_pumped.callback(source.close)
            for target in task.targets:
                check_input(target.output, source.info)
            renditions = _renditions(task, source.info, settings, unless_pumped)
            sink = _sink(sinks, task.source, source.info, settings, opened)
            engine = (shared or SharedEngine()).get(task.options, settings, reporter)
            unless_pumped.pop_all()
        matte = _matte(renditions, engine, source.info, task.start_s)
        loaded_s = time.monotonic()
        try:
            reporter.start(source.info, {"input": str(task.source), "engine": engine.name, "device": engine.device})
            pump(source, matte, sink, reporter.tick, *_handovers(task))
        finally:
            reporter.stop()
    names = str(task.source), str(task.output), engine.name, engine.device
    warnings = [*source.warnings, *sink.warnings, *unsure.warnings(matte.unsure)]
    report = Report.timed(names, reporter.frames, began_s, loaded_s, matte.info, warnings)
    return replace(report, others=tuple(str(target.output) for target in task.others))


def _requested(task: FileRun) -> SourceOptions:
    photos = _take_photos(task)
    part = task.start_s, task.end_s, task.size, task.stream, task.rate, task.hold
    return SourceOptions(*part, photos=photos, metadata=task.metadata)


def _renditions(task: FileRun, info: VideoInfo, settings: Settings, opened: ExitStack) -> list[Rendition]:
    """One for each target."""
    renditions = []
    for target in task.targets:
        backdrop = open_background(task.options.background, info.width, info.height, settings)
        opened.callback(backdrop.close)
        renditions.append(Rendition(task.options, backdrop, target.subject))
    return renditions


def _sink(
    sinks: Sequence[Sink], source: Address | Path, info: VideoInfo, settings: Settings, opened: ExitStack
) -> Sink:
    """The only sink, or one that writes to all."""
    if len(sinks) == 1:
        return sinks[0]
    path = Address.of(source).path
    return SeveralSink(sinks, [reopened_sound(path, info.sound, settings, opened) for _ in sinks[1:]])


def _take_photos(task: FileRun) -> bool:
    return any(takes_photos(target.output) for target in task.targets)


def _handovers(task: FileRun) -> tuple[BoundedQueue[Item], ...]:
    """Shorter queues than usual where frames may carry their picture: one of 4K takes 50 MB."""
    return (BoundedQueue(_FEW), BoundedQueue(_FEW)) if _take_photos(task) else ()


def _matte(renditions: Sequence[Rendition], engine: Engine, info: VideoInfo, start_s: float) -> Matte:
    first, *others = renditions
    options = first.options
    if info.still is not None:
        options, engine, start_s = picture_options(options, engine.name), ForPictures(engine), 0.0
    return Matte(options, engine, first.backdrop, others=others, start_s=start_s, subject=first.subject)


def check(task: FileRun) -> None:
    """Check what can be checked without opening a file. Raises UsageError."""
    if task.end_s is not None and task.end_s <= task.start_s:
        raise UsageError(f"--end {task.end_s:g} is not after --start {task.start_s:g}")
    if task.options.engine != AUTO:
        engines.check_known(task.options.engine)
    if fault := task.options.misplaced():
        raise UsageError(": ".join(fault))
    source = Address.of(task.source)
    if is_live(source):
        raise UsageError(f"{source.scheme}:// is live and does not end; record it with mattebox stream")
    _check_targets(source, task)


def _check_targets(source: Address, task: FileRun) -> None:
    outputs = [Address.of(target.output) for target in task.targets]
    for target, output in zip(task.targets, outputs, strict=True):
        if fault := selection.fault(target.subject, task.options):
            raise UsageError(f"{target.output}: {fault}")
        if source.scheme == output.scheme == "file" and _is_same(source.path, output.path):
            raise UsageError("the output would overwrite the input; choose another name")
    if len({_spelled(output) for output in outputs}) < len(outputs):
        raise UsageError("two outputs have the same name")
    if len(outputs) > 1 and source.scheme != "file":
        raise UsageError("several outputs need a file as the input: each reads its sound")


def _spelled(output: Address) -> str:
    """Its name, spelled in one way; on some systems case does not matter."""
    return str(output.path.resolve() if output.scheme == "file" else output).casefold()


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
