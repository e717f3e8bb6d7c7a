"""`mattebox stream`: a live source, matted as it comes."""

from typing import Annotated

import typer

from commands.file import parse_size
from stream.flags import with_flags
from stream.session import BACKGROUND_SPECS, Edges, Temporal, View


@with_flags(Edges, "Edges")
def stream(
    edges: Edges,
    source: Annotated[str, typer.Argument(metavar="SRC", help="rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH, or rtsps://.")],
    output: Annotated[
        str,
        typer.Argument(
            metavar="DST", help="A file; its name sets the format: .mkv .mp4 .webm .mov .gif, a folder or %05d.png."
        ),
    ],
    duration: Annotated[
        str | None, typer.Option(metavar="S", help="Stop after this: seconds or h:mm:ss; else at Ctrl-C.")
    ] = None,
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
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Scale to this; 1280x or x720 keeps the shape.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")] = False,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")] = 0,
) -> None:
    """Matte a live source into a file, without its sound, until Ctrl-C. While the source is away, its background is
    recorded."""
    from stream import log
    from stream.progress import reporter
    from stream.session import Options
    from stream.settings import settings
    from stream.timing import parse_time
    from workers.recording import Recording, record

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
    task = Recording(source, output, options, None if duration is None else parse_time(duration), parse_size(size))
    report = reporter(as_json)
    chosen = settings() if weights is None else settings().model_copy(update={"birefnet": weights})
    report.done(record(task, chosen, report))
