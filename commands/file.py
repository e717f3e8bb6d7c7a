"""`mattebox file`: mattes a video file."""

from typing import Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, PartOptions, with_matting_options
from commands.overwriting import check_output
from commands.record_options import with_flags
from stream.records.options import Edges


@with_matting_options
@with_flags(PartOptions)
def file(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video to matte.")],
    output: shared_options.Output,
    matting: MattingOptions,
    edges: Edges,
    part: PartOptions,
    weights: shared_options.Weights = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.progress import reporter
    from workers.runs.file import FileRun, check, run_file

    log.configure(verbose, as_json)
    options = matting.options(edges, weights)
    task = FileRun(
        shared_options.local(source), shared_options.local(output), options, *part.times_s(), matting.size_px
    )
    check(task)
    check_output(task.output, overwrite)
    report = reporter(as_json)
    report.done(run_file(task, shared_options.settings_with(weights, options.engine), report))
