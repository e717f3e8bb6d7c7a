"""`mattebox batch`: mattes very many videos on a Ray cluster."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, PartOptions, with_matting_options
from commands.record_options import with_flags
from stream.errors import UsageError
from stream.records.engines import taking
from stream.records.formats import FORMATS
from stream.records.metadata import Metadata
from stream.records.options import Edges

if TYPE_CHECKING:
    from stream.records.options import Options
    from stream.settings import Settings
    from workers.batch.films import Request
    from workers.batch.inputs import BadInput, Input

_PIPE, _LIST = "-", "@"


@with_matting_options
@with_flags(PartOptions)
def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A folder, s3://BUCKET/PREFIX, or a list of addresses: @FILE, or - for standard input."
        ),
    ],
    results: Annotated[str, typer.Argument(metavar="DST", help="Where results are stored: a folder, or s3://…")],
    matting: MattingOptions,
    edges: Edges,
    part: PartOptions,
    format: Annotated[str | None, typer.Option(metavar="FORMAT", help="The format of the results.")] = None,
    address: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The Ray cluster: auto (the one that this machine belongs to), HOST:PORT, ray://HOST:PORT, "
            "or local (one is started on this machine).",
        ),
    ] = "auto",
    actors: Annotated[
        int, typer.Option(min=0, metavar="N", help="Videos or segments processed at once; 0: as many as fit.")
    ] = 0,
    cpus: Annotated[int, typer.Option("--cpus-per-actor", min=1, metavar="N", help="Cores for each of them.")] = 1,
    gpus: Annotated[
        float, typer.Option("--gpus-per-actor", min=0.0, metavar="N", help="GPUs for each; 0.5: two share one.")
    ] = 0.0,
    weights: shared_options.Weights = None,
    overwrite: Annotated[
        bool,
        typer.Option("-y", "--overwrite", help="Replace results of other options or videos, and other files."),
    ] = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Matte very many videos on a Ray cluster.

    What has been done is not done again: an interrupted batch continues when the same command is run again. SRC and DST
    must have the same address on all nodes: a shared folder, or s3://.
    """
    from stream import log
    from stream.progress import reporter
    from stream.storage import open_storage
    from stream.storage.named import open_place, work_settings
    from workers.batch.inputs import absolute
    from workers.batch.intake import Intake
    from workers.batch.ray_cluster import RayCluster, Shape
    from workers.batch.report import ReportFile
    from workers.batch.run import Batch

    log.configure(verbose, as_json)
    options = _with_absolute_paths(matting.options(edges, weights))
    settings = shared_options.settings_with(_absolute_weights(weights), options.engine)
    request = _request(options, matting.size_px, part, format, settings)
    destination, report = absolute(results), reporter(as_json)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="mattebox-")))
        inputs = opened.enter_context(_inputs(source, destination, settings, folder))
        place, storage = open_place(destination, settings), open_storage(work_settings(destination, settings))
        place.prepare()
        storage.check()
        intake = Intake.of(storage, place.names(), overwrite)
        cluster = RayCluster(address, Shape(actors, cpus, gpus), destination, _shared(settings), report.message)
        summary = Batch(request, destination, intake, cluster, ReportFile(storage, folder), report).run(inputs)
    if not any((summary.done, summary.failed, summary.skipped, summary.kept)):
        raise UsageError(f"there are no videos in {source}")
    if summary.failed or summary.kept:
        raise typer.Exit(1)


def _request(
    options: "Options", size: tuple[int, int], part: PartOptions, format: str | None, settings: "Settings"
) -> "Request":
    """All checks that need no video. Raises UsageError, BackgroundError."""
    from stream.records.jobs import Job, Output
    from workers import choosers, engines
    from workers.batch.films import Request
    from workers.files.segments import check
    from workers.runs.many import Formats
    from workers.scene.backgrounds import check_background

    if format in FORMATS and FORMATS[format].still:
        raise UsageError(f"--format {format} is for pictures; mattebox batch is for videos")
    kind = Formats.read([format] if format else [], options.wants_alpha).video
    start_s, end_s = part.times_s()
    job = Job(
        id="request", options=options, outputs=(Output(format=kind.name),), start_s=start_s, end_s=end_s,
        stream=part.stream, width=size[0], height=size[1], metadata=part.metadata or Metadata.KEEP,
    )  # fmt: skip
    check(job)
    engines.choose(options, live=False, settings=settings)
    choosers.choose(options, live=False, settings=settings)
    check_background(options.background, settings)
    return Request(job, json.dumps(_weights(settings)))


def _weights(settings: "Settings") -> dict[str, str]:
    """The setting with the weights of each engine that has a choice of them."""
    return {name: getattr(settings, name) for name in taking("weights")}


def _shared(settings: "Settings") -> dict[str, Any]:
    """The settings that are the same on all nodes; each node reads all others from its own environment."""
    return _weights(settings) | ({"s3_endpoint": settings.s3_endpoint} if settings.s3_endpoint else {})


def _with_absolute_paths(options: "Options") -> "Options":
    """Nodes have other working folders."""
    background, subjects = (
        options.background,
        tuple(subject.with_masks(os.path.abspath) for subject in options.subjects),
    )
    if background.path:
        background = background.model_copy(update={"path": os.path.abspath(background.path)})
    return options.model_copy(update={"background": background, "subjects": subjects})


def _absolute_weights(weights: str | None) -> str | None:
    """Like `_with_absolute_paths`, for a file of weights, which may be followed by a size."""
    file, at, size = (weights or "").partition("@")
    return f"{os.path.abspath(file)}{at}{size}" if os.path.isfile(file) else weights


@contextmanager
def _inputs(source: str, results: str, settings: "Settings", folder: Path) -> "Iterator[Iterable[Input | BadInput]]":
    """The inputs that SRC names. folder: for temporary files. Raises UsageError."""
    from workers.batch.inputs import absolute, in_list, in_place

    if source == _PIPE or source.startswith(_LIST):
        with _opened(source) as lines:
            yield in_list(lines, settings)
        return
    place = absolute(source)
    if "://" not in place and not os.path.isdir(place):
        raise UsageError(f"{source} is not a folder; for one video use mattebox file, for a list @FILE")
    if place == results:
        raise UsageError("DST is SRC; choose another place for the results, such as a folder below SRC")
    yield in_place(place, results, settings, folder)


def _opened(source: str) -> TextIO:
    """The lines of a list. Raises UsageError."""
    file: str | int = sys.stdin.fileno() if source == _PIPE else source.removeprefix(_LIST)
    try:
        return open(file, encoding="utf-8", errors="replace", closefd=source != _PIPE)
    except OSError as exc:
        raise UsageError(f"{source}: {exc.strerror}") from None
