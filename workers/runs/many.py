"""Mattes many videos and pictures into a folder, one after the other, with one engine.

An input that fails does not stop the others.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stream.errors import BackgroundError, DiskError, MatteboxError, OutputClosed, UsageError, WeightsError
from stream.progress import Report, Reporter
from stream.records.formats import FORMATS, PICTURE_DEFAULT, SUFFIXES, OutputFormat, for_input
from stream.settings import Settings
from stream.sources.signatures import is_picture, kind_of
from workers.runs.file import FileRun, SharedEngine, check, run_file

_OF_ALL = (WeightsError, BackgroundError, OutputClosed)  # errors that all other inputs would have too


@dataclass(frozen=True)
class Input:
    """A file to matte. folder: where its result goes, below the folder of the results."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True)
class Summary:
    """How many inputs were done, failed, and were skipped because their result exists."""

    done: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.done} done, {self.failed} failed, {self.skipped} skipped"


def find_inputs(sources: Iterable[Path], recursive: bool, results: Path) -> list[Input]:
    """The files, and the videos and pictures in the folders, in order, each once. Hidden files and those below
    `results` are left out. A damaged file with the name of an output format is taken too, so that its error is seen.

    recursive: also those in folders of folders, whose results keep their place. Raises UsageError if there is nothing.
    """
    found: dict[Path, Input] = {}
    for source in sources:
        new = _in_folder(source, recursive, results) if source.is_dir() else [Input(source)]
        for each in new:
            found.setdefault(each.path.absolute(), each)
    if not found:
        more = "" if recursive else "; use --recursive to include subfolders"
        raise UsageError(f"there are no videos or pictures{more}")
    return list(found.values())


def _in_folder(folder: Path, recursive: bool, results: Path) -> list[Input]:
    try:
        paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    except OSError as exc:
        raise UsageError(f"{folder}: {exc.strerror}") from None
    return [
        Input(path, path.parent.relative_to(folder))
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and (results.absolute() == folder.absolute() or results.absolute() not in path.absolute().parents)
        and (kind_of(path) or path.suffix.lower() in SUFFIXES)
    ]


@dataclass(frozen=True)
class Formats:
    """The formats of the results of videos and of pictures."""

    video: OutputFormat
    picture: OutputFormat

    @classmethod
    def read(cls, names: Sequence[str], transparent: bool) -> "Formats":
        """From the names of formats, at most one for videos and one for pictures. transparent: a default must be a
        format with transparency. Raises UsageError."""
        video = next(f for f in FORMATS.values() if not f.still and (f.transparent or not transparent))
        chosen = {False: video, True: FORMATS[PICTURE_DEFAULT]}
        for name in names:
            if name not in FORMATS:
                raise UsageError(f"--format {name!r} is unknown; use one of: {', '.join(FORMATS)}")
            kind = FORMATS[name]
            chosen[kind.still] = kind
        if len({FORMATS[name].still for name in names}) < len(names):
            raise UsageError("--format: name one format for videos and one for pictures")
        if "png" in names and not any(FORMATS[name].still for name in names):
            chosen[True] = for_input(FORMATS["png"], still=True)
        return cls(chosen[False], chosen[True])

    def result(self, source: Input, folder: Path) -> Path:
        """Where the result of an input goes: a file, or for a sequence of pictures a folder."""
        kind = self.picture if is_picture(source.path) else self.video
        return folder / source.folder / (source.path.stem + ("" if kind.pictures else kind.suffix))


def plan(sources: Sequence[Input], formats: Formats, results: Path, common: FileRun) -> list[FileRun]:
    """One run for each input. common: what all have in common; its times and its stream are for videos only.

    Raises UsageError if two results would have the same name, or one would replace an input.
    """
    owners: dict[str, Path] = {}
    paths = {source.path.absolute() for source in sources}
    runs = []
    for source in sources:
        result = formats.result(source, results)
        other = owners.setdefault(str(result.absolute()).casefold(), source.path)
        if other != source.path:
            raise UsageError(f"{other} and {source.path} would both be written to {result}; rename one of them")
        if result.absolute() in paths:
            raise UsageError(f"the result of {source.path} would replace the input {result}; choose another folder")
        part = replace(common, start_s=0.0, end_s=None) if is_picture(source.path) else common
        runs.append(replace(part, source=source.path, output=result))
    return runs


def run_many(runs: Sequence[FileRun], skipped: Sequence[FileRun], settings: Settings, reporter: Reporter) -> Summary:
    """Matte all of `runs`. skipped: those whose results are kept; they are only reported.

    Errors of an input are reported, and the next one follows. Raises WeightsError and BackgroundError, which all inputs
    would have. When interrupted, what is done stays done.
    """
    counts, shared = Counter[str](), SharedEngine()
    for run in skipped:
        _report(reporter, "skipped", run, f"skipped: {run.output} already exists")
        counts["skipped"] += 1
    try:
        for number, run in enumerate(runs, 1):
            reporter.title = f"[{number}/{len(runs)}] {run.source}"
            try:
                check(run)
                report = _run(run, settings, reporter, shared)
            except _OF_ALL:
                raise
            except MatteboxError as exc:
                counts["failed"] += 1
                text = str(exc) if str(run.source) in str(exc) else f"{run.source}: {exc}"
                _report(reporter, "failed", run, f"error: {text}", code=exc.code, message=str(exc))
            else:
                counts["done"] += 1  # before it is reported, where an interruption may come
                reporter.done(report)
    finally:
        reporter.title = ""
        summary = Summary(**counts)
        reporter.event("summary", asdict(summary), str(summary))
    return summary


def _run(run: FileRun, settings: Settings, reporter: Reporter, shared: SharedEngine) -> Report:
    assert isinstance(run.output, Path)
    folder = run.output.parent
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise DiskError(f"cannot create the folder {folder}: {exc.strerror}") from exc
    try:
        return run_file(run, settings, reporter, shared)
    except BaseException:
        if is_new:
            with suppress(OSError):  # it has other results by now
                folder.rmdir()
        raise


def _report(reporter: Reporter, event: str, run: FileRun, text: str, **fields: str) -> None:
    reporter.event(event, {"input": str(run.source), "output": str(run.output), **fields}, text)
