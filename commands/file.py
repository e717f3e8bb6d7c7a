"""`mattebox file`: mattes a video file."""

from typing import Annotated

import typer

from commands import shared_options
from commands.record_options import with_flags
from stream.records.formats import NAMES
from stream.records.options import Edges, Temporal, View


@with_flags(Edges, "Edges")
def file(
    edges: Edges,
    source: Annotated[str, typer.Argument(metavar="IN", help="The video to matte.")],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help=f"The output; its name sets the format: {NAMES}.",
        ),
    ],
    background: shared_options.Background = "green",
    engine: shared_options.Engine = "auto",
    view: shared_options.Shown = View.COMPOSITE,
    temporal: shared_options.Steadied = Temporal.AUTO,
    strength: shared_options.Strength = 0.7,
    weights: shared_options.Weights = None,
    roi: shared_options.Roi = False,
    foreground: shared_options.Foreground = "auto",
    key: shared_options.Key = None,
    start: shared_options.Start = "0",
    end: shared_options.End = None,
    size: shared_options.Size = None,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.picture.timing import parse_time
    from stream.progress import reporter
    from stream.records.options import Options
    from workers.runs.file import FileRun, run_file

    log.configure(verbose, as_json)
    options = Options.read(
        engine=shared_options.engine_with(weights, engine),
        background=background,
        view=view,
        temporal=temporal,
        temporal_strength=strength,
        edges=edges,
        foreground=foreground,
        roi=roi,
        key=key,
    )
    end_s = None if end is None else parse_time(end)
    task = FileRun(
        shared_options.local(source),
        shared_options.local(output),
        options,
        parse_time(start),
        end_s,
        shared_options.parse_size(size),
    )
    report = reporter(as_json)
    report.done(run_file(task, shared_options.settings_with(weights, options.engine), report))
