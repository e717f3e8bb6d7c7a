"""`mattebox file`: one video, from name to name."""

import re
from pathlib import Path
from typing import Annotated

import typer

from stream.errors import UsageError
from stream.flags import with_flags
from stream.session import BACKGROUND_SPECS, Edges, Temporal, View


@with_flags(Edges, "Edges")
def file(
    edges: Edges,
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to matte.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="Its name sets the format: .mp4 .webm .mov .mkv .gif, a folder or %05d.png.",
        ),
    ],
    background: Annotated[str, typer.Option(metavar="SPEC", help=f"{BACKGROUND_SPECS}.")] = "green",
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, birefnet, rvm, selfie, chroma.")] = "auto",
    view: Annotated[View, typer.Option(help="What the output shows.")] = View.COMPOSITE,
    temporal: Annotated[Temporal, typer.Option(help="How masks are steadied over time.")] = Temporal.AUTO,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of --temporal; 0 is none.")] = 0.7,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="birefnet: a variant, repo id or .safetensors, perhaps @WxH."),
    ] = None,
    roi: Annotated[
        bool, typer.Option("--roi/--no-roi", help="birefnet: look where the subject was, at everything now and then.")
    ] = False,
    foreground: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="The subject's colours at soft edges: auto, estimate (no old background), keep."
        ),
    ] = "auto",
    key: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="chroma: the screen's colour.")] = None,
    start: Annotated[str, typer.Option(metavar="S", help="Where to begin: seconds or h:mm:ss.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Where to stop.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Scale to this; 1280x or x720 keeps the shape.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")] = False,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")] = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.progress import reporter
    from stream.session import Options
    from stream.settings import settings
    from stream.timing import parse_time
    from workers.job import Task, run_file

    log.configure(verbose, as_json)
    options = Options.read(
        engine=engine,
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
    task = Task(source, output, options, parse_time(start), end_s, parse_size(size))
    report = reporter(as_json)
    chosen = settings() if weights is None else settings().model_copy(update={"birefnet": weights})
    report.done(run_file(task, chosen, report))


def parse_size(text: str | None) -> tuple[int, int]:
    """(width, height), 0 for the side that follows from the other. Raises UsageError."""
    if text is None:
        return 0, 0
    match = re.fullmatch(r"(?=.*[0-9])([1-9][0-9]{0,5})?x([1-9][0-9]{0,5})?", text.lower())
    sides = (0, 0) if match is None else (int(match[1] or 0), int(match[2] or 0))
    if match is None or 1 in sides:
        raise UsageError(f"--size {text!r} is no size; write 1280x720, 1280x or x720")
    return sides
