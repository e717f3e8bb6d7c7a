"""The command line: thin. It reads words, calls `stream` and `workers`, and turns errors into exit codes.

0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from stream.errors import MatteboxError, UsageError
from stream.session import BACKGROUND_SPECS, Temporal, View

__version__ = "0.1.0"

app = typer.Typer(
    name="mattebox",
    help="Cut people out of video and put them in front of something else.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="Weights: list, fetch, verify.", no_args_is_help=True)
bench_app = typer.Typer(help="What this machine reaches.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")]


@app.command()
def file(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to matte.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="Its name sets the format: .mp4 .webm .mov .mkv .gif, a folder or %05d.png.")
    ],
    background: Annotated[str, typer.Option(metavar="SPEC", help=f"{BACKGROUND_SPECS}.")] = "green",
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, rvm, selfie, chroma.")] = "auto",
    view: Annotated[View, typer.Option(help="What the output shows.")] = View.COMPOSITE,
    temporal: Annotated[Temporal, typer.Option(help="How masks are steadied over time.")] = Temporal.AUTO,
    key: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="chroma: the screen's colour.")] = None,
    start: Annotated[str, typer.Option(metavar="S", help="Where to begin: seconds or h:mm:ss.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Where to stop.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Scale to this; 1280x or x720 keeps the shape.")] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Matte a video file."""
    from stream import log
    from stream.progress import reporter
    from stream.session import Options
    from stream.settings import settings
    from stream.timing import parse_time
    from workers.job import Task, run_file

    log.configure(verbose, as_json)
    options = Options.read(engine=engine, background=background, view=view, temporal=temporal, key=key)
    end_s = None if end is None else parse_time(end)
    task = Task(source, output, options, parse_time(start), end_s, _size(size))
    report = reporter(as_json)
    report.done(run_file(task, settings(), report))


def _size(text: str | None) -> tuple[int, int]:
    """(width, height), 0 for the side that follows from the other."""
    if text is None:
        return 0, 0
    width, cross, height = text.lower().partition("x")
    try:
        sides = int(width or 0), int(height or 0)
    except ValueError:
        sides = (0, 0)
    if not cross or max(sides) < 2 or min(sides) < 0 or 1 in sides:
        raise UsageError(f"--size {text!r} is no size; write 1280x720, 1280x or x720")
    return sides


def main() -> NoReturn:
    """Entry point: run a command and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except MatteboxError as exc:
        code = _fail(exc.code, str(exc), exc.exit_code)
    except typer.TyperException as exc:
        code = _fail("usage", exc.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("interrupted", "interrupted; nothing was written", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(kind: str, message: str, code: int) -> int:
    if "--json" in sys.argv:
        print(json.dumps({"event": "error", "code": kind, "message": message}), flush=True)
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
