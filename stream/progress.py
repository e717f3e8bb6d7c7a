"""Progress of a task: a bar on a terminal, plain lines for a log, or JSON lines for programs."""

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from stream.picture.frames import Frame, VideoInfo
from stream.picture.timing import RateMeter, clock
from stream.pump import Warnings
from stream.signals import postponed

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_EVERY_S = 5.0


@dataclass(frozen=True)
class Report:
    """The outcome of a task. seconds, fps: of matting alone. load_seconds: spent before the first frame. still: of one
    picture. others: further outputs."""

    input: str
    output: str
    engine: str
    device: str
    frames: int
    seconds: float
    fps: float
    load_seconds: float
    width: int
    height: int
    warnings: Warnings
    still: bool = False
    others: tuple[str, ...] = ()

    @classmethod
    def timed(
        cls, names: tuple[str, str, str, str], frames: int, began_s: float, loaded_s: float, info: VideoInfo,
        warnings: Warnings,
    ) -> Self:  # fmt: skip
        """The report of a task that ends now. names: input, output, engine, device. began_s, loaded_s: start of the
        task and end of loading, by `time.monotonic`. info: of the output."""
        took_s = time.monotonic() - loaded_s
        rate, load_s = round(frames / took_s, 2), round(loaded_s - began_s, 3)
        width, height = info.still or (info.width, info.height)
        return cls(*names, frames, round(took_s, 3), rate, load_s, width, height, warnings, info.still is not None)


class Reporter(Protocol):
    """Receives the progress of videos and pictures, one after the other.

    `stop` is called before `done`, and also after a failure. title: set to name the current one of several.
    """

    title: str

    @property
    def frames(self) -> int: ...

    def start(self, info: VideoInfo, details: dict[str, Any]) -> None: ...

    def tick(self, frame: Frame) -> None: ...

    def message(self, text: str) -> None: ...

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        """An event for programs. text: the same for people."""
        ...

    def done(self, report: Report) -> None: ...

    def stop(self) -> None: ...


def reporter(as_json: bool) -> Reporter:
    """JSON lines on stdout where `as_json`; else a progress bar on a terminal, plain lines elsewhere."""
    if as_json:
        return JsonReporter(sys.stdout)
    return BarReporter() if sys.stderr.isatty() else LineReporter(sys.stderr)


class _Counter:
    title = ""

    def __init__(self) -> None:
        self._total: int | None = None
        self._rate = RateMeter()

    @property
    def frames(self) -> int:
        return self._rate.count

    def start(self, info: VideoInfo, details: dict[str, Any]) -> None:
        self._total = info.frames
        self._rate = RateMeter()

    def _progress(self) -> dict[str, Any]:
        count, fps = self._rate.count, self._rate.recent
        left_s = (self._total - count) / fps if self._total and fps > 0 else None
        return {
            "frames": count,
            "total": self._total,
            "fps": round(fps, 2),
            "eta_s": None if left_s is None else round(max(0.0, left_s), 1),
        }


def _put_line(line: str, out: TextIO) -> None:
    """Write the line and its end in one call, because other threads write too; `print` makes two."""
    out.write(f"{line}\n")
    out.flush()


class JsonReporter(_Counter):
    """One JSON object per line: start, progress (about once a second), message, done."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._next_s = 1.0

    def start(self, info: VideoInfo, details: dict[str, Any]) -> None:
        super().start(info, details)
        self._next_s = 1.0
        self._emit("start", details)

    def tick(self, frame: Frame) -> None:
        self._rate.tick()
        if self._rate.elapsed_s >= self._next_s:
            self._next_s = self._rate.elapsed_s + 1.0
            self._emit("progress", self._progress())

    def message(self, text: str) -> None:
        self._emit("message", {"text": text})

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        self._emit(name, fields)

    def done(self, report: Report) -> None:
        warnings = [{"code": code, "message": sentence} for code, sentence in report.warnings]
        self._emit("done", asdict(report) | {"warnings": warnings})

    def stop(self) -> None:
        """Nothing to stop."""

    def _emit(self, event: str, fields: dict[str, Any]) -> None:
        with suppress(OSError):  # the reader may close the pipe; the work continues
            _put_line(json.dumps({"event": event, **fields}), self._out)


class LineReporter(_Counter):
    """Plain lines, one every few seconds, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._next_s = _LINE_EVERY_S

    def start(self, info: VideoInfo, details: dict[str, Any]) -> None:
        super().start(info, details)
        self._next_s = _LINE_EVERY_S

    def tick(self, frame: Frame) -> None:
        self._rate.tick()
        if self._rate.elapsed_s >= self._next_s:
            self._next_s = self._rate.elapsed_s + _LINE_EVERY_S
            self.message(": ".join(filter(None, (self.title, progress_line(self._progress())))))

    def message(self, text: str) -> None:
        with suppress(OSError):  # the log's disk may be full; the work continues
            _put_line(text, self._out)

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        self.message(text)

    def done(self, report: Report) -> None:
        self.message(closing_line(report))

    def stop(self) -> None:
        """Nothing to stop."""


class BarReporter(_Counter):
    """A progress bar with frames, frames per second and time left."""

    def __init__(self) -> None:
        from rich.console import Console  # takes as long to import as the rest of the command line

        super().__init__()
        self._console = Console(stderr=True)
        self._bar: Progress | None = None

    def start(self, info: VideoInfo, details: dict[str, Any]) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

        super().start(info, details)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(None),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, expand=True)
        self._task = self._bar.add_task(self.title, total=info.frames, text="")
        with postponed():  # interrupted halfway, it could not be stopped
            self._bar.start()

    def tick(self, frame: Frame) -> None:
        self._rate.tick()
        if self._bar is not None:
            figures = self._progress()
            total = max(figures["frames"], figures["total"] or 0) if figures["total"] else None
            self._bar.update(self._task, completed=figures["frames"], total=total, text=progress_line(figures))

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def event(self, name: str, fields: dict[str, Any], text: str) -> None:
        self.message(text)

    def done(self, report: Report) -> None:
        self.stop()
        self.message(closing_line(report))

    def stop(self) -> None:
        if self._bar is not None:
            with postponed():
                self._bar.stop()
            self._bar = None


def progress_line(figures: dict[str, Any]) -> str:
    of = f"/{figures['total']}" if figures["total"] else ""
    left = f", {clock(figures['eta_s'])} left" if figures["eta_s"] is not None else ""
    return f"{figures['frames']}{of} frames, {figures['fps']:.1f} fps{left}"


def closing_line(report: Report) -> str:
    warnings = "".join(f"\nwarning: {sentence}" for _, sentence in report.warnings)
    took = f"{report.frames} frames in {report.seconds:.1f} s ({report.fps:.1f} fps)"
    if report.still:
        took = f"{report.width}x{report.height} in {report.seconds:.1f} s"
    return f"{', '.join((report.output, *report.others))}: {took}{warnings}"
