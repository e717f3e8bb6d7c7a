"""`mattebox stream`: records a live source, matted."""

from pathlib import Path
from typing import Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, with_matting_options
from commands.overwriting import check_output
from stream.errors import UsageError
from stream.records.formats import VIDEO_NAMES
from stream.records.options import Edges

_MAX_PASSWORD = 1024  # bytes


@with_matting_options
def stream(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="Address of a live source, such as rtsp://[USER[:PASSWORD]@]HOST[:PORT]/PATH."
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(metavar="DST", help=f"The output. A file's name sets the format: {VIDEO_NAMES}."),
    ],
    matting: MattingOptions,
    edges: Edges,
    duration: Annotated[
        str | None, typer.Option(metavar="S", help="Stop after this time: seconds or h:mm:ss; by default at Ctrl-C.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File whose first line is the password of the user in SRC; keeps it out of the process list.",
        ),
    ] = None,
    weights: shared_options.Weights = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Record a live source, matted and with its sound, until Ctrl-C.

    While the source is unavailable, only the background and silence are recorded.
    """
    from stream import log
    from stream.address import with_password
    from stream.progress import reporter
    from stream.sinks import sink_address
    from workers.runs.stream import StreamRun, record

    log.configure(verbose, as_json)
    options = matting.options(edges, weights)
    if password_file is not None:
        source = with_password(source, _first_line(password_file))
    task = StreamRun(
        source,
        output,
        options,
        None if duration is None else shared_options.parse_seconds("--duration", duration),
        matting.size_px,
    )
    shared_options.check_name(output)
    check_output(sink_address(output), overwrite)
    report = reporter(as_json)
    report.done(record(task, shared_options.settings_with(weights, options.engine), report))


def _first_line(path: Path) -> bytes:
    """The first line, without the line end. Raises UsageError if it is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_PASSWORD).rstrip(b"\r\n")
    except OSError as exc:
        raise UsageError(f"--password-file {path}: {exc.strerror}") from None
    if not line:
        raise UsageError(f"--password-file {path}: its first line is empty")
    return line
