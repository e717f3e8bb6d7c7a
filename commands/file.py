"""`mattebox file`: mattes a video file."""

from typing import Annotated

import typer

from commands import choices
from commands.flags import with_flags
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
    background: choices.Background = "green",
    engine: choices.Engine = "auto",
    view: choices.Shown = View.COMPOSITE,
    temporal: choices.Steadied = Temporal.AUTO,
    strength: choices.Strength = 0.7,
    weights: choices.Weights = None,
    roi: choices.Roi = False,
    foreground: choices.Foreground = "auto",
    key: choices.Key = None,
    start: choices.Start = "0",
    end: choices.End = None,
    size: choices.Size = None,
    as_json: choices.Json = False,
    verbose: choices.Verbose = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.picture.timing import parse_time
    from stream.progress import reporter
    from stream.records.options import Options
    from workers.runs.file import FileRun, run_file

    log.configure(verbose, as_json)
    options = Options.read(
        engine=choices.engine_with(weights, engine),
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
        choices.local(source), choices.local(output), options, parse_time(start), end_s, choices.parse_size(size)
    )
    report = reporter(as_json)
    report.done(run_file(task, choices.settings_with(weights, options.engine), report))
