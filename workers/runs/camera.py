"""Shows a live source, matted, as a virtual camera: the implementation of `mattebox camera`.

Ctrl-C or SIGTERM ends it. Knows no concrete source or sink.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from stream.address import Address
from stream.errors import UsageError
from stream.picture.frames import VideoInfo
from stream.progress import Report, Reporter
from stream.pump import Transform, pump
from stream.records.options import Options
from stream.settings import Settings
from stream.sinks import open_sink, sink_address
from stream.sinks.camera import CameraSink
from stream.sinks.live.spec import OutputSpec
from stream.sources import open_live_source, source_address
from stream.sources.base import LiveSource, SourceOptions
from stream.sources.live.idle import IdleSource
from workers import engines
from workers.device import threads
from workers.matte import Matte
from workers.runs.remote_matting import RemoteMatting, Unchanged
from workers.runs.stream import dropped, ended_by_signals
from workers.scene.backgrounds import check_background, open_background

_CANNOT_TELL = (
    "--idle needs a system that tells whether a program reads from the virtual camera: Linux with v4l2loopback, or "
    "with PipeWire and its command pw-dump"
)


@dataclass(frozen=True)
class CameraRun:
    """source, device: addresses; that of the source may contain a password. size, loop, duration_s: as in
    `SourceOptions`. idle: the source is open only while a program reads from the virtual camera. server: does the
    matting, instead of this computer. token, insecure: of the source, as in `SourceOptions`."""

    source: str = field(repr=False)
    device: str
    options: Options
    size: tuple[int, int] = (0, 0)
    loop: bool = False
    duration_s: float | None = None
    idle: bool = False
    server: "Server | None" = None
    token: str | None = field(default=None, repr=False)
    insecure: bool = False


@dataclass(frozen=True)
class Server:
    """A Mattebox server that does the matting. publish, view: addresses of the same stream, by WHIP and by WHEP. token,
    insecure: as in `OutputSpec`."""

    publish: Address
    view: Address
    token: str | None = field(default=None, repr=False)
    insecure: bool = False


def show(task: CameraRun, settings: Settings, reporter: Reporter) -> Report:
    """Show the source until it ends or is stopped. All checks of the request are made before weights are downloaded
    and before the source is contacted.

    Raises MatteboxError, KeyboardInterrupt.
    """
    began_s = time.monotonic()
    sink = _virtual_camera(task, settings)
    with ExitStack() as cleanup:
        source = _source(task, sink, settings, reporter)
        cleanup.callback(source.close)
        threads.apply(settings)
        name, device, opened = _matting(task, settings, reporter)
        origin = str(source_address(task.source))
        with ended_by_signals(source.end):
            info = source.info
            reporter.start(info, {"input": origin, "engine": name, "device": device})
            cleanup.callback(reporter.stop)
            loaded_s = time.monotonic()
            pump(source, opened(info), sink, reporter.tick)
    names = origin, sink.camera.name, name, device
    warnings = [*source.warnings, *dropped(source), *sink.warnings]
    return Report.timed(names, reporter.frames, began_s, loaded_s, info, warnings)


def _matting(
    task: CameraRun, settings: Settings, reporter: Reporter
) -> tuple[str, str, Callable[[VideoInfo], Transform]]:
    """Engine, device, and what opens the transform for a video. Raises UsageError, BackgroundError, WeightsError."""
    if task.server is not None:
        reporter.message(f"matted by {task.server.view}")
        return task.options.engine, str(task.server.view), lambda info: Unchanged()
    name, reason = engines.choose(task.options, live=True, settings=settings)
    check_background(task.options.background, settings)
    engine = engines.load(name, task.options, settings, reporter.message, live=True)
    reporter.message(f"engine {name} on {engine.device}: {reason}")

    def opened(info: VideoInfo) -> Transform:
        backdrop = open_background(task.options.background, info.width, info.height, settings)
        return Matte(task.options, engine, backdrop, live=True)

    return name, engine.device, opened


def _virtual_camera(task: CameraRun, settings: Settings) -> CameraSink:
    sink = open_sink(sink_address(task.device), task.options, settings)
    if not isinstance(sink, CameraSink):
        raise UsageError("--device must be a virtual camera: camera:, or camera:NAME such as camera:/dev/video10")
    if task.idle and sink.camera.watched() is None:
        raise UsageError(_CANNOT_TELL)
    return sink


def _source(task: CameraRun, sink: CameraSink, settings: Settings, reporter: Reporter) -> LiveSource:
    def report(state: object) -> None:
        reporter.message(f"source {state}")

    requested = SourceOptions(
        size=task.size,
        loop=task.loop,
        duration_s=task.duration_s,
        insecure=task.insecure,
        token=task.token,
        on_state=report,
    )
    if not task.idle:
        return _opened(task, requested, settings, reporter)

    def opened(size: tuple[int, int]) -> LiveSource:
        sized = replace(requested, size=size if any(size) else task.size, on_state=lambda state: None)
        return _opened(task, sized, settings, reporter)

    return IdleSource(opened, sink.camera.watched, report)


def _opened(task: CameraRun, requested: SourceOptions, settings: Settings, reporter: Reporter) -> LiveSource:
    """The source, or what the server makes of it."""
    local = open_live_source(source_address(task.source), requested, settings)
    if (server := task.server) is None:
        return local
    publish = OutputSpec(server.publish, audio="off", token=server.token, insecure=server.insecure)
    viewed = SourceOptions(
        token=server.token, insecure=server.insecure, on_state=lambda state: reporter.message(f"server {state}")
    )
    return RemoteMatting(local, publish, server.view, viewed, settings)
